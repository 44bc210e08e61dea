"""Retrying without anybody's click, by the rules that people made: runs in the maintenance process.

It plans as people do, with the same rules of what is left out, and confirms as an actor of its own, whose items go to the queue of
machines. Everything that it knows is in PostgreSQL: a restart changes nothing, and two processes do not begin the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from sqlalchemy import Connection, func, select

from backend.actions import breaker, itemising, retry
from backend.actions.actors import Actor, Role
from backend.actions.breaker import Flow
from backend.clock import utc_now
from backend.content import wording
from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits
from backend.content.plans import ExclusionRule, Plan
from backend.content.prices import unpriced_models
from backend.content.retry_rules import (
    LOOK_AGAIN,
    TOLD_VERDICTS,
    Held,
    KeyHistory,
    RetryRule,
    RunVerdict,
    day_begins,
    due_at,
    room_now,
)
from backend.content.scopes import Scope
from backend.content.status import Priority
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import items, retry_due, retry_rules
from backend.storage.estimates import estimate
from backend.storage.problem_list import describe_scope

log = structlog.get_logger()
AUTOMATIC = Actor("automatic", Role.OPERATOR)
LOOKED_AT = 1_000  # keys of one look, besides those that one run may take
Moves = dict[ContentKey, tuple[datetime | None, ExclusionRule | None]]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a look at a rule comes to, before anything is written."""

    verdict: RunVerdict
    until_at: datetime | None = None       # when what holds it may end by itself
    plan: Plan | None = None               # None: nothing was due, or nobody looked
    limits: OperationLimits = field(default_factory=OperationLimits)
    waiting_count: int = 0                 # keys whose time has not come
    stays_count: int = 0                   # keys that were tried as often as there are steps
    moves: Moves = field(default_factory=dict)


def run_due(redrive: Redrive) -> int:
    """One look at every rule that has something due. Returns how many operations were made."""
    with redrive.engine.connect() as connection:
        rules = retry_rules.rules_to_look_at(connection, utc_now())
    return sum(_run(redrive, rule) for rule in rules)


def _run(redrive: Redrive, rule: RetryRule) -> bool:
    foreseen = foresee(redrive, rule)
    if foreseen.verdict is RunVerdict.STARTED and foreseen.plan:
        return _start(redrive, rule, foreseen, foreseen.plan)
    with redrive.engine.begin() as connection:
        retry_due.move(connection, rule.rule_id, foreseen.moves)
        if foreseen.verdict in TOLD_VERDICTS:
            retry_rules.record_run(connection, rule.rule_id, foreseen.verdict, utc_now(), words=_why_none(foreseen))
    return False


def foresee(redrive: Redrive, rule: RetryRule, *, looks_anyway: bool = False) -> Foreseen:
    """What the rule would do now. Writes nothing. Of a rule that is off: what it would do if it were turned on.

    `looks_anyway`: the plan is made also when something holds the rule.
    """
    now = utc_now()
    with redrive.engine.connect() as connection:
        standing = retry_rules.standing_of(connection, rule.rule_id, day_begins(now, redrive.zone))
        model = breaker.current(redrive, connection, _kind_of(connection, rule, now))
        is_held = breaker.flow(redrive, model, now) is Flow.HELD
        found = room_now(rule.terms, standing, redrive.operation_limits, now, redrive.zone, is_model_held=is_held)
        if isinstance(found, Held) and not looks_anyway:
            return Foreseen(found.verdict, found.until_at or (model.retry_at if found.verdict is RunVerdict.MODEL_HELD else None))
        most = rule.terms.budget.run_items if isinstance(found, Held) else found.items
        limits = redrive.operation_limits if isinstance(found, Held) else found.limits
        histories = _keys(connection, rule, now, most + LOOKED_AT, is_off=not rule.is_enabled or looks_anyway)
    seen = _look(redrive, rule, histories, most, limits, now)
    if isinstance(found, Held):
        return Foreseen(found.verdict, found.until_at, seen.plan, limits, seen.waiting_count, seen.stays_count)
    return seen


def _keys(connection: Connection, rule: RetryRule, now: datetime, limit: int, *, is_off: bool) -> list[KeyHistory]:
    return retry_due.in_scope(connection, rule, limit) if is_off else retry_due.due(connection, rule, now, limit)


def _kind_of(connection: Connection, rule: RetryRule, now: datetime) -> ContentKind:
    """Whose maker is asked: pictures have another one than texts. What one cause broke is made by one."""
    first = [] if rule.terms.kind else _keys(connection, rule, now, 1, is_off=not rule.is_enabled)
    return rule.terms.kind or (first[0].key.kind if first else ContentKind.TUTORIAL)


def _look(
    redrive: Redrive, rule: RetryRule, histories: Sequence[KeyHistory], most: int, limits: OperationLimits, now: datetime,
) -> Foreseen:
    """Which of these keys are due, and the plan of as many as may go. What a plan leaves out makes room for the next."""
    times = {history.key: due_at(rule.terms.backoff, history) for history in histories}
    moves: Moves = {key: (at, ExclusionRule.POISON if at is None else None) for key, at in times.items() if at is None or at > now}
    stays = sum(at is None for at, _rule in moves.values())
    due = [key for key in times if key not in moves]
    counts = {"waiting_count": len(moves) - stays, "stays_count": stays}
    if not due:
        return Foreseen(RunVerdict.NOTHING_DUE, moves=moves, **counts)
    plan = retry.plan(redrive, Scope.of(*due), AUTOMATIC, by_rule=True)
    plan = _first(redrive, plan, most)
    for left_out in plan.excluded:
        patience = LOOK_AGAIN[left_out.rule]
        moves[left_out.key] = (now + patience if patience else None, left_out.rule)
    return Foreseen(_verdict(redrive, plan, limits), None, plan, limits, moves=moves, **counts)


def _verdict(redrive: Redrive, plan: Plan, limits: OperationLimits) -> RunVerdict:
    if not plan.included:
        return RunVerdict.ALL_LEFT_OUT
    is_kept = limits.budget_cost is None or not unpriced_models(redrive.settings, plan.kinds_to_make)
    return RunVerdict.STARTED if is_kept else RunVerdict.NO_PRICE


def _first(redrive: Redrive, plan: Plan, most: int) -> Plan:
    """The longest broken ones of a plan; the others are due still, and their turn comes."""
    if len(plan.included) <= most:
        return plan
    chosen = plan.included[:most]
    with redrive.engine.connect() as connection:
        takes = estimate(connection, chosen, redrive.settings)
    return replace(plan, scope=Scope.of(*(row.key for row in (*chosen, *plan.excluded))), included=chosen, estimate=takes)


def _start(redrive: Redrive, rule: RetryRule, foreseen: Foreseen, plan: Plan) -> bool:
    """The operation, the line of history and the next times of its keys in one transaction. False: somebody was quicker."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        if not retry_rules.hold(connection, rule) or retry_rules.is_running(connection, rule.rule_id):
            return False
        connection.execute(select(func.pg_advisory_xact_lock(retry.CONFIRM_LOCK)))
        itemising.write_all(connection)
        taken = items.keys_in_work(connection, [item.key for item in plan.included])
        left = [item for item in plan.included if item.key not in taken]
        again = (now + LOOK_AGAIN[ExclusionRule.ALREADY_RUNNING], None)  # a key that fails is noted anew by its problem
        retry_due.move(connection, rule.rule_id, foreseen.moves | {item.key: again for item in plan.included})
        if not left:
            return False
        scope_words = describe_scope(connection, Scope.matching(rule.terms.filter))
        stored = retry_rules.find_rule(connection, rule.rule_id)
        # What plans leave out is told by the rule, look after look; its operation is about what it does.
        operation_id = retry.store(
            redrive, connection, Plan(plan.request_id, Scope.of(*(item.key for item in left)), tuple(left), (), plan.estimate, plan.as_of),
            left, AUTOMATIC, stored.reason if stored else "", foreseen.limits, armed_seconds=0,
            name=_("automatic: {scope}").format(scope=scope_words), priority=Priority.AUTOMATIC)
        retry_rules.record_run(
            connection, rule.rule_id, RunVerdict.STARTED, now, operation_id=operation_id, item_count=len(left))
    log.info("automatic_retry", rule_id=rule.rule_id, operation_id=operation_id, count=len(left))
    return True


def _why_none(foreseen: Foreseen) -> str:
    """By which rules all of it was left out; "" when the verdict says it."""
    if foreseen.plan is None or foreseen.verdict is not RunVerdict.ALL_LEFT_OUT:
        return ""
    return " ".join(sorted({wording.EXCLUSION_RULES[left_out.rule] for left_out in foreseen.plan.excluded}))
