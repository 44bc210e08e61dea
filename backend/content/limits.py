"""What bounds one operation: how many at once, how fast, for how much, at which hours, and when it stops by itself. Pure."""

import json
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backend.content.plans import Estimate
from backend.i18n import _

PACE_SLACK = timedelta(seconds=1)  # a pace is made up for at most so long: several rounds of the dispatcher
_HOURS = re.compile(r"\s*(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s*")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day to another, over midnight if the second is earlier. Nothing is sent in them."""

    begins: time
    ends: time

    @classmethod
    def parse(cls, words: str) -> "QuietHours":
        """"22:00-06:00". Raises ValueError."""
        found = _HOURS.fullmatch(words)
        try:
            if not found:
                raise ValueError(words)
            numbers = [int(number) for number in found.groups()]
            hours = cls(time(*numbers[:2]), time(*numbers[2:]))
        except ValueError:
            raise ValueError(_("Quiet hours are written as 22:00-06:00, not as “{words}”.").format(words=words)) from None
        if hours.begins == hours.ends:
            raise ValueError(_("Quiet hours that begin and end at {time} would be the whole day. Pause the operation instead.").format(
                time=f"{hours.begins:%H:%M}"))
        return hours

    def cover(self, now: datetime, zone: tzinfo) -> bool:
        clock = now.astimezone(zone).time()
        if self.begins < self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def time_zone(name: str) -> tzinfo:
    """Raises ValueError when there is no such zone. UTC is known on machines without a table of zones too."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(_("There is no time zone “{name}”. Write it as Europe/Berlin or UTC.").format(name=name)) from exc


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """None, and 0 where it counts items, is no limit. Confirming writes the defaults of the settings, or what a person chose."""

    concurrency: int | None = None       # items that wait in a queue or run, at once
    rate_per_minute: int | None = None   # items handed to the workers
    budget_calls: int | None = None
    budget_tokens: int | None = None
    budget_cost: float | None = None     # in the currency of the price table
    quiet_hours: QuietHours | None = None
    canary_items: int = 0                # of each group go ahead of the others
    same_cause_window: int = 0           # so many of the last items are looked at, and so many at most run unproven
    same_cause_percent: int = 80         # more of them by one cause stop a group

    def __post_init__(self) -> None:
        for name in ("concurrency", "rate_per_minute", "budget_calls", "budget_tokens", "budget_cost"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(_("A limit is more than 0. Leave it empty for no limit, or pause the operation."))

    @property
    def has_budget(self) -> bool:
        return any(limit is not None for limit in (self.budget_calls, self.budget_tokens, self.budget_cost))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "quiet_hours": str(self.quiet_hours) if self.quiet_hours else None}

    def to_text(self) -> str:
        return json.dumps(self.as_json())

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> "OperationLimits":
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored} if stored else {}
        quiet = known.pop("quiet_hours", None)
        return cls(**known, quiet_hours=QuietHours.parse(quiet) if quiet else None)

    def with_thresholds_of(self, other: "OperationLimits") -> "OperationLimits":
        """Its limits, with the canary and the same-cause stop of the other: those are not changed while it runs."""
        return replace(self, canary_items=other.canary_items, same_cause_window=other.same_cause_window,
                       same_cause_percent=other.same_cause_percent)


def looser_in(limits: OperationLimits, usual: OperationLimits) -> tuple[str, ...]:
    """The fields in which these limits let more happen than the usual ones.

    Fewer canaries prove less. Other quiet hours count as looser: whoever set the usual ones wanted those.
    """
    at_most = ("concurrency", "rate_per_minute", "budget_calls", "budget_tokens", "budget_cost", "same_cause_window", "same_cause_percent")
    found = [name for name in at_most if (getattr(limits, name) or math.inf) > (getattr(usual, name) or math.inf)]
    if limits.canary_items < usual.canary_items:
        found.append("canary_items")
    if usual.quiet_hours and limits.quiet_hours != usual.quiet_hours:
        found.append("quiet_hours")
    return tuple(found)


def over_budget(limits: OperationLimits, estimate: Estimate) -> tuple[str, ...]:
    """The budgets that are too small for what a plan is expected to take. What nobody knows yet passes none: they are kept on its way."""
    expected = {"budget_calls": estimate.calls, "budget_tokens": estimate.tokens, "budget_cost": estimate.cost}
    return tuple(name for name, amount in expected.items() if (amount or 0) > (getattr(limits, name) or math.inf))


UNPRICED_CALLS = 20  # so many of unknown cost pass a budget of money while no other tells what one costs


@dataclass(frozen=True, slots=True)
class Spent:
    """What an operation has used so far."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    items: int = 0  # that were written, or failed to be, by calls of the model
    unpriced_calls: int = 0  # of the calls, those whose cost nobody knows; the cost of the others is in `cost`

    @property
    def tokens_per_item(self) -> float:
        return self.tokens / self.items if self.items else 0.0

    @property
    def reckoned_cost(self) -> float:
        """With what nobody knows the cost of, at the average of the other calls."""
        return reckoned(self.cost, self.calls, self.unpriced_calls)

    @property
    def cost_per_item(self) -> float:
        return self.reckoned_cost / self.items if self.items else 0.0


def reckoned(cost: float, calls: int, unpriced_calls: int) -> float:
    """A cost with the calls whose own nobody knows, at the average of the others. Where there are no others it is as it was."""
    return cost * calls / (calls - unpriced_calls) if calls > unpriced_calls else cost


@dataclass(frozen=True, slots=True)
class Load:
    """How an operation stands, at one moment."""

    spent: Spent = Spent()
    in_flight: int = 0        # items that wait in a queue or run, and may call the model
    same_cause_count: int = 0  # of its last items, by the cause that is the most frequent
    paced_at: datetime | None = None


def allowance(limits: OperationLimits, load: Load, now: datetime) -> int | None:
    """How many more items may be handed to the workers now. None: as many as there are.

    While a cause returns no more are in flight than the window still has room for: whatever they meet, no more than a window is wasted.
    """
    room: list[float] = []
    if limits.concurrency is not None:
        room.append(limits.concurrency - load.in_flight)
    if limits.same_cause_window and load.same_cause_count:
        room.append(limits.same_cause_window - load.same_cause_count - load.in_flight)
    if limits.rate_per_minute is not None:
        room.append((now - _pace_from(load.paced_at, limits, now)) / _interval(limits))
    room += budget_room(limits, load)
    return max(0, math.floor(min(room) + 1e-9)) if room else None


def budget_room(limits: OperationLimits, load: Load) -> list[float]:
    """For how many more items each budget lasts, besides those in flight, at what an item took on average so far.

    Before anything is known of the price of an item, a budget of tokens or money lets a window of items see what one takes. Where
    nobody tells what they cost, a budget of money ends there: it could not be kept.
    """
    room: list[float] = []
    spent = load.spent
    if limits.budget_calls is not None:
        room.append(limits.budget_calls - spent.calls - load.in_flight)
    for budget, used, average in ((limits.budget_tokens, spent.tokens, spent.tokens_per_item),
                                  (limits.budget_cost, spent.reckoned_cost, spent.cost_per_item)):
        if budget is not None and used >= budget:
            room.append(0)
        elif budget is not None:
            room.append((budget - used) / average - load.in_flight if average else (limits.same_cause_window or 1) - load.in_flight)
    if limits.budget_cost is not None and spent.unpriced_calls and not spent.cost:
        room.append(UNPRICED_CALLS - spent.unpriced_calls - load.in_flight)
    return room


def is_budget_spent(limits: OperationLimits, load: Load) -> bool:
    """Not one more item is affordable. What is in flight may turn out cheaper, and is waited for."""
    room = budget_room(limits, load)
    return bool(room) and min(room) < 1 and not load.in_flight


def paced(limits: OperationLimits, load: Load, count: int, now: datetime) -> datetime | None:
    """From when on the next item may be handed out, after `count` were. None: there is no pace."""
    return _pace_from(load.paced_at, limits, now) + count * _interval(limits) if limits.rate_per_minute is not None else None


def _interval(limits: OperationLimits) -> timedelta:
    return timedelta(minutes=1) / (limits.rate_per_minute or 1)


def _pace_from(paced_at: datetime | None, limits: OperationLimits, now: datetime) -> datetime:
    earliest = now - max(PACE_SLACK, _interval(limits))
    return max(paced_at, earliest) if paced_at else earliest
