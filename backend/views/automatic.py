"""Automatic retries as their page shows them: each rule, what holds it, what it did last, and what it has used today."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.retry_rules import Held, RetryRule, RunVerdict, Today, day_begins, room_now
from backend.content.rule_wording import rule_scope
from backend.content.secrets import without_secrets
from backend.content.status import OperationState
from backend.redrive import Redrive
from backend.storage import retry_rules
from backend.storage.retry_rules import StoredRule
from backend.views.causes import Retries

SUCCESS_DAYS = 30  # of which the success rate of a rule is told
RUNS = 50


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the history of a rule."""

    verdict: RunVerdict
    began_at: datetime
    last_at: datetime              # the same held it until then
    words: str
    operation_id: str = ""         # that it made
    item_count: int = 0
    state: OperationState | None = None  # of the operation
    retries: Retries = field(default_factory=Retries)


@dataclass(frozen=True, slots=True)
class RuleRow:
    stored: StoredRule
    scope: str                     # what it is for, in words; without secrets
    due_count: int                 # keys whose time has come
    waiting_count: int             # keys whose time comes
    stays_count: int               # keys that it leaves to people: tried too often, cancelled, ...
    next_due_at: datetime | None
    held: Held | None              # what keeps it from beginning now; None: nothing does
    today: Today
    retries: Retries               # of the last SUCCESS_DAYS days
    last: Run | None

    @property
    def rule(self) -> RetryRule:
        return self.stored.rule


@dataclass(frozen=True, slots=True)
class Starter:
    """The rule that began an operation."""

    rule_id: str
    scope: str                     # as in RuleRow
    is_deleted: bool               # since then


@dataclass(frozen=True, slots=True)
class RulesView:
    as_of: datetime
    rows: tuple[RuleRow, ...]      # those that are on first
    deleted_count: int

    @property
    def kinds(self) -> frozenset[ContentKind]:
        """Kinds that a rule of their own is for, whatever the cause."""
        return frozenset(row.rule.terms.kind for row in self.rows if row.rule.terms.kind and not row.rule.terms.cause_id)


def rules(redrive: Redrive) -> RulesView:
    now = utc_now()
    with redrive.engine.connect() as connection:
        found = retry_rules.all_rules(connection)
        titles = _cause_titles(connection, [stored.rule.terms.cause_id for stored in found if stored.rule.terms.cause_id])
        counted = {row.rule_id: row for row in connection.execute(_DUE, {"now": now})}
        ended = {row.rule_id: Retries(row.succeeded, row.failed) for row in connection.execute(
            _ENDED, {"since": now - timedelta(days=SUCCESS_DAYS)})}
        rows = tuple(_row(redrive, connection, stored, titles, counted.get(stored.rule.rule_id), ended, now) for stored in found)
        deleted = connection.scalar(text("select count(*) from ops.retry_rules where deleted_at is not null")) or 0
    return RulesView(now, rows, deleted)


_DUE = text(
    "select rule_id, count(*) filter (where due_at <= :now) as due, count(*) filter (where due_at > :now) as waiting, "
    "count(*) filter (where due_at is null) as stays, min(due_at) as next_at from ops.retry_due group by rule_id")
_ENDED = text(
    "select r.rule_id, count(*) filter (where i.state = 'succeeded') as succeeded, count(*) filter (where i.state = 'failed') as failed "
    "from ops.retry_rule_runs r join ops.items i using (operation_id) where r.began_at > :since group by r.rule_id")


def _row(
    redrive: Redrive, connection: Connection, stored: StoredRule, titles: dict[str, str], counted: Any, ended: dict[str, Retries],
    now: datetime,
) -> RuleRow:
    rule = stored.rule
    standing = retry_rules.standing_of(connection, rule.rule_id, day_begins(now, redrive.zone))
    found = room_now(rule.terms, standing, redrive.operation_limits, now, redrive.zone, is_model_held=False)
    last = _runs(connection, rule.rule_id, 1)
    return RuleRow(
        stored, rule_scope(rule.terms, titles.get(rule.terms.cause_id, "")),
        counted.due if counted else 0, counted.waiting if counted else 0, counted.stays if counted else 0,
        counted.next_at if counted else None, found if isinstance(found, Held) else None, standing.today,
        ended.get(rule.rule_id, Retries()), last[0] if last else None)


def runs(redrive: Redrive, rule_id: str, *, limit: int = RUNS) -> tuple[Run, ...]:
    """The history of a rule, the newest first."""
    with redrive.engine.connect() as connection:
        return _runs(connection, rule_id, limit)


def starter_of(redrive: Redrive, operation_id: str) -> Starter | None:
    """None: a person began it."""
    with redrive.engine.connect() as connection:
        found = retry_rules.rule_of_operation(connection, operation_id)
        if found is None:
            return None
        rule, is_deleted = found
        titles = _cause_titles(connection, [rule.terms.cause_id])
    return Starter(rule.rule_id, rule_scope(rule.terms, titles.get(rule.terms.cause_id, "")), is_deleted)


def _runs(connection: Connection, rule_id: str, limit: int) -> tuple[Run, ...]:
    rows = connection.execute(text(
        "select r.*, o.state, u.succeeded, u.failed from (select * from ops.retry_rule_runs where rule_id = :rule_id "
        "  order by run_id desc limit :limit) r left join ops.operations o using (operation_id) "
        "left join lateral (select count(*) filter (where i.state = 'succeeded') as succeeded, "
        "  count(*) filter (where i.state = 'failed') as failed from ops.items i where i.operation_id = r.operation_id) u on true "
        "order by r.run_id desc"), {"rule_id": rule_id, "limit": limit})
    return tuple(Run(
        RunVerdict(row.verdict), row.began_at, row.last_at, row.words, row.operation_id or "", row.item_count,
        OperationState(row.state) if row.state else None, Retries(row.succeeded, row.failed)) for row in rows)


def _cause_titles(connection: Connection, cause_ids: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(text(
        "select cause_id, error_kind, title from ops.causes where cause_id = any(:cause_ids)"), {"cause_ids": list(cause_ids)})
    return {row.cause_id: without_secrets(wording.cause_title(ErrorKind(row.error_kind), row.title)) for row in rows}
