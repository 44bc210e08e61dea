"""planned -> queued -> sent, again when it got lost, and settled at the end. Runs in the maintenance process.

PostgreSQL is told before Redis: what is queued there is owed, and sent until a worker has claimed it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection

from backend.actions import attempts
from backend.clock import utc_now
from backend.content.keys import ContentKind, Owner
from backend.content.plans import ExclusionRule
from backend.content.status import ItemState, Priority
from backend.jobs.queue import QueueDown
from backend.redrive import Redrive
from backend.storage import items, problems, task_records
from backend.storage.items import StoredItem

TAKEN_ITEMS = 1000  # planned items of one transaction; 10,000 are queued in about 2 s
CHUNK_ITEMS = {
    Priority.INTERACTIVE: 8,  # small, so that few items are shared out among the workers
    Priority.BULK: 48,        # long enough that the last, half-full round of a chunk costs little
    Priority.AUTOMATIC: 48,
}


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


def dispatch(redrive: Redrive) -> Dispatched:
    """Queue what is planned, people's work first, and tell Redis. Redis down parks it; nothing is lost."""
    if not redrive.queue.is_up():
        return Dispatched(is_parked=True)
    queued = 0
    for priority in Priority:
        while True:
            chunks = _queue_some(redrive, priority)
            if not chunks:
                break
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
        chunks = {uuid4().hex: [item.item_id for item in chunk] for chunk in _chunks(planned, CHUNK_ITEMS[priority])}
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
        for job_id, (priority, item_ids) in waiting.items():
            if job_id is None or job_id not in standing[priority]:
                resent += _send_again(redrive, priority, item_ids)
    except QueueDown:
        return Dispatched(resent=resent, is_parked=True)
    return Dispatched(resent=resent)


def _send_again(redrive: Redrive, priority: Priority, item_ids: Sequence[int]) -> int:
    size = CHUNK_ITEMS[priority]
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
    outcomes = [attempts.take_back(redrive, item, silent_since) for item in lost]
    return Dispatched(taken_back=sum(outcome in (ItemState.QUEUED, ItemState.FAILED) for outcome in outcomes))


def complete_operations(redrive: Redrive) -> Dispatched:
    """When all items of an operation are settled, the detector looks at every key again; then it is completed."""
    with redrive.engine.connect() as connection:
        settled = items.running_operations(connection)
    completed = 0
    for operation_id in settled:
        with redrive.engine.begin() as connection:
            items.begin_verifying(connection, operation_id)
            task_records.settle_idle_tasks(connection, operation_id, utc_now())
            touched = items.owners_of(connection, operation_id)
        owners = sorted({Owner(ContentKind(kind).owner_kind, owner_id) for kind, owner_id in touched})
        for start in range(0, len(owners), problems.DRAIN_OWNERS):
            with redrive.engine.begin() as connection:
                problems.refresh(connection, owners[start:start + problems.DRAIN_OWNERS], utc_now(), redrive.limits)
        with redrive.engine.begin() as connection:
            completed += items.complete_operation(connection, operation_id, items.outcome_of(connection, operation_id), utc_now())
    return Dispatched(completed=completed)
