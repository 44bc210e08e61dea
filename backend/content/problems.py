"""The answers of the detector: what is wrong with a content key, or why nothing is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey


class ProblemKind(StrEnum):
    FAILED = "failed"          # declared failed and nothing valid is saved
    MISSING = "missing"        # nothing saved, nobody working on it
    STALE = "stale"            # marked generating, nobody working on it
    INVALID = "invalid"        # saved, but empty or broken
    DRIFTED = "drifted"        # saved and valid, but marked otherwise; repaired for nothing
    CANCELLED = "cancelled"    # its creation was cancelled; not counted as a failure
    UNREADABLE = "unreadable"  # framework_data of a roadmap, or rows of a novel, cannot be read


class KeyState(StrEnum):
    """Where a content key stands: with a problem, or one of three ways of having none."""

    HEALTHY = "healthy"
    IN_PROGRESS = "in_progress"  # an item or a platform task works on it
    WAITING = "waiting"          # not there yet, and not yet late
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Problem:
    key: ContentKey
    kind: ProblemKind
    declared: str | None          # the status that was declared; None: none was
    since_at: datetime | None     # when the fault began as far as the data tells; aware UTC
    detail: str = ""              # what is broken: the path of the fault, or what is empty
    error_kind: ErrorKind = ErrorKind.NO_MESSAGE
    error_message: str = ""       # the recorded error in full, "" when none was recorded
    title: str = ""               # name of the concept, title of the chapter or roadmap


@dataclass(frozen=True, slots=True)
class Verdict:
    key: ContentKey
    state: KeyState
    problem: Problem | None = None
    look_again_at: datetime | None = None  # when time alone may change the answer
