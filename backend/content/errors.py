"""Kinds of error, where each comes from, and the exception that carries one to an item's outcome."""

from enum import StrEnum


class Origin(StrEnum):
    MODEL = "model"
    CONTENT = "content"    # what was written does not pass its check
    SAVE = "save"
    QUEUE = "queue"
    PLATFORM = "platform"  # recorded by the platform, not by Redrive


class ErrorKind(StrEnum):
    MODEL_UNREACHABLE = "model_unreachable"
    MODEL_TIMEOUT = "model_timeout"
    MODEL_RATE_LIMITED = "model_rate_limited"
    MODEL_SERVER_ERROR = "model_server_error"
    MODEL_REJECTED_KEY = "model_rejected_key"      # 401, 403
    MODEL_REJECTED_REQUEST = "model_rejected_request"  # other 4xx
    MODEL_CUT_STREAM = "model_cut_stream"
    MODEL_REFUSED = "model_refused"
    MODEL_TRUNCATED = "model_truncated"            # finish_reason=length
    MODEL_INVALID_JSON = "model_invalid_json"
    CONTENT_EMPTY = "content_empty"
    CONTENT_UNSTORABLE = "content_unstorable"      # NUL character, lone surrogate
    CONTENT_NO_PICTURE = "content_no_picture"      # nothing was painted, or nothing was found
    CONTENT_NOT_A_PICTURE = "content_not_a_picture"    # broken, or of a format that is not taken
    CONTENT_PICTURE_SIZE = "content_picture_size"  # too few pixels, too many, or too many bytes
    SAVE_DUPLICATE_KEY = "save_duplicate_key"
    SAVE_TOO_LONG = "save_too_long"
    SAVE_REJECTED = "save_rejected"                # another constraint or a bad value
    SAVE_POOL_EXHAUSTED = "save_pool_exhausted"
    SAVE_DATABASE_GONE = "save_database_gone"
    SAVE_CONTENTION = "save_contention"            # deadlock, lock or statement timeout: others were at the same rows
    SAVE_STORE_GONE = "save_store_gone"            # the object store did not take the text
    SAVE_OWNER_GONE = "save_owner_gone"            # roadmap or concept deleted in the meantime
    CHOICE_MISSING = "choice_missing"              # no reader has chosen in the chapter before
    WORKER_LOST = "worker_lost"
    JOB_TIMEOUT = "job_timeout"                    # stopped at the time limit of its job
    QUEUE_GONE = "queue_gone"                      # Redis or the broker was away
    PLATFORM_ERROR = "platform_error"              # a message of the platform without a better kind
    NO_MESSAGE = "no_message"                      # nothing was recorded
    UNEXPECTED = "unexpected"                      # a defect: no kind has been given to it yet

    @property
    def origin(self) -> Origin:
        prefix = self.value.split("_", 1)[0]
        if prefix in ("model", "content", "save"):
            return Origin(prefix)
        return Origin.QUEUE if self in _OF_THE_QUEUE else Origin.PLATFORM


_OF_THE_QUEUE = frozenset({ErrorKind.WORKER_LOST, ErrorKind.JOB_TIMEOUT, ErrorKind.QUEUE_GONE})
# The save itself is in order; what should take it is away or too busy.
OUTAGES = frozenset({ErrorKind.SAVE_DATABASE_GONE, ErrorKind.SAVE_POOL_EXHAUSTED, ErrorKind.SAVE_STORE_GONE})
# What another text would meet too. A refusal, a cut or a malformed answer is of one text alone.
MODEL_OUTAGES = frozenset({
    ErrorKind.MODEL_UNREACHABLE, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR,
    ErrorKind.MODEL_REJECTED_KEY,
})


class ItemError(Exception):
    """One item failed, for a reason that has a name. `message` is shown to people: no secrets in it."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def is_outage(self) -> bool:
        """Worth another try: the text is good, and where it goes is away."""
        return self.kind in OUTAGES


class NotAsked(ItemError):
    """Nobody was asked for this: others had just been told by that error that the provider is out."""
