"""The dry run of a retry: exactly which keys, which are left out, and the rule that decided each. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemAction


class ExclusionRule(StrEnum):
    ALREADY_RUNNING = "already_running"    # an item is planned, queued or running, or a platform task lives
    NOT_BROKEN = "not_broken"              # the detector finds nothing wrong with it (any more)
    POISON = "poison"                      # tried too often in the last 24 hours; an admin may override it
    NOT_SUPPORTED = "not_supported"        # no generator for this kind of content yet
    UNREADABLE = "unreadable"              # framework_data must be mended at its source
    CREATION_CANCELLED = "creation_cancelled"  # reopened only when chosen by name
    CHANGED = "changed"                    # needs something else than was planned
    CANARY_FAILED = "canary_failed"        # the first items of its group failed: not begun
    SAME_CAUSE = "same_cause"              # one cause kept returning in its group: not begun
    BUDGET_SPENT = "budget_spent"          # its operation may spend no more: not begun


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


@dataclass(frozen=True, slots=True)
class PlannedItem:
    key: ContentKey
    action: ItemAction
    problem_kind: ProblemKind
    title: str
    owner_title: str
    cause_id: str = ""


@dataclass(frozen=True, slots=True)
class Excluded:
    key: ContentKey
    rule: ExclusionRule
    title: str
    owner_title: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the plan will take, from past items of the same kinds. None: no history yet."""

    calls: int
    seconds: float | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    request_id: str  # confirming the same plan twice is one operation
    scope: Scope
    included: tuple[PlannedItem, ...]
    excluded: tuple[Excluded, ...]
    estimate: Estimate
    as_of: datetime
    overrides_limits: bool = False  # poison is included; confirming it needs a reason

    @property
    def keys(self) -> frozenset[ContentKey]:
        return frozenset(item.key for item in self.included)

    @property
    def poison_count(self) -> int:
        return sum(left_out.rule is ExclusionRule.POISON for left_out in self.excluded)

    @property
    def repairs(self) -> int:
        return sum(item.action is ItemAction.REPAIR for item in self.included)


def decide(candidate: Candidate, *, is_named: bool, maximum_attempts_per_day: int | None) -> PlannedItem | Excluded:
    """Is this problem retried? `is_named`: a person chose this very key, not a filter. Without a maximum nothing is poison."""
    rule = _exclusion(candidate, is_named, maximum_attempts_per_day)
    if rule:
        return Excluded(candidate.key, rule, candidate.title, candidate.owner_title)
    action = ItemAction.REPAIR if candidate.problem_kind is ProblemKind.DRIFTED else ItemAction.GENERATE
    return PlannedItem(candidate.key, action, candidate.problem_kind, candidate.title, candidate.owner_title, candidate.cause_id)


def decide_all(
    candidates: Iterable[Candidate], *, is_named: Callable[[ContentKey], bool], maximum_attempts_per_day: int | None,
) -> tuple[tuple[PlannedItem, ...], tuple[Excluded, ...]]:
    decisions = [
        decide(candidate, is_named=is_named(candidate.key), maximum_attempts_per_day=maximum_attempts_per_day)
        for candidate in candidates]
    return (tuple(decision for decision in decisions if isinstance(decision, PlannedItem)),
            tuple(decision for decision in decisions if isinstance(decision, Excluded)))


def _exclusion(candidate: Candidate, is_named: bool, maximum_attempts_per_day: int | None) -> ExclusionRule | None:
    if candidate.is_taken:
        return ExclusionRule.ALREADY_RUNNING
    if candidate.key.kind is ContentKind.FRAMEWORK:
        return ExclusionRule.UNREADABLE
    if candidate.key.kind not in CONCEPT_KINDS:
        return ExclusionRule.NOT_SUPPORTED
    if candidate.problem_kind is ProblemKind.CANCELLED and not is_named:
        return ExclusionRule.CREATION_CANCELLED
    if (maximum_attempts_per_day is not None and candidate.problem_kind is not ProblemKind.DRIFTED
            and candidate.attempts_today >= maximum_attempts_per_day):
        return ExclusionRule.POISON
    return None
