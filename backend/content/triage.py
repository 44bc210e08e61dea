"""What people decide about a cause, and which decision may follow which. Pure: pages and actions ask the same rules."""

from datetime import datetime
from enum import StrEnum


class CauseState(StrEnum):
    OPEN = "open"                  # when it is first seen; ignored -> open, its time or number has come; any -> open, by a person
    ACKNOWLEDGED = "acknowledged"  # open | regressed | ignored -> acknowledged: somebody sees to it
    IGNORED = "ignored"            # open | acknowledged | regressed -> ignored: plans leave it out, until a time or a number
    RESOLVED = "resolved"          # open | acknowledged | ignored | regressed -> resolved: it should not come again
    REGRESSED = "regressed"        # resolved -> regressed: it came again; by maintenance


class CauseEventKind(StrEnum):
    """What happened to a cause; its page tells them in order."""

    NOTE = "note"
    ACKNOWLEDGED = "acknowledged"
    IGNORED = "ignored"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    REGRESSED = "regressed"
    WOKEN = "woken"        # it was ignored until now
    ASSIGNED = "assigned"
    MERGED = "merged"      # another cause into this one
    PARTED = "parted"      # another cause was taken out of it


# state -> what a person may make of it
NEXT_STATES: dict[CauseState, frozenset[CauseState]] = {
    CauseState.OPEN: frozenset({CauseState.ACKNOWLEDGED, CauseState.IGNORED, CauseState.RESOLVED}),
    CauseState.ACKNOWLEDGED: frozenset({CauseState.OPEN, CauseState.IGNORED, CauseState.RESOLVED}),
    CauseState.IGNORED: frozenset({CauseState.OPEN, CauseState.ACKNOWLEDGED, CauseState.RESOLVED}),
    CauseState.RESOLVED: frozenset({CauseState.OPEN}),
    CauseState.REGRESSED: frozenset({CauseState.OPEN, CauseState.ACKNOWLEDGED, CauseState.IGNORED, CauseState.RESOLVED}),
}


def may_become(state: CauseState, after: CauseState) -> bool:
    return after in NEXT_STATES[state]


def states_before(after: CauseState) -> tuple[CauseState, ...]:
    """The states that a person may take it from."""
    return tuple(state for state in CauseState if may_become(state, after))


def is_left_out(state: CauseState, ignored_until_at: datetime | None, now: datetime) -> bool:
    """Plans leave its problems out. A time that has come counts at once, whether maintenance has seen it or not."""
    return state is CauseState.IGNORED and (ignored_until_at is None or ignored_until_at > now)
