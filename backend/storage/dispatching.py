"""What the dispatcher reads: operations that may go on, how each stands, and the next of their planned items.

Nothing here reads all that is planned: an operation of 100,000 costs a round what one of 100 does. So "is there any" is a
subquery with a limit: of an exists the planner makes a join, which reads them all. And they are taken in the order of their place,
which one index alone has: by item_id the planner may go through the primary key, past all that was done before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from backend.content.keys import ContentKind
from backend.content.limits import Load, OperationLimits, Spent
from backend.content.status import Priority
from backend.storage.items import StoredItem, as_item

COUNTED = 2000  # of what is in flight: no limit that is counted against is larger


@dataclass(frozen=True, slots=True)
class Standing:
    """An operation at one moment."""

    operation_id: str
    actor_id: str
    limits: OperationLimits
    load: Load
    has_queued: bool
    started_at: datetime | None
    window_since: datetime | None


_STANDING = (
    "select o.*, coalesce(s.items, 0) as new_items, coalesce(s.calls, 0) as new_calls, coalesce(s.tokens, 0) as new_tokens, "
    "  coalesce(s.cost, 0) as new_cost, coalesce(s.unpriced_calls, 0) as new_unpriced_calls, coalesce(w.most, 0) as same_cause, "
    "  (select count(*) from (select 1 from ops.items i where i.operation_id = o.operation_id and i.state in ('queued', 'running') "
    f"    and i.action = 'generate' limit {COUNTED}) f) as in_flight, "
    "  coalesce((select true from ops.items i where i.operation_id = o.operation_id and i.state = 'queued' limit 1), false) as has_queued "
    "from ops.operations o "
    "left join lateral (select count(*) as items, sum(calls) as calls, sum(tokens) as tokens, sum(cost) as cost, "
    "    sum(unpriced_calls) as unpriced_calls from ops.spendings s where s.operation_id = o.operation_id) s on true "
    "left join lateral (select max(count) as most from (select count(*) from ("
    "    select i.state, i.cause_id from ops.items i where i.operation_id = o.operation_id "
    "    and i.action = 'generate' and (i.state = 'failed' or i.state = 'succeeded' and i.calls is distinct from 0) "
    "    and i.settled_at > coalesce(o.window_since, '-infinity') "
    "    order by i.settled_at desc limit coalesce((o.limits ->> 'same_cause_window')::bigint, 0)) l "
    "  left join ops.cause_aliases a on a.fingerprint = l.cause_id "
    "  where l.state = 'failed' group by coalesce(a.cause_id, l.cause_id)) c) w on true ")


def prefer_indexes(connection: Connection) -> None:
    """In this transaction: with a limit the planner hopes for the first rows of the table to be the right ones; they are the oldest."""
    connection.execute(text("set local enable_seqscan = off"))


def lock_running(connection: Connection, priority: Priority, limit: int) -> list[str]:
    """Running operations of a priority that have something planned, oldest first, locked for this transaction.

    One that is being paused waits for this, or this leaves it alone.
    """
    return list(connection.scalars(text(
        "select operation_id from ops.operations o where state = 'running' and priority = :priority and ("
        "  select true from ops.items p where p.operation_id = o.operation_id and p.state = 'planned' "
        "  order by p.group_id, p.place limit 1) "
        "order by created_at, operation_id limit :limit for no key update"), {"priority": priority, "limit": limit}))


def standing(connection: Connection, operation_ids: Sequence[str]) -> list[Standing]:
    """How these stand now, in this order. What is in flight and what was spent are of one moment: no item is missed or counted twice."""
    found = {row.operation_id: _standing(row) for row in connection.execute(
        text(_STANDING + "where o.operation_id = any(:ids)"), {"ids": list(operation_ids)})}
    return [found[operation_id] for operation_id in operation_ids if operation_id in found]


def going(connection: Connection) -> list[Standing]:
    """Every operation that runs or is paused, oldest first."""
    rows = connection.execute(text(_STANDING + "where o.state in ('running', 'paused') order by o.created_at, o.operation_id"))
    return [_standing(row) for row in rows]


def _standing(row: Any) -> Standing:
    spent = Spent(row.spent_calls + row.new_calls, row.spent_tokens + row.new_tokens, row.spent_cost + row.new_cost,
                  row.spent_items + row.new_items, row.spent_unpriced_calls + row.new_unpriced_calls)
    load = Load(spent, row.in_flight, row.same_cause, row.paced_at)
    return Standing(row.operation_id, row.actor_id, OperationLimits.from_json(row.limits), load, row.has_queued, row.started_at,
                    row.window_since)


def planned_repairs(connection: Connection, operation_id: str, limit: int) -> list[StoredItem]:
    """The next items that call no model, locked for this transaction."""
    return _locked(connection, "p.group_id is null and p.action = 'repair'", operation_id, limit)


def planned_items(
    connection: Connection, operation_id: str, limit: int, kinds: Sequence[ContentKind] | None = None,
) -> list[StoredItem]:
    """The next items that may call a model, locked for this transaction: canaries first, then of each open group its share.

    With `kinds` only of those.
    """
    # Drafts, and what was planned before there were groups.
    found = _locked(connection, "p.group_id is null and p.action <> 'repair'", operation_id, limit, kinds)
    for more in (_CANARIES, _OPEN):
        if len(found) < limit:
            found += _rows(connection, more, operation_id, limit - len(found), kinds)
    return found


def _locked(
    connection: Connection, which: str, operation_id: str, limit: int, kinds: Sequence[ContentKind] | None = None,
) -> list[StoredItem]:
    return _rows(connection, _PLANNED.format(which=which, of_kinds="{of_kinds}"), operation_id, limit, kinds)


def _rows(
    connection: Connection, query: str, operation_id: str, limit: int, kinds: Sequence[ContentKind] | None,
) -> list[StoredItem]:
    of_kinds = "" if kinds is None else "and p.kind = any(:kinds)"
    rows = connection.execute(text(query.format(of_kinds=of_kinds)), {
        "operation_id": operation_id, "limit": limit, **({} if kinds is None else {"kinds": [kind.value for kind in kinds]})})
    return [as_item(row) for row in rows]


_PLANNED = (
    "select * from ops.items p where p.operation_id = :operation_id and p.state = 'planned' and {which} {of_kinds} "
    "order by p.place limit :limit for update skip locked")
_CANARIES = (
    "select i.* from ops.groups g cross join lateral ("
    "  select * from ops.items p where p.operation_id = :operation_id and p.group_id = g.group_id "
    "  and p.canary_round = g.canary_round and p.state = 'planned' {of_kinds} order by p.place limit :limit for update skip locked) i "
    "where g.operation_id = :operation_id and g.state = 'canary' limit :limit")
# No sort over all that is planned: each open group gives the first of its own, as many as there are groups to share the room.
_OPEN = (
    "select i.* from (select g.group_id, count(*) over () as groups from ops.groups g "
    "  where g.operation_id = :operation_id and g.state = 'open' and (select true from ops.items p "
    "    where p.operation_id = :operation_id and p.group_id = g.group_id and p.state = 'planned' {of_kinds} "
    "    order by p.place limit 1) order by g.group_id) g "
    "cross join lateral (select * from ops.items p where p.operation_id = :operation_id and p.group_id = g.group_id "
    "  and p.state = 'planned' {of_kinds} order by p.place limit (:limit + g.groups - 1) / g.groups for update skip locked) i limit :limit")


def set_pace(connection: Connection, operation_id: str, paced_at: datetime) -> None:
    connection.execute(text("update ops.operations set paced_at = :paced_at where operation_id = :operation_id"),
                       {"operation_id": operation_id, "paced_at": paced_at})


def set_limits(connection: Connection, operation_id: str, before: OperationLimits, after: OperationLimits) -> bool:
    """Of an operation that has not ended. False: it has, or other limits hold by now."""
    return connection.execute(text(
        "update ops.operations set limits = cast(:after as jsonb) where operation_id = :operation_id "
        "and state in ('armed', 'running', 'paused') and (cast(:unsaid as jsonb) || limits) = cast(:before as jsonb)"),
        {"operation_id": operation_id, "before": before.to_text(), "after": after.to_text(),
         "unsaid": OperationLimits().to_text()}).rowcount == 1
