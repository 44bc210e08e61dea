"""ops.retry_due: the problems that each rule is for, and when each is looked at next. Triggers on ops.problems note and forget them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.retry_rules import KeyHistory, RetryRule

# Automatic tries that failed since the key was last good, and when anybody's try failed last. A key has few items.
_HISTORIES = """
    select d.kind, d.owner_id, d.part, p.since_at, h.failed_count, h.last_failed_at from ({keys}) d
    join ops.problems p on p.kind = d.kind and p.owner_id = d.owner_id and p.part = d.part
    cross join lateral (
      select count(*) filter (where i.is_automatic and i.settled_at > cast(:counted_since as timestamptz)) as failed_count,
        max(i.settled_at) as last_failed_at
      from (select i.item_id, i.settled_at, o.priority = 'automatic' as is_automatic from ops.items i
            join ops.operations o using (operation_id)
            where i.owner_id = d.owner_id and i.kind = d.kind and i.part = d.part and i.state = 'failed' and i.action = 'generate'
              and i.item_id > coalesce((
                select max(s.item_id) from ops.items s where s.owner_id = d.owner_id and s.kind = d.kind and s.part = d.part
                and s.state = 'succeeded' and s.action = 'generate'), 0)) i) h
    order by d.at, d.kind, d.owner_id, d.part"""
_DUE = _HISTORIES.format(keys="select kind, owner_id, part, due_at as at from ops.retry_due where rule_id = :rule_id and due_at <= :now "
                              "order by due_at limit :limit")
_IN_SCOPE = _HISTORIES.format(
    keys="select kind, owner_id, part, since_at as at from ops.problems where (cast(:kind as text) is null or kind = :kind) "
         "and (cast(:cause_id as text) is null or cause_id = coalesce("
         "  (select a.cause_id from ops.cause_aliases a where a.fingerprint = :cause_id), :cause_id)) "
         "order by since_at limit :limit")

# As the trigger does for what changes.
_NOTE_ALL = text("""
    insert into ops.retry_due (owner_id, kind, part, rule_id, due_at)
    select p.owner_id, p.kind, p.part, r.rule_id, clock_timestamp() from ops.retry_rules r
    left join ops.cause_aliases a on a.fingerprint = r.cause_id
    join ops.problems p on (r.kind is null or p.kind = r.kind) and (r.cause_id is null or p.cause_id = coalesce(a.cause_id, r.cause_id))
    where r.rule_id = :rule_id and r.is_enabled and r.deleted_at is null order by 1, 2, 3
    on conflict (owner_id, kind, part, rule_id) do update set due_at = excluded.due_at, left_out_rule = null""")


def due(connection: Connection, rule: RetryRule, now: datetime, limit: int) -> list[KeyHistory]:
    """What the rule has to look at now, the longest due first."""
    rows = connection.execute(text(_DUE), {"rule_id": rule.rule_id, "now": now, "limit": limit, **_counted(rule)})
    return [_history(row) for row in rows]


def in_scope(connection: Connection, rule: RetryRule, limit: int) -> list[KeyHistory]:
    """What it would look at if it were turned on now, the oldest problems first."""
    terms = rule.terms
    rows = connection.execute(text(_IN_SCOPE), {
        "kind": terms.kind, "cause_id": terms.cause_id or None, "limit": limit, **_counted(rule)})
    return [_history(row) for row in rows]


def _counted(rule: RetryRule) -> dict[str, Any]:
    """None counts nothing: turning it on begins anew."""
    return {"counted_since": rule.enabled_at if rule.is_enabled else None}


def _history(row: Any) -> KeyHistory:
    return KeyHistory(ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.since_at, row.failed_count, row.last_failed_at)


def note_all(connection: Connection, rule_id: str) -> None:
    """Everything that is broken now and that this rule, which is on, is for. The caller holds `cause_records.hold_alone`: a drain at
    work might list what neither it nor its trigger sees.
    """
    connection.execute(_NOTE_ALL, {"rule_id": rule_id})


def note_causes_anew(connection: Connection) -> None:
    """Causes were merged or parted: what each rule of a cause is for may be more now, or less. The caller holds `hold_alone`."""
    for rule_id in connection.scalars(text(
            "select rule_id from ops.retry_rules where is_enabled and deleted_at is null and cause_id is not null order by rule_id")).all():
        forget_all(connection, rule_id)
        note_all(connection, rule_id)


def forget_all(connection: Connection, rule_id: str) -> None:
    connection.execute(text("delete from ops.retry_due where rule_id = :rule_id"), {"rule_id": rule_id})


def move(connection: Connection, rule_id: str, due_by_key: Mapping[ContentKey, tuple[datetime | None, ExclusionRule | None]]) -> None:
    """When each of these keys is looked at next, and why not now. What is forgotten in the meantime stays so."""
    if not due_by_key:
        return
    keys: Sequence[ContentKey] = sorted(due_by_key)
    connection.execute(text(
        "update ops.retry_due d set due_at = m.due_at, left_out_rule = m.left_out_rule "
        "from unnest(cast(:owners as text[]), cast(:kinds as text[]), cast(:parts as text[]), cast(:due as timestamptz[]), "
        "  cast(:rules as text[])) as m(owner_id, kind, part, due_at, left_out_rule) "
        "where d.rule_id = :rule_id and d.owner_id = m.owner_id and d.kind = m.kind and d.part = m.part"), {
            "rule_id": rule_id, "owners": [key.owner_id for key in keys], "kinds": [key.kind.value for key in keys],
            "parts": [key.part for key in keys], "due": [due_by_key[key][0] for key in keys],
            "rules": [rule.value if (rule := due_by_key[key][1]) else None for key in keys]})
