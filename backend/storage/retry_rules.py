"""ops.retry_rules and ops.retry_rule_runs: the rules, and what each look at them came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from backend.content.keys import ContentKind
from backend.content.limits import QuietHours
from backend.content.retry_rules import RetryRule, RuleBudget, RuleStanding, RuleTerms, RunVerdict, Today
from backend.storage.rule_tables import retry_rule_runs, retry_rules

LONGEST_RUN = timedelta(days=3)  # what an older operation takes today is not counted; while it goes on its rule begins nothing
RUN_LOOKED_BACK = 12  # operations of a rule that tell whether they keep stopping by themselves


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule with who made it and why."""

    rule: RetryRule
    reason: str
    created_by: str
    created_at: datetime
    changed_by: str


def _columns(terms: RuleTerms) -> dict[str, Any]:
    budget = terms.budget
    return {
        "cause_id": terms.cause_id or None, "kind": terms.kind, "run_items": budget.run_items, "day_items": budget.day_items,
        "day_calls": budget.day_calls, "day_tokens": budget.day_tokens, "day_cost": budget.day_cost,
        "backoff_seconds": [int(step.total_seconds()) for step in terms.backoff],
        "quiet_hours": str(terms.quiet_hours) if terms.quiet_hours else None}


def as_rule(row: Any) -> RetryRule:
    terms = RuleTerms(
        row.cause_id or "", ContentKind(row.kind) if row.kind else None,
        RuleBudget(row.run_items, row.day_items, row.day_calls, row.day_tokens, row.day_cost),
        tuple(timedelta(seconds=seconds) for seconds in row.backoff_seconds),
        QuietHours.parse(row.quiet_hours) if row.quiet_hours else None)
    return RetryRule(row.rule_id, terms, row.is_enabled, row.enabled_at, row.changed_at)


def _stored(row: Any) -> StoredRule:
    return StoredRule(as_rule(row), row.reason, row.created_by, row.created_at, row.changed_by)


def insert_rule(connection: Connection, rule_id: str, terms: RuleTerms, *, by: str, reason: str, now: datetime) -> bool:
    """A rule that is off. False: there is one for the same cause and kind."""
    try:
        with connection.begin_nested():
            connection.execute(insert(retry_rules).values(
                rule_id=rule_id, reason=reason, created_by=by, changed_by=by, created_at=now, changed_at=now, **_columns(terms)))
    except IntegrityError:
        return False
    return True


def change_rule(connection: Connection, before: RetryRule, terms: RuleTerms, *, by: str, reason: str, now: datetime) -> bool | None:
    """False: it has been changed or deleted since `before` was read. None: there is another one for the same cause and kind."""
    try:
        with connection.begin_nested():
            return connection.execute(update(retry_rules).where(*_unchanged(before)).values(
                changed_by=by, changed_at=now, reason=reason, **_columns(terms))).rowcount == 1
    except IntegrityError:
        return None


def set_enabled(connection: Connection, rule_id: str, *, is_enabled: bool, by: str, now: datetime) -> bool:
    """off -> on, or on -> off. False: it is so already, or is gone."""
    values: dict[str, Any] = {"enabled_at": now} if is_enabled else {}
    return connection.execute(update(retry_rules).where(
        retry_rules.c.rule_id == rule_id, retry_rules.c.deleted_at.is_(None), retry_rules.c.is_enabled.is_(not is_enabled),
    ).values(is_enabled=is_enabled, changed_by=by, changed_at=now, **values)).rowcount == 1


def delete_rule(connection: Connection, rule_id: str, *, by: str, now: datetime) -> bool:
    """Its row and its history stay; nothing is done by it any more. False: it is gone already."""
    return connection.execute(update(retry_rules).where(
        retry_rules.c.rule_id == rule_id, retry_rules.c.deleted_at.is_(None),
    ).values(is_enabled=False, deleted_at=now, changed_at=now, changed_by=by)).rowcount == 1


def _unchanged(rule: RetryRule) -> tuple[Any, ...]:
    return (retry_rules.c.rule_id == rule.rule_id, retry_rules.c.deleted_at.is_(None), retry_rules.c.changed_at == rule.changed_at)


def find_rule(connection: Connection, rule_id: str) -> StoredRule | None:
    row = connection.execute(select(retry_rules).where(
        retry_rules.c.rule_id == rule_id, retry_rules.c.deleted_at.is_(None))).one_or_none()
    return _stored(row) if row else None


def rule_of_operation(connection: Connection, operation_id: str) -> tuple[RetryRule, bool] | None:
    """(the rule that began it, whether it was deleted since). None: no rule did."""
    row = connection.execute(select(retry_rules).join(retry_rule_runs, retry_rule_runs.c.rule_id == retry_rules.c.rule_id).where(
        retry_rule_runs.c.operation_id == operation_id)).one_or_none()
    return (as_rule(row), row.deleted_at is not None) if row else None


def all_rules(connection: Connection) -> list[StoredRule]:
    """Those that are on first, then the newest."""
    rows = connection.execute(select(retry_rules).where(retry_rules.c.deleted_at.is_(None)).order_by(
        retry_rules.c.is_enabled.desc(), retry_rules.c.created_at.desc(), retry_rules.c.rule_id))
    return [_stored(row) for row in rows]


def hold(connection: Connection, rule: RetryRule) -> bool:
    """Lock it until the transaction ends: one process at a time acts by a rule. False: it was changed, turned off or deleted."""
    return connection.scalar(select(retry_rules.c.rule_id).where(
        *_unchanged(rule), retry_rules.c.is_enabled).with_for_update()) is not None


def rules_to_look_at(connection: Connection, now: datetime) -> list[RetryRule]:
    """Rules that are on and have something whose time has come: one look into an index for each."""
    rows = connection.execute(text(
        "select r.* from ops.retry_rules r where r.is_enabled and r.deleted_at is null and ("
        "  select true from ops.retry_due d where d.rule_id = r.rule_id and d.due_at <= :now order by d.due_at limit 1) "
        "order by r.enabled_at, r.rule_id"), {"now": now})
    return [as_rule(row) for row in rows]


def is_running(connection: Connection, rule_id: str) -> bool:
    """An operation of it has not ended."""
    return bool(connection.scalar(text(
        "select exists (select 1 from ops.retry_rule_runs r join ops.operations o using (operation_id) "
        "where r.rule_id = :rule_id and o.state in ('armed', 'running', 'paused', 'verifying'))"), {"rule_id": rule_id}))


def standing_of(connection: Connection, rule_id: str, day_begins_at: datetime) -> RuleStanding:
    """How it stands now. What it has used today is read from its items that ended today, and from those that have not."""
    rows = connection.execute(text(
        "select o.state, o.settled_at from ops.retry_rule_runs r join ops.operations o using (operation_id) "
        "where r.rule_id = :rule_id order by r.run_id desc limit :limit"), {"rule_id": rule_id, "limit": RUN_LOOKED_BACK}).all()
    ended = [row for row in rows if row.settled_at is not None]
    stopped = 0
    while stopped < len(ended) and ended[stopped].state == "stopped":
        stopped += 1
    return RuleStanding(
        used_since(connection, [rule_id], day_begins_at).get(rule_id, Today()), is_running(connection, rule_id),
        stopped, ended[0].settled_at if ended else None)


def used_since(connection: Connection, rule_ids: Sequence[str], since: datetime) -> dict[str, Today]:
    """rule id -> items that it began since then, and what items of it that ended since then, or have not, took."""
    rows = connection.execute(text(
        "with runs as (select r.rule_id, r.operation_id, r.item_count, r.began_at from ops.retry_rule_runs r "
        "  join ops.operations o using (operation_id) where r.rule_id = any(:rule_ids) and r.began_at >= :looked_back_to "
        "  and (r.began_at >= :since or o.settled_at is null or o.settled_at >= :since)) "
        "select r.rule_id, sum(r.item_count) filter (where r.began_at >= :since) as items, sum(u.calls) as calls, sum(u.tokens) as tokens, "
        "  sum(u.cost) as cost, sum(u.unpriced_calls) as unpriced_calls from runs r left join lateral ("
        "  select sum(calls) as calls, sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) as tokens, sum(cost) as cost, "
        "    sum(calls) filter (where cost is null) as unpriced_calls from ops.items i "
        "  where i.operation_id = r.operation_id and (i.settled_at is null or i.settled_at >= :since)) u on true "
        "group by r.rule_id"), {
            "rule_ids": list(rule_ids), "since": since, "looked_back_to": since - LONGEST_RUN})
    return {row.rule_id: Today(int(row.items or 0), int(row.calls or 0), int(row.tokens or 0), float(row.cost or 0),
                               int(row.unpriced_calls or 0)) for row in rows}


def record_run(connection: Connection, rule_id: str, verdict: RunVerdict, now: datetime, *,
               operation_id: str | None = None, item_count: int = 0, words: str = "") -> None:
    """One more line of its history; the same reason for making none goes on in the line that is there."""
    if operation_id is None:
        last = connection.execute(select(retry_rule_runs.c.run_id, retry_rule_runs.c.verdict, retry_rule_runs.c.words).where(
            retry_rule_runs.c.rule_id == rule_id).order_by(retry_rule_runs.c.run_id.desc()).limit(1)).one_or_none()
        if last is not None and (last.verdict, last.words) == (verdict, words):
            connection.execute(update(retry_rule_runs).where(
                retry_rule_runs.c.run_id == last.run_id, retry_rule_runs.c.last_at < now - timedelta(minutes=1),
            ).values(last_at=func.greatest(retry_rule_runs.c.last_at, now)))
            return
    connection.execute(insert(retry_rule_runs).values(
        rule_id=rule_id, verdict=verdict, operation_id=operation_id, item_count=item_count, words=words, began_at=now, last_at=now))
