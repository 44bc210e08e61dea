"""When an operation stops a group of its items by itself: its canary failed, or one cause keeps returning. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.content.errors import ErrorKind


@dataclass(frozen=True, slots=True)
class Told:
    """One item that asked the model and ended; what was skipped, cancelled or repaired tells nothing."""

    group_id: int | None
    cause_id: str | None  # of its failure; None: it succeeded
    started_at: datetime | None
    settled_at: datetime
    error_kind: ErrorKind = ErrorKind.NO_MESSAGE
    error_message: str = ""


class CanaryVerdict(StrEnum):
    WAITS = "waits"    # some of those that went ahead have not ended
    MORE = "more"      # they have, but too few of them tell something: others go ahead in their place
    PASSED = "passed"  # at least one was written
    FAILED = "failed"  # all failed


def judge_canary(told: Sequence[Told], *, unsettled_count: int, canary_items: int, has_more: bool) -> CanaryVerdict:
    """One text that was written is enough: what follows is watched all the same. With no more items the few that told decide."""
    if unsettled_count:
        return CanaryVerdict.WAITS
    if any(item.cause_id is None for item in told):
        return CanaryVerdict.PASSED
    if len(told) < canary_items and has_more:
        return CanaryVerdict.MORE
    return CanaryVerdict.FAILED if told else CanaryVerdict.PASSED


def commonest_failure(told: Sequence[Told]) -> Told | None:
    """The newest failure by the cause that is the most frequent. `told` is newest first."""
    counts = Counter(item.cause_id for item in told if item.cause_id is not None)
    if not counts:
        return None
    cause_id = counts.most_common(1)[0][0]
    return next(item for item in told if item.cause_id == cause_id)


def same_cause_count(told: Sequence[Told]) -> int:
    return max(Counter(item.cause_id for item in told if item.cause_id is not None).values(), default=0)


def returning_cause(told: Sequence[Told], *, window: int, percent: int) -> str | None:
    """The cause by which more than so many percent of the last `window` items failed, newest first.

    With fewer items it answers as soon as those still to come cannot change it.
    """
    counts = Counter(item.cause_id for item in told[:window] if item.cause_id is not None)
    cause_id, count = counts.most_common(1)[0] if counts else (None, 0)
    return cause_id if count * 100 > percent * window else None


def groups_of_cause(told: Sequence[Told], cause_id: str, *, percent: int) -> frozenset[int]:
    """Of several groups those that fare so: more than so many percent of their own items failed by that cause."""
    totals = Counter(item.group_id for item in told if item.group_id is not None)
    failed = Counter(item.group_id for item in told if item.group_id is not None and item.cause_id == cause_id)
    return frozenset(group_id for group_id, count in failed.items() if count * 100 > percent * totals[group_id])
