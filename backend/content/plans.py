"""The dry run of a retry: exactly which keys, which are left out, and the rule that decided each. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemAction

LARGEST_CAUSES = 50


class ExclusionRule(StrEnum):
    ALREADY_RUNNING = "already_running"    # an item is planned, queued or running, or a platform task lives
    NOT_BROKEN = "not_broken"              # the detector finds nothing wrong with it (any more)
    NOT_LISTED = "not_listed"              # broken, but the detector has not put it on the list yet
    POISON = "poison"                      # tried too often in the last 24 hours; an admin may override it
    ALREADY_MADE = "already_made"          # a cover that is there is never made again by a batch
    OWNER_GONE = "owner_gone"              # its roadmap or novel is unknown, or was deleted
    UNREADABLE = "unreadable"              # the data of its roadmap or novel must be mended at its source
    CREATION_CANCELLED = "creation_cancelled"  # reopened only when chosen by name
    CHANGED = "changed"                    # needs something else than was planned
    CAUSE_IGNORED = "cause_ignored"        # people ignore its cause; only when chosen by name
    CANCELLED_BY_PERSON = "cancelled_by_person"  # its last item was cancelled; only when chosen by name, or reopened
    OVER_BUDGET = "over_budget"            # the plan makes as many calls as one operation may; an admin may override it
    CANARY_FAILED = "canary_failed"        # the first items of its group failed: not begun
    SAME_CAUSE = "same_cause"              # one cause kept returning in its group: not begun
    BUDGET_SPENT = "budget_spent"          # its operation may spend no more: not begun


class InclusionRule(StrEnum):
    BROKEN = "broken"                      # the model writes it
    REPAIR_IS_FREE = "repair_is_free"      # it is saved; its status is put right
    REOPENED = "reopened"                  # somebody chose by name, or reopened, what a filter would have left out
    OVER_LIMIT = "over_limit"              # tried too often, or over the budget, and included all the same


# What choosing a key by name lifts: it was left out by a decision, and this is another one.
REOPENABLE = frozenset({ExclusionRule.CREATION_CANCELLED, ExclusionRule.CAUSE_IGNORED, ExclusionRule.CANCELLED_BY_PERSON})
# Why an operation stops a group by itself; its rest stays untouched.
STOP_RULES = (ExclusionRule.CANARY_FAILED, ExclusionRule.SAME_CAUSE, ExclusionRule.BUDGET_SPENT)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A problem as the plan sees it."""

    key: ContentKey
    problem_kind: ProblemKind
    title: str
    owner_title: str
    attempts_today: int = 0
    is_taken: bool = False  # by an item that is planned, queued or running
    cause_id: str = ""
    is_cause_ignored: bool = False
    is_cancelled: bool = False  # a person cancelled its last item, and it has not broken anew since


@dataclass(frozen=True, slots=True)
class PlannedItem:
    key: ContentKey
    action: ItemAction
    problem_kind: ProblemKind
    title: str
    owner_title: str
    cause_id: str = ""
    rule: InclusionRule = InclusionRule.BROKEN


@dataclass(frozen=True, slots=True)
class Excluded:
    key: ContentKey
    rule: ExclusionRule
    title: str
    owner_title: str = ""
    cause_id: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the plan will take, from past items of the same kinds and model. None: no history yet."""

    calls: int
    seconds: float | None
    tokens: int | None
    model: str = ""            # that would write it
    cost: float | None = None  # None: no history yet, or the model has no price
    is_priced: bool = False
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    request_id: str  # confirming the same plan twice is one operation
    scope: Scope
    included: tuple[PlannedItem, ...]
    excluded: tuple[Excluded, ...]
    estimate: Estimate
    as_of: datetime
    overrides_limits: bool = False  # poison and what is over the budget are included; confirming it needs a reason
    reopens: bool = False           # what people cancelled is included

    @property
    def keys(self) -> frozenset[ContentKey]:
        return frozenset(item.key for item in self.included)

    @property
    def largest_causes(self) -> tuple[str, ...]:
        """Of what it includes and what it leaves out, the most frequent first; not all of very many."""
        counts = Counter(row.cause_id for row in (*self.included, *self.excluded) if row.cause_id)
        return tuple(cause_id for cause_id, _count in counts.most_common(LARGEST_CAUSES))

    @property
    def kinds_to_make(self) -> frozenset[ContentKind]:
        """Kinds of which something is made, and not only put right."""
        return frozenset(item.key.kind for item in self.included if item.action is ItemAction.GENERATE)

    @property
    def poison_count(self) -> int:
        return self.count(ExclusionRule.POISON)

    def count(self, rule: ExclusionRule) -> int:
        """How many are left out by this rule."""
        return sum(left_out.rule is rule for left_out in self.excluded)

    @property
    def repairs(self) -> int:
        return sum(item.action is ItemAction.REPAIR for item in self.included)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a plan may include. None is no limit."""

    maximum_attempts_per_day: int | None = None
    budget_calls: int | None = None
    reopens: bool = False  # a person asked for what people cancelled, all of it


def decide(candidate: Candidate, *, is_named: bool, allowance: Allowance) -> PlannedItem | Excluded:
    """Is this problem retried? `is_named`: a person chose this very key, not a filter. The budget is the business of `decide_all`."""
    rule = _exclusion(candidate, allowance)
    is_reopened = rule in REOPENABLE and (is_named or (allowance.reopens and rule is ExclusionRule.CANCELLED_BY_PERSON))
    if is_reopened:
        rule = _poison(candidate, allowance)
    if rule:
        return _left_out(candidate, rule)
    included = InclusionRule.REOPENED if is_reopened else InclusionRule.BROKEN
    action = ItemAction.GENERATE
    if candidate.problem_kind is ProblemKind.DRIFTED:
        included, action = InclusionRule.REPAIR_IS_FREE, ItemAction.REPAIR
    return PlannedItem(candidate.key, action, candidate.problem_kind, candidate.title, candidate.owner_title, candidate.cause_id, included)


def decide_all(
    candidates: Iterable[Candidate], *, is_named: Callable[[ContentKey], bool], allowance: Allowance, overridden: Allowance | None = None,
) -> tuple[tuple[PlannedItem, ...], tuple[Excluded, ...]]:
    """Every candidate, in its order, included or left out; the first that the budget covers, each at one call.

    `overridden` are the limits that a person lifted: what they would have left out is told to be over a limit.
    """
    included: list[PlannedItem] = []
    excluded: list[Excluded] = []
    calls = 0
    for candidate in candidates:
        decision = decide(candidate, is_named=is_named(candidate.key), allowance=allowance)
        if isinstance(decision, Excluded):
            excluded.append(decision)
            continue
        is_call = decision.action is ItemAction.GENERATE
        if is_call and allowance.budget_calls is not None and calls >= allowance.budget_calls:
            excluded.append(_left_out(candidate, ExclusionRule.OVER_BUDGET))
            continue
        calls += is_call
        if overridden and is_call and (_poison(candidate, overridden) or calls > (overridden.budget_calls or calls)):
            decision = replace(decision, rule=InclusionRule.OVER_LIMIT)
        included.append(decision)
    return tuple(included), tuple(excluded)


def _left_out(candidate: Candidate, rule: ExclusionRule) -> Excluded:
    return Excluded(candidate.key, rule, candidate.title, candidate.owner_title, candidate.cause_id)


def _exclusion(candidate: Candidate, allowance: Allowance) -> ExclusionRule | None:
    if candidate.is_taken:
        return ExclusionRule.ALREADY_RUNNING
    if candidate.problem_kind is ProblemKind.UNREADABLE:
        return ExclusionRule.UNREADABLE
    if candidate.problem_kind is ProblemKind.CANCELLED:
        return ExclusionRule.CREATION_CANCELLED
    if candidate.is_cause_ignored:
        return ExclusionRule.CAUSE_IGNORED
    if candidate.is_cancelled:
        return ExclusionRule.CANCELLED_BY_PERSON
    return _poison(candidate, allowance)


def _poison(candidate: Candidate, allowance: Allowance) -> ExclusionRule | None:
    """A repair costs nothing and so knows no limit."""
    most = allowance.maximum_attempts_per_day
    is_poison = most is not None and candidate.problem_kind is not ProblemKind.DRIFTED and candidate.attempts_today >= most
    return ExclusionRule.POISON if is_poison else None
