"""What is known about an owner and its content keys, before anybody judges it. Filled by storage, read by the detector."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backend.content.errors import ErrorKind
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, Owner
from backend.content.status import LIVE_TASK_STATUSES, TaskStatus, TaskType


@dataclass(frozen=True, slots=True)
class Limits:
    grace_seconds: float    # not yet written counts as missing after this age
    silence_seconds: float  # marked generating counts as stale after this silence


class Saved(StrEnum):
    NONE = "none"      # no row, or a row that only says that somebody is at it
    VALID = "valid"    # complete and usable
    BROKEN = "broken"  # a row, but empty or broken
    FAILED = "failed"  # the row itself says failed


@dataclass(frozen=True, slots=True)
class RecordedError:
    message: str
    at: datetime | None
    kind: ErrorKind | None = None  # None: only the words were recorded


@dataclass(frozen=True, slots=True)
class KeyFacts:
    key: ContentKey
    saved: Saved
    declared: str | None                     # in framework_data or in the row
    expected_since: datetime                 # since when it should be there, or be worked on
    saved_at: datetime | None = None
    fault: str = ""                          # what is broken, when saved is BROKEN
    error: RecordedError | None = None       # recorded for this very key
    title: str = ""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task of the platform itself. Redrive's own tasks do not occur: their items tell more."""

    task_type: str | None
    status: str
    concept_id: str | None
    content_type: str | None
    updated_at: datetime
    error_message: str = ""

    @property
    def is_unfinished(self) -> bool:
        return self.status in LIVE_TASK_STATUSES

    @property
    def is_cancelled_creation(self) -> bool:
        return self.status == TaskStatus.CANCELLED and self.task_type in (TaskType.CREATION, None)

    def covers(self, key: ContentKey) -> bool:
        """Does this task work on that key?"""
        if self.task_type == TaskType.COVER:
            return key.kind is ContentKind.COVER
        if self.task_type == TaskType.CHAPTER or key.kind is ContentKind.CHAPTER:
            return key.kind is ContentKind.CHAPTER
        if self.task_type in (TaskType.CREATION, None):
            return True
        if key.kind not in CONCEPT_KINDS:
            return False
        kind = self.content_type or {TaskType.RETRY_TUTORIAL: "tutorial", TaskType.RETRY_RESOURCES: "resources",
                                     TaskType.RETRY_QUIZ: "quiz"}.get(self.task_type)
        return kind in (None, key.kind) and self.concept_id in (None, key.part)


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """Everything the rule needs about one owner. `keys` may hold only the suspects: the rest is plainly healthy."""

    owner: Owner
    title: str
    keys: tuple[KeyFacts, ...]
    created_at: datetime
    tasks: tuple[TaskFacts, ...] = ()                       # oldest first
    live_keys: frozenset[ContentKey] = field(default_factory=frozenset)  # with an item queued or running
    retried_at: dict[ContentKey, datetime] = field(default_factory=dict)  # newest item of Redrive that was not cancelled
    framework_faults: tuple[str, ...] = ()
    succeeded_at: dict[ContentKey, datetime] = field(default_factory=dict)  # newest item of Redrive that made it good
