"""Rules by which Redrive retries by itself: for what, how much, how often, and what is due now. Pure: the clock is an argument."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import UNPRICED_CALLS, OperationLimits, QuietHours, reckoned
from backend.content.plans import ExclusionRule
from backend.content.scopes import ProblemFilter
from backend.i18n import _

MOST_STEPS = 12
MOST_RUN_ITEMS = 5_000  # what is confirmed in one transaction
LONGEST_STEP = timedelta(days=30)
_STEP = re.compile(r"(\d+)\s*(s|sec|m|min|h|d)")
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class RunVerdict(StrEnum):
    """What a look at a rule came to."""

    STARTED = "started"          # it made an operation
    NOTHING_DUE = "nothing_due"
    STILL_RUNNING = "still_running"  # its last operation has not ended
    QUIET_HOURS = "quiet_hours"
    BUDGET_SPENT = "budget_spent"    # of today
    MODEL_HELD = "model_held"        # the model is out: nothing is planned in vain
    NO_PRICE = "no_price"            # nobody could keep its budget of money: a model has no price
    RESTING = "resting"              # its last operation stopped by itself
    ALL_LEFT_OUT = "all_left_out"    # something was due, and plans leave all of it out


# Looks that made no operation and are told in the history of the rule; the others are no news.
TOLD_VERDICTS = frozenset({RunVerdict.QUIET_HOURS, RunVerdict.BUDGET_SPENT, RunVerdict.MODEL_HELD, RunVerdict.NO_PRICE,
                           RunVerdict.RESTING, RunVerdict.ALL_LEFT_OUT})

# When a key that a plan left out is looked at again. None: not before its problem has changed.
_SOON, _LATER, _RARELY = timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)
LOOK_AGAIN: dict[ExclusionRule, timedelta | None] = {
    ExclusionRule.ALREADY_RUNNING: _SOON,
    ExclusionRule.NOT_BROKEN: _SOON,
    ExclusionRule.NOT_LISTED: _SOON,
    ExclusionRule.POISON: _RARELY,  # tries of the last 24 hours are counted: it passes
    ExclusionRule.ALREADY_MADE: _SOON,
    ExclusionRule.OWNER_GONE: _SOON,
    ExclusionRule.UNREADABLE: None,
    ExclusionRule.CREATION_CANCELLED: None,
    ExclusionRule.CHANGED: _SOON,
    ExclusionRule.CAUSE_IGNORED: _LATER,  # until people reopen it
    ExclusionRule.CANCELLED_BY_PERSON: None,
    ExclusionRule.OVER_BUDGET: _SOON,
    ExclusionRule.CANARY_FAILED: _SOON,
    ExclusionRule.SAME_CAUSE: _SOON,
    ExclusionRule.BUDGET_SPENT: _SOON,
}


@dataclass(frozen=True, slots=True)
class RuleBudget:
    """None is no limit. A day begins at midnight in the time zone of the quiet hours."""

    run_items: int = 50
    day_items: int = 500
    day_calls: int | None = None
    day_tokens: int | None = None
    day_cost: float | None = None

    def __post_init__(self) -> None:
        for value in (self.run_items, self.day_items, self.day_calls, self.day_tokens, self.day_cost):
            if value is not None and value <= 0:
                raise ValueError(_("A budget is more than 0. Leave it empty for no limit, or turn the rule off."))
        if self.run_items > MOST_RUN_ITEMS:
            raise ValueError(_("One run takes at most {count:,} items; the next one follows when it has ended.").format(
                count=MOST_RUN_ITEMS))


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What people choose: at least one of cause and kind, how much, how often, and when not."""

    cause_id: str = ""
    kind: ContentKind | None = None
    budget: RuleBudget = RuleBudget()
    backoff: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
    quiet_hours: QuietHours | None = None

    def __post_init__(self) -> None:
        if not self.cause_id and self.kind is None:
            raise ValueError(_("Choose a cause, a kind of content, or both: a rule for everything would hide what goes wrong."))
        if self.kind is ContentKind.FRAMEWORK:
            raise ValueError(_("framework_data is not generated, so it cannot be retried."))
        if not 1 <= len(self.backoff) <= MOST_STEPS or not all(timedelta(0) < step <= LONGEST_STEP for step in self.backoff):
            raise ValueError(_("Give 1 to {count} steps of at most 30 days each, such as 1 min, 10 min, 1 h.").format(count=MOST_STEPS))

    @property
    def filter(self) -> ProblemFilter:
        return ProblemFilter(cause_id=self.cause_id, kinds=(self.kind,) if self.kind else ())


@dataclass(frozen=True, slots=True)
class RetryRule:
    rule_id: str
    terms: RuleTerms
    is_enabled: bool
    enabled_at: datetime | None  # failures from before it was last turned on do not count
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Today:
    """What a rule has used since its day began."""

    items: int = 0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    unpriced_calls: int = 0  # of the calls, those whose cost nobody knows

    @property
    def reckoned_cost(self) -> float:
        return reckoned(self.cost, self.calls, self.unpriced_calls)


@dataclass(frozen=True, slots=True)
class RuleStanding:
    """A rule at one moment."""

    today: Today = Today()
    is_running: bool = False           # an operation of it has not ended
    stopped_in_a_row: int = 0          # its last operations that stopped by themselves
    last_ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """One key that a rule may retry."""

    key: ContentKey
    since_at: datetime                 # since when it is broken as it is
    failed_count: int = 0              # automatic tries that failed, since it was last good and the rule was turned on
    last_failed_at: datetime | None = None  # whoever tried


@dataclass(frozen=True, slots=True)
class Held:
    """No operation is made now. `until_at`: when that may change by itself; None: nobody can tell."""

    verdict: RunVerdict
    until_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """So many items at most, as an operation with these limits."""

    items: int
    limits: OperationLimits


def day_begins(now: datetime, zone: tzinfo) -> datetime:
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def due_at(backoff: Sequence[timedelta], history: KeyHistory) -> datetime | None:
    """When the next automatic try of a key is due. None: tried as often as there are steps; it stays until people see to it."""
    if history.failed_count >= len(backoff):
        return None
    last = max(history.since_at, history.last_failed_at) if history.last_failed_at else history.since_at
    return last + backoff[history.failed_count]


def room_now(
    terms: RuleTerms, standing: RuleStanding, defaults: OperationLimits, now: datetime, zone: tzinfo, *, is_model_held: bool,
) -> Held | Room:
    """May the rule begin something now, and how much? `defaults` are the limits of any operation; the tighter one holds."""
    if standing.is_running:
        return Held(RunVerdict.STILL_RUNNING)
    for quiet in (terms.quiet_hours, defaults.quiet_hours):
        if quiet and quiet.cover(now, zone):
            return Held(RunVerdict.QUIET_HOURS, _next_time(quiet, now, zone))
    rest_until = _rests_until(terms.backoff, standing)
    if rest_until and rest_until > now:
        return Held(RunVerdict.RESTING, rest_until)
    left = [budget - used for budget, used in _budgets(terms.budget, standing.today)]
    if any(amount <= 0 for amount in left):
        return Held(RunVerdict.BUDGET_SPENT, day_begins(now, zone) + timedelta(days=1))
    if is_model_held:
        return Held(RunVerdict.MODEL_HELD)
    limits = _limits(terms, standing.today, defaults)
    most = [terms.budget.run_items, terms.budget.day_items - standing.today.items]
    if limits.budget_calls is not None:  # each item takes one at least
        most.append(limits.budget_calls)
    return Room(min(most), limits)


def _budgets(budget: RuleBudget, today: Today) -> list[tuple[float, float]]:
    pairs = [(budget.day_items, today.items), (budget.day_calls, today.calls), (budget.day_tokens, today.tokens),
             (budget.day_cost, today.reckoned_cost)]
    if budget.day_cost is not None and not today.cost:  # where nobody tells what calls cost it could not be kept
        pairs.append((UNPRICED_CALLS, today.unpriced_calls))
    return [(most, used) for most, used in pairs if most is not None]


def _rests_until(backoff: Sequence[timedelta], standing: RuleStanding) -> datetime | None:
    """What stopped by itself is as pointless a moment later with other keys."""
    if not standing.stopped_in_a_row or standing.last_ended_at is None:
        return None
    return standing.last_ended_at + backoff[min(standing.stopped_in_a_row, len(backoff)) - 1]


def _limits(terms: RuleTerms, today: Today, defaults: OperationLimits) -> OperationLimits:
    """What is left of the day is the budget of the operation."""
    def tighter(of_day: float | None, used: float, otherwise: float | None) -> float | None:
        found = [limit for limit in (of_day - used if of_day is not None else None, otherwise) if limit is not None]
        return min(found) if found else None

    calls = tighter(terms.budget.day_calls, today.calls, defaults.budget_calls)
    tokens = tighter(terms.budget.day_tokens, today.tokens, defaults.budget_tokens)
    return replace(
        defaults, budget_calls=None if calls is None else int(calls), budget_tokens=None if tokens is None else int(tokens),
        budget_cost=tighter(terms.budget.day_cost, today.reckoned_cost, defaults.budget_cost),
        quiet_hours=terms.quiet_hours or defaults.quiet_hours)


def _next_time(quiet: QuietHours, now: datetime, zone: tzinfo) -> datetime:
    """When these quiet hours, which are on, end."""
    here = now.astimezone(zone)
    ends = here.replace(hour=quiet.ends.hour, minute=quiet.ends.minute, second=0, microsecond=0)
    return ends if ends > here else ends + timedelta(days=1)


def parse_backoff(words: str) -> tuple[timedelta, ...]:
    """"1 min, 10 min, 1 h". Raises ValueError."""
    steps = []
    for part in words.split(","):
        found = _STEP.fullmatch(part.strip().lower())
        if not found or len(found[1]) > 8:
            raise ValueError(_("Steps are written as 1 min, 10 min, 1 h (s, min, h or d), not as “{words}”.").format(words=part.strip()))
        steps.append(timedelta(seconds=int(found[1]) * _UNITS[found[2]]))
    return tuple(steps)


def backoff_words(backoff: Sequence[timedelta]) -> str:
    """As `parse_backoff` reads it."""
    return ", ".join(map(_step_words, backoff))


def _step_words(step: timedelta) -> str:
    seconds = int(step.total_seconds())
    unit = next(unit for unit in ("d", "h", "min", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]} {unit}"
