"""Retrying: a plan that writes nothing, and its confirmation that acts on exactly the keys of the plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, func, select

from backend.actions import itemising
from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.clock import utc_now
from backend.content import wording
from backend.content.detector import judge_owner
from backend.content.keys import ContentKey, ContentKind, Owner
from backend.content.limits import OperationLimits, looser_in
from backend.content.plans import Allowance, Excluded, ExclusionRule, Plan, PlannedItem, decide_all
from backend.content.prices import check_money
from backend.content.problems import KeyState
from backend.content.scopes import Scope
from backend.content.status import OperationState, Priority
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, groups, items
from backend.storage.estimates import estimate
from backend.storage.facts import load_facts
from backend.storage.problem_list import describe_scope, load_candidates

NAMED_KEYS = 5
CONFIRM_LOCK = 7_203_003  # confirming is one at a time: the second of two people sees the first one's items


class NothingToRetry(Exception):
    """The plan holds nothing that can be done now; str() says why. Not a success."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    operation_id: str
    item_count: int
    overtaken_count: int        # keys of the plan that somebody else had begun in the meantime
    armed_seconds: float = 0.0  # so long it can be undone before it starts


def plan(
    redrive: Redrive, scope: Scope, actor: Actor, *, overrides_limits: bool = False, reopens: bool = False, by_rule: bool = False,
) -> Plan:
    """What a retry of the scope would do: every key included, every key left out, each with its rule. Writes nothing.

    `overrides_limits` includes what was tried too often or is over the budget, `reopens` what people cancelled. `by_rule`: a rule chose the
    keys, so none counts as chosen by name, and no decision of people is lifted. Raises NotAllowed.
    """
    require(actor, Permission.OVERRIDE_LIMITS if overrides_limits else Permission.RETRY)
    now, given = utc_now(), redrive.settings
    limits = Allowance(given.maximum_attempts_per_day, given.operation_budget_calls or None, reopens)
    with redrive.engine.connect() as connection:
        candidates = load_candidates(connection, scope, now)
        named = frozenset() if by_rule else frozenset(scope.keys)
        included, excluded = decide_all(
            candidates, is_named=named.__contains__, allowance=Allowance(reopens=reopens) if overrides_limits else limits,
            overridden=limits if overrides_limits else None)
        broken = {candidate.key for candidate in candidates}
        excluded += _unlisted(redrive, connection, [key for key in scope.keys if key not in broken], now)
        return Plan(uuid4().hex, scope, included, excluded, estimate(connection, included, given), now, overrides_limits, reopens)


def _unlisted(redrive: Redrive, connection: Connection, keys: Sequence[ContentKey], now: datetime) -> tuple[Excluded, ...]:
    """Why the list does not hold keys that were named: somebody works on them, they are not broken any more, or not listed yet."""
    owners = {Owner(key.kind.owner_kind, key.owner_id) for key in keys}
    facts = load_facts(connection, owners, every_key=True) if owners else {}
    verdicts = {verdict.key: verdict for found in facts.values() for verdict in judge_owner(found, now, redrive.limits)}
    busy = {key for key, verdict in verdicts.items() if verdict.state is KeyState.IN_PROGRESS} | set(items.keys_in_work(connection, keys))

    def rule(key: ContentKey) -> ExclusionRule:
        if key in busy:
            return ExclusionRule.ALREADY_RUNNING
        owner = facts.get(Owner(key.kind.owner_kind, key.owner_id))
        if owner is None:
            return ExclusionRule.OWNER_GONE
        if owner.framework_faults and key not in verdicts:
            return ExclusionRule.UNREADABLE
        if key in verdicts and verdicts[key].state is KeyState.PROBLEM:
            return ExclusionRule.NOT_LISTED
        return ExclusionRule.ALREADY_MADE if key.kind is ContentKind.COVER else ExclusionRule.NOT_BROKEN

    return tuple(Excluded(key, rule(key), key.part or key.owner_id) for key in keys)


def confirm(
    redrive: Redrive, accepted: Plan, actor: Actor, reason: str = "", *, limits: OperationLimits | None = None,
    priority: Priority | None = None, once_a_day: bool = False,
) -> Confirmed:
    """Store the plan as an operation with one item for each of its keys, in one transaction. Without limits those of the settings hold.

    Without a priority its size decides. `once_a_day`: keys that were tried in the last 24 hours are left alone, however that ended.
    Confirming the same plan again gives the same operation. Keys that somebody else began in the meantime are left
    to them. Raises NotAllowed, ReasonNeeded when limits are overridden or loosened without one, NothingToRetry, or
    NoPrice when a budget of money cannot be kept.
    """
    require(actor, Permission.OVERRIDE_LIMITS if accepted.overrides_limits else Permission.RETRY)
    limits = limits or default_limits(redrive, accepted)
    why = asks_why(redrive, accepted, limits)
    if why and not reason.strip():
        raise ReasonNeeded(why)
    if not accepted.included:
        raise NothingToRetry(_nothing_left(accepted.excluded))
    if limits.budget_cost is not None:
        check_money(redrive.settings, accepted.kinds_to_make)
    with redrive.engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(CONFIRM_LOCK)))
        earlier = items.operation_of_request(connection, accepted.request_id)
        if earlier:
            stored = items.planned_count(connection, earlier)
            return Confirmed(earlier, stored, len(accepted.included) - stored)
        itemising.write_all(connection)
        taken = items.keys_in_work(connection, [item.key for item in accepted.included])
        left = [item for item in accepted.included if item.key not in taken] if taken else list(accepted.included)
        if once_a_day and left:
            tried = items.tried_today(connection, [item.key for item in left], utc_now())
            left = [item for item in left if item.key not in tried]
        if not left:
            raise NothingToRetry(_("{items} of this plan are already being retried; nothing was started twice.").format(
                items=wording.items(len(taken))))
        armed_seconds = _armed_seconds(redrive, len(left))
        operation_id = store(
            redrive, connection, accepted, left, actor, reason, limits, armed_seconds=armed_seconds, priority=priority)
        return Confirmed(operation_id, len(left), len(taken), armed_seconds)


def default_limits(redrive: Redrive, accepted: Plan) -> OperationLimits:
    """Those of the settings. A plan over the budget of calls, which somebody with the role accepted, is not stopped by it on its way."""
    limits = redrive.operation_limits
    return replace(limits, budget_calls=None) if accepted.overrides_limits else limits


def asks_why(redrive: Redrive, accepted: Plan, limits: OperationLimits) -> str:
    """What has to be given a reason before this plan is confirmed with these limits; "" when nothing has."""
    if accepted.overrides_limits:
        return _("Say why the limit of tries is overridden.")
    if looser_in(limits, redrive.operation_limits):
        return _("Say why these limits are looser than those of the settings.")
    return ""


def store(
    redrive: Redrive, connection: Connection, accepted: Plan, left: Sequence[PlannedItem], actor: Actor, reason: str,
    limits: OperationLimits, *, armed_seconds: float, name: str = "", priority: Priority | None = None,
) -> str:
    """The operation of those items of a plan, in the transaction of the caller, who knows that nobody else works on them.

    Without a name it is the scope in words, without a priority its size decides.
    """
    operation_id, now = uuid4().hex, utc_now()
    name = name or describe_scope(connection, accepted.scope)
    by_size = Priority.INTERACTIVE if len(left) <= redrive.settings.interactive_items else Priority.BULK
    waits = armed_seconds > 0 or itemising.is_large(len(left))  # until it cannot be undone any more, or until all its items are written
    items.insert_operation(
        connection, operation_id=operation_id, request_id=accepted.request_id, name=name,
        state=OperationState.ARMED if waits else OperationState.RUNNING,
        priority=priority or by_size, actor_id=actor.actor_id, actor_role=actor.role,
        reason=reason, scope=accepted.scope.as_json(), limits=limits.as_json(), planned_count=len(left),
        started_at=None if waits else now,
        starts_at=now + timedelta(seconds=armed_seconds) if armed_seconds else None)
    by_cause, canary_items = groups.insert_groups(
        connection, operation_id, left, canary_items=limits.canary_items, canary_above_items=redrive.settings.canary_above_items)
    itemising.store(connection, operation_id, items.item_columns(left, by_cause, canary_items), reason)
    groups.insert_left_out(connection, operation_id, _left_out(accepted, left))
    audit.record(
        connection, actor, action="retry_over_limit" if accepted.overrides_limits else "retry", scope=name, reason=reason,
        operation_id=operation_id, result=_("{items} planned").format(items=wording.items(len(left))))
    return operation_id


def _left_out(accepted: Plan, left: Sequence[PlannedItem]) -> list[tuple[str, str, str, str, str]]:
    """Keys of the plan that become no items, each with its rule: those of the dry run, and those that were begun since then."""
    rows = {found.key: (found.title, found.rule) for found in accepted.excluded}
    if len(left) < len(accepted.included):
        kept = {item.key for item in left}
        rows |= {item.key: (item.title, ExclusionRule.ALREADY_RUNNING) for item in accepted.included if item.key not in kept}
    return [(key.kind.value, key.owner_id, key.part, title, rule.value) for key, (title, rule) in rows.items()]


def _armed_seconds(redrive: Redrive, item_count: int) -> float:
    return redrive.settings.armed_seconds if item_count <= redrive.settings.interactive_items else 0.0


def _nothing_left(excluded: Sequence[Excluded]) -> str:
    if not excluded:
        return _("Nothing to retry: no problem matches.")
    rules = sorted({wording.EXCLUSION_RULES[left_out.rule] for left_out in excluded})
    found = list(dict.fromkeys("/".join(filter(None, (left_out.key.owner_id, left_out.key.part))) for left_out in excluded))
    return _("Nothing to retry: {items} left out ({names}). {rules}").format(
        items=wording.items(len(excluded)), rules=" ".join(rules),
        names=", ".join(found[:NAMED_KEYS]) + (" …" if len(found) > NAMED_KEYS else ""))
