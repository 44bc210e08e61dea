"""The platform's tasks that Redrive writes: one per roadmap of an operation, kept true with every item that settles."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Row, Text, cast, func, select, text, update

from backend.content.status import LIVE_TASK_STATUSES, ItemState, TaskStatus
from backend.storage.ops_tables import ended_tasks, items
from backend.storage.platform_tables import tasks


def begin_task(connection: Connection, task_id: str, now: datetime) -> None:
    """pending -> processing, with its first item. Nothing when it is processing already."""
    connection.execute(_BEGIN, {"task_id": task_id, "now": now})


CANCELLING = "cancelling"  # current_step of a task that a person has cancelled and whose last items are still stopping
_BEGIN = text(
    "update public.tasks set status = 'processing', updated_at = :now, "
    f"  current_step = case when current_step = '{CANCELLING}' then current_step else 'writing' end "
    "where task_id = :task_id and status = 'pending'")


def mark_cancelling(connection: Connection, task_ids: Sequence[str], now: datetime) -> None:
    """The unfinished tasks end as cancelled if anything of them does, whatever was done before."""
    connection.execute(
        update(tasks).where(tasks.c.task_id.in_(sorted(task_ids)), tasks.c.status.in_(LIVE_TASK_STATUSES))
        .values(current_step=CANCELLING, updated_at=now))


def cancel_task_without_items(connection: Connection, task_id: str, reason: str, now: datetime) -> bool:
    """pending | processing -> cancelled, of a task that the platform itself works on. False: it has ended in the meantime."""
    return connection.execute(
        update(tasks).where(tasks.c.task_id == task_id, tasks.c.status.in_(LIVE_TASK_STATUSES))
        .values(status=TaskStatus.CANCELLED, current_step=TaskStatus.CANCELLED, error_message=reason, updated_at=now,
                completed_at=now)).rowcount == 1


@dataclass(frozen=True, slots=True)
class TaskFound:
    task_id: str
    user_id: str
    status: str
    is_ours: bool  # its items are Redrive's


def find_task(connection: Connection, task_id: str) -> TaskFound | None:
    row = connection.execute(select(
        tasks.c.task_id, tasks.c.user_id, tasks.c.status,
        select(items.c.item_id).where(items.c.task_id == task_id).exists().label("is_ours"),
    ).where(tasks.c.task_id == task_id)).one_or_none()
    return TaskFound(row.task_id, row.user_id, row.status, row.is_ours) if row else None


def disagreeing_tasks(connection: Connection, limit: int) -> tuple[list[str], list[str]]:
    """(tasks whose status is told by their items, tasks that another program cancelled while items of theirs were not settled).

    Found from what is unfinished. What another program changed in a task that has ended is in `noted_ends`.
    """
    settled = connection.scalars(text(
        "select t.task_id from public.tasks t where t.status in ('pending', 'processing') "
        "and exists (select 1 from ops.items i where i.task_id = t.task_id) and not exists ("
        "  select 1 from ops.items i where i.task_id = t.task_id and i.state in ('planned', 'queued', 'running')) "
        "order by t.task_id limit :limit"), {"limit": limit})
    ended = connection.execute(text(
        "select t.task_id, t.status from (select distinct task_id from ops.items where state in ('planned', 'queued', 'running') offset 0) "
        "live join public.tasks t using (task_id) where t.status not in ('pending', 'processing') and (t.status <> 'cancelled' or exists ("
        "  select 1 from ops.items i where i.task_id = t.task_id and i.state in ('planned', 'queued', 'running') "
        "    and i.cancel_requested_at is null)) order by 1 limit :limit"), {"limit": limit}).all()
    return ([*settled, *(row.task_id for row in ended if row.status != TaskStatus.CANCELLED)],
            [row.task_id for row in ended if row.status == TaskStatus.CANCELLED])


def noted_ends(connection: Connection, limit: int) -> dict[str, list[int]]:
    """Tasks of ours that ended, by us or by another program, since somebody looked: with the notes of it, for `forget_ends`."""
    noted: dict[str, list[int]] = defaultdict(list)
    for row in connection.execute(select(ended_tasks).order_by(ended_tasks.c.ended_id).limit(limit)):
        noted[row.task_id].append(row.ended_id)
    return noted


def disagreeing_of(connection: Connection, task_ids: Sequence[str]) -> set[str]:
    """Those of the tasks that have ended otherwise than their items, which are all settled."""
    by_task: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in connection.execute(text(
            "select t.task_id, t.status, i.state, count(*) as count from public.tasks t join ops.items i using (task_id) "
            "where t.task_id = any(:task_ids) group by t.task_id, t.status, i.state"), {"task_ids": list(task_ids)}):
        by_task[row.task_id, row.status][row.state] = row.count
    return {task_id for (task_id, status), counts in by_task.items() if _is_settled(counts) and not _is_true(status, counts)}


def forget_ends(connection: Connection, ended_ids: Sequence[int]) -> None:
    """Those notes only: what was noted since is for the next look."""
    connection.execute(text("delete from ops.ended_tasks where ended_id = any(:ended_ids)"), {"ended_ids": list(ended_ids)})


# What of a task is needed to write its progress: user_request and what failed before may be long.
_KEPT = tuple(tasks.c[name] for name in ("task_id", "status", "current_step", "completed_at", "error_message", "created_at"))
_HOLD = text(f"select {', '.join(column.name for column in _KEPT)} from public.tasks where task_id = :task_id for update")
_COUNT = text("select state, count(*) as count from ops.items where task_id = :task_id group by state")


def record_progress(connection: Connection, task_id: str, now: datetime) -> bool:
    """Write failed_concepts and execution_summary from the items, and the status that follows from them. True: that has changed.

    Locks the task's row: of two last items the second one sees the first one's outcome. What another program has made of the
    status is put right too, but for a cancel while items are unsettled: that is obeyed.
    """
    task = connection.execute(_HOLD, {"task_id": task_id}).one_or_none()
    if task is None:
        return False
    counts = defaultdict(int, {row.state: row.count for row in connection.execute(_COUNT, {"task_id": task_id})})
    failures = _failures(connection, task_id) if counts[ItemState.FAILED] else []
    values = _progress(task, counts, failures, now)
    _write(connection, [_row(task, values)])
    return values.get("status", task.status) != task.status


def record_progress_of_many(connection: Connection, task_ids: Sequence[str], now: datetime) -> None:
    """The same for all of these at once: a cancel of 100,000 items has 11,000 tasks, one by one that took 30 s."""
    if not task_ids:
        return
    named = tasks.c.task_id == func.any(cast(list(task_ids), ARRAY(Text)))
    found = connection.execute(select(*_KEPT).where(named).order_by(tasks.c.task_id).with_for_update()).all()
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in connection.execute(text(
            "select task_id, state, count(*) as count from ops.items where task_id = any(:task_ids) group by 1, 2"),
            {"task_ids": [task.task_id for task in found]}):
        counts[row.task_id][row.state] = row.count
    rows = []
    for task in found:
        of_task = counts[task.task_id]
        failures = _failures(connection, task.task_id) if of_task[ItemState.FAILED] else []
        rows.append(_row(task, _progress(task, of_task, failures, now)))
    _write(connection, rows)


def _row(task: Row[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The task with these values, and with what it had before of what they leave out."""
    kept = {name: getattr(task, name) for name in ("task_id", "status", "completed_at", "current_step", "error_message")}
    return kept | values


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_WRITE_PROGRESS, {"rows": json.dumps(rows, default=datetime.isoformat)})


_WRITE_PROGRESS = text("""
    update public.tasks t set status = u.status, current_step = u.current_step, error_message = u.error_message,
      failed_concepts = u.failed_concepts, execution_summary = u.execution_summary, updated_at = u.updated_at, completed_at = u.completed_at
    from json_to_recordset(cast(:rows as json)) as u(task_id text, status text, current_step text, error_message text,
      failed_concepts json, execution_summary json, updated_at timestamptz, completed_at timestamptz)
    where t.task_id = u.task_id""")


def _progress(task: Row[Any], counts: dict[str, int], failures: Sequence[Row[Any]], now: datetime) -> dict[str, Any]:
    """What the task has to say of its items, counted by state; `counts` knows every state."""
    values: dict[str, Any] = {
        "failed_concepts": _failed_concepts(failures),
        "execution_summary": {
            "total": sum(counts.values()), "completed": counts[ItemState.SUCCEEDED], "failed": counts[ItemState.FAILED],
            "skipped": counts[ItemState.SKIPPED] + counts[ItemState.CANCELLED],
            "duration_seconds": round((now - task.created_at).total_seconds(), 1),
        },
        "updated_at": now,
    }
    status = _status_now(task, counts)
    if status in LIVE_TASK_STATUSES and status != task.status:
        values |= {"status": status, "completed_at": None, "current_step": "writing", "error_message": None}
    elif status != task.status:
        values |= {"status": status, "completed_at": now, "current_step": str(status),
                   "error_message": failures[0].error_message if failures else None}
    return values


def _status_now(task: Row[Any], counts: dict[str, int]) -> str:
    """What the task's status is to be."""
    is_live = task.status in LIVE_TASK_STATUSES
    if not _is_settled(counts):
        return task.status if is_live or task.status == TaskStatus.CANCELLED else TaskStatus.PROCESSING
    if not is_live and _is_true(task.status, counts):
        return task.status
    if is_live and task.current_step == CANCELLING and counts[ItemState.CANCELLED]:  # all may have been done before they could stop
        return TaskStatus.CANCELLED
    return _final_status(counts)


def _is_settled(counts: dict[str, int]) -> bool:
    return all(ItemState(state).is_settled for state, count in counts.items() if count)


def _is_true(status: str, counts: dict[str, int]) -> bool:
    """May a task say that it ended so? A cancelled one may have written something before."""
    return status == _final_status(counts) or (status == TaskStatus.CANCELLED and counts[ItemState.CANCELLED] > 0)


def settle_idle_tasks(connection: Connection, operation_id: str, now: datetime) -> None:
    """Tasks of a finished operation whose items were all skipped or cancelled before any worker saw them."""
    unfinished = connection.execute(text(
        "select distinct t.task_id from public.tasks t join ops.items i on i.task_id = t.task_id "
        "where i.operation_id = :operation_id and t.status in ('pending', 'processing') order by 1"), {"operation_id": operation_id})
    record_progress_of_many(connection, [row.task_id for row in unfinished], now)


def _final_status(counts: dict[str, int]) -> TaskStatus:
    if counts[ItemState.FAILED]:
        return TaskStatus.PARTIAL_FAILURE if counts[ItemState.SUCCEEDED] else TaskStatus.FAILED
    if counts[ItemState.CANCELLED] and not counts[ItemState.SUCCEEDED]:
        return TaskStatus.CANCELLED
    return TaskStatus.COMPLETED


def _failures(connection: Connection, task_id: str) -> Sequence[Row[Any]]:
    return connection.execute(
        select(items.c.part, items.c.kind, items.c.error_message, items.c.settled_at)
        .where(items.c.task_id == task_id, items.c.state == ItemState.FAILED).order_by(items.c.item_id)).all()


def _failed_concepts(failures: Sequence[Row[Any]]) -> dict[str, dict[str, str]] | None:
    """{concept_id: {reason, content_type, timestamp}}; a concept with several failures names their kinds, comma separated."""
    failed: dict[str, dict[str, str]] = {}
    for row in failures:
        entry = failed.get(row.part)
        if entry is None:
            failed[row.part] = {"reason": row.error_message or "", "content_type": row.kind, "timestamp": row.settled_at.isoformat()}
        else:
            entry["content_type"] += f",{row.kind}"
            if row.error_message and row.error_message not in entry["reason"]:
                entry["reason"] += f"; {row.error_message}"
    return failed or None
