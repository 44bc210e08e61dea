"""Stopping items and operations: cancelled, told to stop, given back, paused. Each change of state is one guarded UPDATE.

Items are locked in the order of their ids, here as everywhere, so that two people who stop the same things cannot wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from backend.content.status import ItemEventKind, OperationState
from backend.content.stopping import CancelScope
from backend.storage.item_events import chosen_and_noted
from backend.storage.items import StoredItem, as_item


def unsettled_items(connection: Connection, scope: CancelScope) -> list[StoredItem]:
    """What is not settled in the scope. Locks nothing."""
    condition, parameters = _condition(scope)
    return _unsettled(connection, condition, parameters)


def count_working(connection: Connection, scope: CancelScope) -> tuple[int, frozenset[str]]:
    """(how many items in the scope may be told to stop, who started them)."""
    condition, parameters = _condition(scope)
    row = connection.execute(text(
        "select count(*) as count, array_agg(distinct o.actor_id) as starters from ops.items i join ops.operations o using (operation_id) "
        f"where i.state in ('planned', 'queued', 'running') and i.cancel_requested_at is null and {condition}"), parameters).one()
    return row.count, frozenset(row.starters or ())


def unsettled_of_task(connection: Connection, task_id: str) -> list[StoredItem]:
    return _unsettled(connection, "i.task_id = :task_id", {"task_id": task_id})


def _unsettled(connection: Connection, condition: str, parameters: dict[str, Any]) -> list[StoredItem]:
    rows = connection.execute(text(
        f"select i.* from ops.items i where i.state in ('planned', 'queued', 'running') and {condition} order by i.item_id"), parameters)
    return [as_item(row) for row in rows]


def _condition(scope: CancelScope) -> tuple[str, dict[str, Any]]:
    if scope.operation_id:
        return "i.operation_id = :operation_id", {"operation_id": scope.operation_id}
    if scope.owner_id:
        return "i.owner_id = :owner_id", {"owner_id": scope.owner_id}
    if scope.cause_id:
        return ("i.planned_cause_id in (select :cause_id union select fingerprint from ops.cause_aliases where cause_id = :cause_id)",
                {"cause_id": scope.cause_id})
    if scope.is_everything:
        return "true", {}
    return ("(i.kind, i.owner_id, i.part) in (select * from unnest(cast(:k as text[]), cast(:o as text[]), cast(:p as text[])))",
            {"k": [key.kind.value for key in scope.keys], "o": [key.owner_id for key in scope.keys], "p": [key.part for key in scope.keys]})


_CHOSEN = "with chosen as (select item_id from ops.items where item_id = any(:item_ids) and {condition} order by item_id for update) "


def request_cancel(connection: Connection, item_ids: Sequence[int], *, by: str, reason: str, now: datetime) -> list[StoredItem]:
    """planned | queued -> cancelled, of those that were never begun; all others are told to stop. Returns those that changed.

    What runs is confirmed by its worker. What was begun before and waits again is begun no more; its mark is still to be put back.
    """
    return _changed(connection, (
        _CHOSEN.format(condition="state in ('planned', 'queued', 'running') and cancel_requested_at is null")
        + "update ops.items i set cancel_requested_at = :now, cancelled_by = :by, cancel_reason = :reason, "
          "state = case when i.state <> 'running' and i.attempt = 1 then 'cancelled' else i.state end, "
          "settled_at = case when i.state <> 'running' and i.attempt = 1 then cast(:now as timestamptz) end "
          "from chosen c where i.item_id = c.item_id returning i.*"),
        {"item_ids": list(item_ids), "now": now, "by": by, "reason": reason})


def told_and_waiting(connection: Connection, before: datetime) -> list[StoredItem]:
    """Items that wait, were told to stop before then, and are not cancelled yet."""
    return _changed(connection, (
        "select * from ops.items where state in ('planned', 'queued') and cancel_requested_at < :before order by item_id"),
        {"before": before})


def told_to_stop(connection: Connection, running: Sequence[tuple[int, int]]) -> list[int]:
    """Those of the running (item_id, attempt) that this worker must stop: cancelled by a person, or no longer its own."""
    rows = connection.execute(text(
        "select a.item_id from unnest(cast(:ids as bigint[]), cast(:attempts as int[])) as a(item_id, attempt) "
        "left join ops.items i on i.item_id = a.item_id and i.attempt = a.attempt and i.state = 'running' "
        "where i.item_id is null or i.cancel_requested_at is not null"),
        {"ids": [pair[0] for pair in running], "attempts": [pair[1] for pair in running]})
    return [row.item_id for row in rows]


def give_back(connection: Connection, item_ids: Sequence[int], *, words: str = "", attempt: int | None = None) -> list[StoredItem]:
    """running -> queued with the next attempt number, without a job and without counting as a try. Not what was told to stop.

    `words` say why. With `attempt` only items at that attempt.
    """
    condition = ("item_id = any(:item_ids) and state = 'running' and cancel_requested_at is null"
                 + (" and attempt = :attempt" if attempt is not None else ""))
    return _changed(connection, (
        chosen_and_noted(ItemEventKind.GIVEN_BACK, condition)
        + "update ops.items i set state = 'queued', attempt = c.attempt + 1, returned_count = returned_count + 1, job_id = null, "
          "heartbeat_at = null, started_at = null, queued_at = now() from chosen c where i.item_id = c.item_id returning i.*"),
        {"item_ids": list(item_ids), "attempt": attempt, "words": words})


def leave_job(connection: Connection, item_ids: Sequence[int]) -> None:
    """Queued items whose job will not do them: they are owed a new one at once."""
    connection.execute(text(
        _CHOSEN.format(condition="state = 'queued'") + "update ops.items i set job_id = null from chosen c where i.item_id = c.item_id"),
        {"item_ids": list(item_ids)})


def leave_jobs(connection: Connection, job_ids: Sequence[str]) -> None:
    """Queued items of jobs that nobody does any more: they are owed new ones at once."""
    connection.execute(text(
        "with chosen as (select item_id from ops.items where state = 'queued' and job_id = any(:job_ids) order by item_id for update) "
        "update ops.items i set job_id = null from chosen c where i.item_id = c.item_id"), {"job_ids": list(job_ids)})


def of_same_job(connection: Connection, item: StoredItem, *, is_held: bool = False) -> list[StoredItem]:
    """What waits or runs in the job of an item, itself included while it does. With `is_held` nobody else changes them any more."""
    return _changed(connection, (
        "select * from ops.items where state in ('queued', 'running') and (job_id = :job_id or item_id = :item_id) order by item_id"
        + (" for update" if is_held else "")), {"job_id": item.job_id, "item_id": item.item_id})


def unqueue(connection: Connection, operation_id: str) -> int:
    """queued -> planned: the operation is paused, its jobs find nothing to do. Returns how many."""
    return connection.execute(text(
        chosen_and_noted(ItemEventKind.UNQUEUED, "operation_id = :operation_id and state = 'queued'")
        + "update ops.items i set state = 'planned', job_id = null, queued_at = null from chosen c where i.item_id = c.item_id"),
        {"operation_id": operation_id, "words": ""}).rowcount


def change_operation(
    connection: Connection, operation_id: str, before: Sequence[OperationState], after: OperationState, *, by: str, reason: str,
    settled_at: datetime | None = None,
) -> bool:
    """One of `before` -> `after`. False: it is in another state, or there is no such operation."""
    return connection.execute(text(
        "update ops.operations set state = :after, state_by = :by, state_reason = :reason, settled_at = coalesce(:settled_at, settled_at) "
        "where operation_id = :operation_id and state = any(:before)"),
        {"operation_id": operation_id, "before": [state.value for state in before], "after": after.value, "by": by, "reason": reason,
         "settled_at": settled_at}).rowcount == 1


def start_armed(connection: Connection, now: datetime) -> list[str]:
    """armed -> running, of all whose time has come. Returns them."""
    return list(connection.scalars(text(
        "update ops.operations set state = 'running', started_at = :now "
        "where state = 'armed' and starts_at <= :now returning operation_id"),
        {"now": now}))


def start_itemised(connection: Connection, operation_id: str, now: datetime) -> bool:
    """armed -> running, of one that waited for its items to be written. False: it was undone or cancelled in the meantime."""
    return connection.execute(text(
        "update ops.operations set state = 'running', started_at = :now "
        "where operation_id = :operation_id and state = 'armed' and starts_at is null"),
        {"operation_id": operation_id, "now": now}).rowcount == 1


def operation_of(connection: Connection, operation_id: str) -> tuple[OperationState, str] | None:
    """(state, who started it). None: there is no such operation."""
    row = connection.execute(text(
        "select state, actor_id from ops.operations where operation_id = :operation_id"), {"operation_id": operation_id}).one_or_none()
    return (OperationState(row.state), row.actor_id) if row else None


def ended_with_rest(connection: Connection, before: datetime) -> list[tuple[str, str, str]]:
    """(operation id, by whom, why) of operations, cancelled or stopped before then, with items neither settled nor told to stop."""
    rows = connection.execute(text(
        "select operation_id, coalesce(state_by, '') as by, coalesce(state_reason, '') as reason from ops.operations "
        "where state in ('cancelled', 'stopped') and settled_at < :before and operation_id in (select operation_id from ops.items "
        "  where state in ('planned', 'queued', 'running') and cancel_requested_at is null) order by operation_id"), {"before": before})
    return [(row.operation_id, row.by, row.reason) for row in rows]


def starters_of(connection: Connection, item_ids: Sequence[int]) -> set[str]:
    """Who started the operations of these items."""
    return set(connection.scalars(text(
        "select distinct o.actor_id from ops.items i join ops.operations o using (operation_id) where i.item_id = any(:item_ids)"),
        {"item_ids": list(item_ids)}))


def _changed(connection: Connection, statement: str, parameters: dict[str, Any]) -> list[StoredItem]:
    return [as_item(row) for row in connection.execute(text(statement), parameters)]
