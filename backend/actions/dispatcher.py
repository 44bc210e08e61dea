"""planned -> queued -> sent, again when it got lost, and settled at the end. Runs in the maintenance process.

PostgreSQL is told before Redis: what is queued there is owed, and sent until a worker has claimed it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from backend.actions import attempts
from backend.clock import utc_now
from backend.content.plans import ExclusionRule
from backend.content.status import Priority
from backend.jobs.queue import QueueDown
from backend.redrive import Redrive
from backend.storage import items, task_records
from backend.storage.items import StoredItem

log = structlog.get_logger()
TAKEN_ITEMS = 1000  # planned items of one transaction; 10,000 are queued in about 2 s
SMALL_CHUNK_ITEMS = 8   # of an interactive job: few items are shared out among the workers
LARGE_CHUNK_ITEMS = 48  # of any other: long enough that the last, half-full round of a chunk costs little


@dataclass(frozen=True, slots=True)
class Dispatched:
    queued: int = 0
    resent: int = 0
    taken_back: int = 0
    completed: int = 0
    is_parked: bool = False  # Redis is down: what is queued will be sent

    @property
    def is_idle(self) -> bool:
        return not (self.queued or self.resent or self.taken_back or self.completed)


def chunk_items(redrive: Redrive, priority: Priority) -> int:
    """How many items one job gets; never fewer than a worker writes at the same time."""
    size = SMALL_CHUNK_ITEMS if priority is Priority.INTERACTIVE else LARGE_CHUNK_ITEMS
    return max(size, redrive.settings.concurrency)


def dispatch(redrive: Redrive) -> Dispatched:
    """Queue some of what is planned, of each priority in turn, and tell Redis. Redis down parks it; nothing is lost.

    At most TAKEN_ITEMS of a priority: call again while something was queued.
    """
    if not redrive.queue.is_up():
        return Dispatched(is_parked=True)
    queued = 0
    for priority in Priority:
        chunks = _queue_some(redrive, priority)
        queued += sum(len(item_ids) for item_ids in chunks.values())
        try:
            redrive.queue.send(priority, chunks)
        except QueueDown:
            return Dispatched(queued=queued, is_parked=True)
    return Dispatched(queued=queued)


def _queue_some(redrive: Redrive, priority: Priority) -> dict[str, list[int]]:
    now = utc_now()
    with redrive.engine.begin() as connection:
        planned = items.lock_planned(connection, priority, TAKEN_ITEMS)
        if not planned:
            return {}
        chunks = {uuid4().hex: [item.item_id for item in chunk] for chunk in _chunks(planned, chunk_items(redrive, priority))}
        queued = items.queue(connection, chunks, now)
        held = {item.item_id for item in planned} - {item_id for found in queued.values() for item_id in found}
        _skip_held(connection, planned, held, now)
        return queued


def _skip_held(connection: Connection, planned: Sequence[StoredItem], held: set[int], now: datetime) -> None:
    """Their keys are live in another operation: that one does them."""
    if held:
        items.skip(connection, sorted(held), ExclusionRule.ALREADY_RUNNING, now)
        for task_id in sorted({item.task_id for item in planned if item.item_id in held and item.task_id}):
            task_records.record_progress(connection, task_id, now)


def _chunks(planned: Sequence[StoredItem], size: int) -> Iterable[Sequence[StoredItem]]:
    for operation_id in dict.fromkeys(item.operation_id for item in planned):
        own = [item for item in planned if item.operation_id == operation_id]
        yield from (own[start:start + size] for start in range(0, len(own), size))


def resend_lost(redrive: Redrive) -> Dispatched:
    """Send again what stays queued while its job stands in no list. Twice is harmless: claiming is guarded."""
    now = utc_now()
    before = now - timedelta(seconds=redrive.settings.resend_seconds)
    with redrive.engine.connect() as connection:
        waiting = items.waiting_jobs(connection, before)
    resent = 0
    try:
        standing = {priority: redrive.queue.standing(priority) for priority in Priority} if waiting else {}
        for job_id, priority, item_ids in waiting:
            if job_id is None or job_id not in standing[priority]:
                resent += _send_again(redrive, priority, item_ids)
    except QueueDown:
        return Dispatched(resent=resent, is_parked=True)
    return Dispatched(resent=resent)


def _send_again(redrive: Redrive, priority: Priority, item_ids: Sequence[int]) -> int:
    size = chunk_items(redrive, priority)
    chunks: dict[str, Sequence[int]] = {}
    with redrive.engine.begin() as connection:
        for start in range(0, len(item_ids), size):
            job_id = uuid4().hex
            left = items.reassign(connection, item_ids[start:start + size], job_id, utc_now())
            if left:
                chunks[job_id] = left
    redrive.queue.send(priority, chunks)
    return sum(map(len, chunks.values()))


def take_back_lost(redrive: Redrive) -> Dispatched:
    """Items whose worker fell silent go back to queued with the next attempt number, at most three times."""
    silent_since = utc_now() - timedelta(seconds=redrive.settings.lease_seconds)
    with redrive.engine.connect() as connection:
        lost = items.lost_items(connection, silent_since)
    taken_back = 0
    for item in lost:
        outcome = attempts.take_back(redrive, item, silent_since)
        if outcome is not None:
            taken_back += 1
            log.warning("item_taken_back", item_id=item.item_id, key=str(item.key), attempt=item.attempt, outcome=outcome.value)
    return Dispatched(taken_back=taken_back)


def complete_operations(redrive: Redrive) -> Dispatched:
    """running -> verifying when all items are settled; -> completed when the detector has looked at every owner since then.

    The drain does the looking: every item that settles marks its owner.
    """
    completed = 0
    with redrive.engine.begin() as connection:
        for operation_id in items.settled_operations(connection):
            task_records.settle_idle_tasks(connection, operation_id, utc_now())
            items.begin_verifying(connection, operation_id)
    with redrive.engine.begin() as connection:
        for operation_id in items.verified_operations(connection):
            completed += items.complete_operation(connection, operation_id, items.outcome_of(connection, operation_id), utc_now())
    return Dispatched(completed=completed)
