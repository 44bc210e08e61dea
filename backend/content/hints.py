"""What usually helps against a cause: one hint for each kind of error. Total: a new kind without a hint fails a test."""

from backend.content.errors import ErrorKind
from backend.i18n import _

HINTS = {
    ErrorKind.MODEL_UNREACHABLE: _(
        "Check OPENAI_BASE_URL (for photos from Unsplash: REDRIVE_UNSPLASH_BASE_URL), DNS and the firewall; `redrive check` asks "
        "the endpoint. Nothing was paid for; retry when it answers."),
    ErrorKind.MODEL_TIMEOUT: _(
        "Usually over by itself: retry a few first. If it stays, raise REDRIVE_MODEL_TIMEOUT_SECONDS or lower REDRIVE_CONCURRENCY."),
    ErrorKind.MODEL_RATE_LIMITED: _(
        "Wait, retry fewer at a time (REDRIVE_CONCURRENCY), or raise the limit with the provider. A used-up quota must be paid for."),
    ErrorKind.MODEL_SERVER_ERROR: _(
        "The provider's fault: look at its status page. Retry when it is over; nothing has to be changed here."),
    ErrorKind.MODEL_REJECTED_KEY: _(
        "Set a valid OPENAI_API_KEY (for photos from Unsplash: UNSPLASH_ACCESS_KEY) and start the workers again. "
        "A retry before that fails in the same way."),
    ErrorKind.MODEL_REJECTED_REQUEST: _(
        "Check REDRIVE_MODEL (for covers: REDRIVE_IMAGE_MODEL, REDRIVE_IMAGE_SIZE and REDRIVE_IMAGE_FORMAT) and OPENAI_BASE_URL: "
        "the endpoint does not know this model or this parameter."),
    ErrorKind.MODEL_CUT_STREAM: _(
        "A connection broke in the middle of an answer. Retry; if it comes often, look for a proxy that cuts streams."),
    ErrorKind.MODEL_REFUSED: _("The same prompt is refused again. Look at the title and description of the concept, or use another model."),
    ErrorKind.MODEL_TRUNCATED: _("Too long for the model: shorten the concept's description, or use a model with a larger limit."),
    ErrorKind.MODEL_INVALID_JSON: _("A retry often succeeds. If it does not, the model does not follow the schema: use another one."),
    ErrorKind.CONTENT_EMPTY: _(
        "The model answered with nothing. A retry often succeeds; if one concept stays empty, look at its description."),
    ErrorKind.CONTENT_UNSTORABLE: _("The text holds a character that PostgreSQL cannot store. A retry usually writes one without it."),
    ErrorKind.CONTENT_NO_PICTURE: _(
        "Nothing was found for this title: regenerate with a note, upload a picture, or name another painter in REDRIVE_PAINTERS."),
    ErrorKind.CONTENT_NOT_A_PICTURE: _(
        "What came is broken or of another format. A retry often succeeds; an upload must be PNG, JPEG, WebP or GIF."),
    ErrorKind.CONTENT_PICTURE_SIZE: _(
        "Check REDRIVE_IMAGE_SIZE; an upload needs at least 600 x 315 pixels, at most 25 million, and at most 20 MB."),
    ErrorKind.SAVE_DUPLICATE_KEY: _(
        "Two writers saved the same row, so a text may be there: what is saved is repaired for free, the rest is written again."),
    ErrorKind.SAVE_TOO_LONG: _(
        "A value is longer than its column. Widen the column on the platform; a retry may also write a shorter one."),
    ErrorKind.SAVE_REJECTED: _("A rule of the database refused the row. Read the constraint in the sample and mend it first; then retry."),
    ErrorKind.SAVE_POOL_EXHAUSTED: _(
        "Check pool settings: size, overflow, and what holds connections for long. Where the text was written and saved, repair is free."),
    ErrorKind.SAVE_DATABASE_GONE: _(
        "PostgreSQL was away. Retry when it is back; what was written is saved from its spill without another call."),
    ErrorKind.SAVE_CONTENTION: _("Others wrote the same rows at that moment. Retry; if it comes often, look for a long transaction."),
    ErrorKind.SAVE_STORE_GONE: _("The object store did not take the text. Check REDRIVE_OBJECT_STORE and its credentials, then retry."),
    ErrorKind.SAVE_OWNER_GONE: _("The roadmap or the concept was deleted in the meantime. There is nothing to retry."),
    ErrorKind.CHOICE_MISSING: _(
        "Chapter n follows from the reader's choice at the end of chapter n - 1, which the message names. Retry once it is chosen there."),
    ErrorKind.WORKER_LOST: _("Workers died: look for memory (signal 9) and at their logs before you retry many at once."),
    ErrorKind.JOB_TIMEOUT: _("A job met its time limit. Retry here: items are saved one by one, so no limit takes finished ones along."),
    ErrorKind.QUEUE_GONE: _("Redis or the broker was away. Nothing is wrong with the content: retry when it answers."),
    ErrorKind.PLATFORM_ERROR: _("An error of the platform itself: read the sample. Retry a few first to see whether it is over."),
    ErrorKind.NO_MESSAGE: _("Nothing was recorded: mostly a worker died or a save took the status along. A retry is the usual way."),
    ErrorKind.UNEXPECTED: _("A defect of Redrive that has no name yet: look for it in the worker's log, and report it."),
}
