"""Stored statuses, one enum for each column, each member with its arrow. RQ's vocabulary does not occur here."""

from datetime import datetime
from enum import StrEnum


class ItemState(StrEnum):
    PLANNED = "planned"      # written by confirm; queued -> planned, by a pause, quiet hours, changed limits or a brake
    QUEUED = "queued"        # planned -> queued, by the dispatcher; running -> queued, worker lost or item given back
    RUNNING = "running"      # queued -> running, by a worker
    SUCCEEDED = "succeeded"  # running -> succeeded, in the transaction that saves the content
    FAILED = "failed"        # running -> failed, by a worker, or worker lost too often
    CANCELLED = "cancelled"  # planned | queued | running -> cancelled, by a person
    SKIPPED = "skipped"      # planned | queued | running -> skipped: nothing to do any more, or its group was stopped

    @property
    def is_settled(self) -> bool:
        return self in SETTLED_ITEM_STATES


SETTLED_ITEM_STATES = frozenset({ItemState.SUCCEEDED, ItemState.FAILED, ItemState.CANCELLED, ItemState.SKIPPED})
LIVE_ITEM_STATES = frozenset({ItemState.QUEUED, ItemState.RUNNING})


def begun_attempts(attempt: int, state: ItemState, started_at: datetime | None) -> int:
    """Without the last one where it waits to be begun, ended before that, or found nothing to do."""
    return attempt - (started_at is None or state is ItemState.SKIPPED)


class ItemEventKind(StrEnum):
    """How an attempt, or a wait, ended without an outcome."""

    LOST = "lost"              # running -> queued: its worker was lost
    GIVEN_BACK = "given_back"  # running -> queued: its worker ended, its model is held back, or its job was stopped by force
    UNQUEUED = "unqueued"      # queued -> planned: its operation waits, or its limits were changed
    RESENT = "resent"          # queued, with another job: the one before was lost


class OperationState(StrEnum):
    ARMED = "armed"          # confirmed, may still be undone
    RUNNING = "running"      # armed -> running; paused -> running
    PAUSED = "paused"        # running -> paused, by a person
    VERIFYING = "verifying"  # running | paused -> verifying: all items settled, the detector looks again
    COMPLETED = "completed"  # verifying -> completed: every key is healthy or named
    STOPPED = "stopped"      # verifying -> stopped: all that was left of it was stopped, by a canary, a cause or a budget
    CANCELLED = "cancelled"  # armed | running | paused -> cancelled, by a person
    UNDONE = "undone"        # armed -> undone


ACTIVE_OPERATION_STATES = frozenset(
    {OperationState.ARMED, OperationState.RUNNING, OperationState.PAUSED, OperationState.VERIFYING})


class GroupState(StrEnum):
    """Items of an operation that were planned for the same cause."""

    CANARY = "canary"    # written by confirm; open -> canary: what stopped another group may stop this one too
    OPEN = "open"        # written by confirm where nothing needs a canary; canary -> open: it passed
    STOPPED = "stopped"  # canary | open -> stopped: its rest stays untouched


class TaskStatus(StrEnum):
    PENDING = "pending"                  # written with the task
    PROCESSING = "processing"            # pending -> processing, with its first item
    COMPLETED = "completed"              # processing -> completed: every item good
    PARTIAL_FAILURE = "partial_failure"  # processing -> partial_failure: some items failed
    FAILED = "failed"                    # processing -> failed: no item succeeded
    CANCELLED = "cancelled"              # pending | processing -> cancelled, by a person


LIVE_TASK_STATUSES = frozenset({TaskStatus.PENDING, TaskStatus.PROCESSING})


class TaskType(StrEnum):
    CREATION = "creation"
    RETRY_TUTORIAL = "retry_tutorial"
    RETRY_RESOURCES = "retry_resources"
    RETRY_QUIZ = "retry_quiz"
    RETRY_BATCH = "retry_batch"
    COVER = "cover"
    CHAPTER = "chapter"


class ContentStatus(StrEnum):
    """content_status, resources_status and quiz_status in framework_data, and content_status of a tutorial row."""

    PENDING = "pending"
    GENERATING = "generating"  # pending | failed | null -> generating, by a worker
    PROCESSING = "processing"  # the platform's other word for generating
    COMPLETED = "completed"    # generating -> completed, in the transaction that saves the content
    FAILED = "failed"          # generating -> failed


class CoverStatus(StrEnum):
    PENDING = "pending"
    GENERATING = "generating"  # pending | failed -> generating
    SUCCESS = "success"        # generating -> success; never generated again
    FAILED = "failed"          # generating -> failed


class ChapterStatus(StrEnum):
    GENERATING = "generating"
    COMPLETED = "completed"  # generating -> completed
    FAILED = "failed"        # generating -> failed; archived and deleted by its retry


class Priority(StrEnum):
    """The queue an operation's jobs go to; each is served by its own worker processes."""

    INTERACTIVE = "interactive"  # small, a person waits for it
    BULK = "bulk"                # large, asked for by a person
    AUTOMATIC = "automatic"      # asked for by a machine


class BreakerState(StrEnum):
    """Whether a provider of a model is asked at all. Any success closes it."""

    CLOSED = "closed"        # open | half_open -> closed: an answer came
    OPEN = "open"            # closed -> open: too many failures in a row; half_open -> open: the probe failed too
    HALF_OPEN = "half_open"  # open -> half_open: one item is let through to see


class FindingKind(StrEnum):
    """What the reconciler finds and mends."""

    QUEUED_WITHOUT_JOB = "queued_without_job"                # sent again
    JOB_WITHOUT_ITEM = "job_without_item"                    # dropped from Redis
    RUNNING_WITHOUT_HEARTBEAT = "running_without_heartbeat"  # taken back from a lost worker
    TASK_DISAGREES = "task_disagrees"                        # the task is told what its items say
    CANCEL_CUT_SHORT = "cancel_cut_short"                    # the rest of a cancelled operation is cancelled too
    GENERATING_UNATTENDED = "generating_unattended"          # marked failed, so that readers do not wait for ever
    TEXT_NOT_SAVED = "text_not_saved"                        # a spilled text is saved


class ItemAction(StrEnum):
    GENERATE = "generate"  # the model writes it
    DRAFT = "draft"        # the model writes it anew, beside what is published
    REPAIR = "repair"      # it is saved; only its status is put right, for nothing
