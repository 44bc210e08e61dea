"""Who holds an item: claimed by a process, shown to be alive, taken back when that is lost. Each change of state is one guarded UPDATE."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from backend.content.status import ItemEventKind, ItemState
from backend.processes import this_process
from backend.storage.item_events import chosen_and_noted
from backend.storage.items import STORED, StoredItem, as_item
from backend.storage.ops_tables import items

# As texts: SQLAlchemy's own statements cost each cover and each text as much CPU again.
_CLAIM = (
    "update ops.items i set {values}state = 'running', started_at = :now, heartbeat_at = :now, worker_host = :host, worker_pid = :pid "
    "where item_id = :item_id and attempt = :attempt and cancel_requested_at is null and {condition} "
    f"returning {', '.join(column.name for column in STORED)}")
_START = text(_CLAIM.format(values="previous_status = :previous_status, ", condition=(
    "state = 'queued' and exists (select from ops.operations o where o.operation_id = i.operation_id and o.state = 'running')")))
_HOLD = text(_CLAIM.format(values="", condition="state in ('planned', 'queued')"))


def start(connection: Connection, item: StoredItem, now: datetime, declared: str | None) -> StoredItem | None:
    """queued -> running, for this process. None: somebody else has it, it was cancelled, or its operation does not run.

    What was declared before the first attempt is kept; a later one finds only the mark that its forerunner left.
    """
    row = connection.execute(
        _START, _claim(item, now) | {"previous_status": declared if item.attempt == 1 else item.previous_status}).one_or_none()
    return as_item(row) if row else None


def hold_for_text(connection: Connection, item: StoredItem, now: datetime) -> StoredItem | None:
    """planned | queued -> running, for a text of an earlier attempt that is there already: whatever became of its operation since.

    None: it moved, it was cancelled, or another item writes the same key.
    """
    try:
        with connection.begin_nested():
            row = connection.execute(_HOLD, _claim(item, now)).one_or_none()
    except IntegrityError:  # the guard of "never twice"
        return None
    return as_item(row) if row else None


def _claim(item: StoredItem, now: datetime) -> dict[str, Any]:
    worker = this_process()
    return {"item_id": item.item_id, "attempt": item.attempt, "now": now, "host": worker.host, "pid": worker.pid}


def holds(connection: Connection, item: StoredItem) -> bool:
    """Does this attempt still hold the item? It stays so until the transaction ends."""
    return connection.scalar(
        select(items.c.item_id).where(items.c.item_id == item.item_id, items.c.state == ItemState.RUNNING, items.c.attempt == item.attempt)
        .with_for_update(read=True)) is not None


def beat(connection: Connection, attempts: Sequence[tuple[int, int]], now: datetime) -> None:
    """Show that these running (item_id, attempt) are alive. One that is locked is passed over: somebody is settling it,
    and whoever waited for that would let all the others look dead.
    """
    connection.execute(text(
        "with chosen as ("
        "  select i.item_id from unnest(cast(:ids as bigint[]), cast(:attempts as int[])) as a(item_id, attempt) "
        "  join ops.items i on i.item_id = a.item_id and i.attempt = a.attempt and i.state = 'running' for update of i skip locked) "
        "update ops.items i set heartbeat_at = :now from chosen c where i.item_id = c.item_id"),
        {"now": now, "ids": [pair[0] for pair in attempts], "attempts": [pair[1] for pair in attempts]})


def lost_items(connection: Connection, silent_since: datetime) -> list[StoredItem]:
    """Running items that have not beaten since then. One that is locked is not lost: somebody is settling it."""
    rows = connection.execute(
        select(*STORED).where(items.c.state == ItemState.RUNNING, items.c.heartbeat_at < silent_since).order_by(items.c.item_id).limit(500)
        .with_for_update(skip_locked=True))
    return [as_item(row) for row in rows]


def running_on(connection: Connection, host: str) -> list[StoredItem]:
    """Running items whose worker has that host."""
    rows = connection.execute(
        select(*STORED).where(items.c.state == ItemState.RUNNING, items.c.worker_host == host).order_by(items.c.item_id))
    return [as_item(row) for row in rows]


def take_back(connection: Connection, item: StoredItem, silent_since: datetime | None, words: str = "") -> bool:
    """running -> queued with the next attempt number, still without a job: its worker is lost. Not what was told to stop.

    With `silent_since` only if it has not beaten since then. `words` say how it is known.
    """
    condition = ("item_id = :item_id and state = 'running' and attempt = :attempt and cancel_requested_at is null"
                 + (" and heartbeat_at < :silent_since" if silent_since is not None else ""))
    return connection.execute(text(
        chosen_and_noted(ItemEventKind.LOST, condition)
        + "update ops.items i set state = 'queued', attempt = c.attempt + 1, job_id = null, heartbeat_at = null, started_at = null "
          "from chosen c where i.item_id = c.item_id"),
        {"item_id": item.item_id, "attempt": item.attempt, "silent_since": silent_since, "words": words}).rowcount == 1
