"""planned -> queued -> sent, and operations settled at the end. Runs in the maintenance process.

PostgreSQL is told before Redis: what is queued there is owed, and sent until a worker has claimed it. What got lost on the way is
found by the reconciler.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection

from backend.actions import breaker, verification
from backend.actions.breaker import Flow
from backend.actions.withdrawals import MENDING_WAIT_SECONDS
from backend.clock import utc_now
from backend.content.keys import ContentKind
from backend.content.limits import allowance, paced
from backend.content.plans import ExclusionRule
from backend.content.status import Priority
from backend.jobs.queue import QueueDown
from backend.redrive import Redrive
from backend.storage import dispatching, items, stopping, task_records
from backend.storage.dispatching import Standing
from backend.storage.engine import unless_held
from backend.storage.items import StoredItem

TAKEN_ITEMS = 3000  # planned items of one transaction of about 0.3 s
SMALL_CHUNK_ITEMS = 8   # of an interactive job: few items are shared out among the workers
LARGE_CHUNK_ITEMS = 48  # of any other: long enough that the last, half-full round of a chunk costs little


@dataclass(frozen=True, slots=True)
class Dispatched:
    queued: int = 0
    is_parked: bool = False  # Redis is down: what is queued will be sent
    is_held: bool = False    # a provider's circuit breaker is open: what it would make waits


def chunk_items(redrive: Redrive, priority: Priority) -> int:
    """How many items one job gets; never fewer than a worker writes at the same time."""
    size = SMALL_CHUNK_ITEMS if priority is Priority.INTERACTIVE else LARGE_CHUNK_ITEMS
    return max(size, redrive.settings.concurrency)


def start_armed(redrive: Redrive) -> int:
    """Operations whose time to be undone is over begin. Returns how many."""
    with redrive.engine.begin() as connection:
        return len(stopping.start_armed(connection, utc_now()))


def dispatch(redrive: Redrive) -> Dispatched:
    """Queue some of what is planned, of each priority in turn, and tell Redis. Redis down parks it; nothing is lost.

    At most TAKEN_ITEMS of a priority: call again while something was queued. While the model is held back only repairs go, and one
    item when it is time to see whether the model is back.
    """
    if not redrive.queue.is_up():
        return Dispatched(is_parked=True)
    with redrive.engine.connect() as connection:
        flows = breaker.flows(redrive, connection, utc_now())
    queued = 0
    for priority in Priority:
        for kinds, limit in _turns(flows):
            chunks = _queue_some(redrive, priority, limit, kinds=kinds)
            queued += sum(len(item_ids) for item_ids in chunks.values())
            try:
                redrive.queue.send(priority, chunks)
            except QueueDown:
                return Dispatched(queued, is_parked=True)
    return Dispatched(queued, is_held=any(flow is not Flow.FREE for flow in flows.values()))


def _turns(flows: Mapping[tuple[ContentKind, ...], Flow]) -> list[tuple[tuple[ContentKind, ...] | None, int]]:
    """(kinds that may ask their provider, how many at most); None: all kinds, in their order. Repairs go in any case."""
    if all(flow is Flow.FREE for flow in flows.values()):
        return [(None, TAKEN_ITEMS)]
    turns = [(kinds, 1 if flow is Flow.PROBE else TAKEN_ITEMS) for kinds, flow in flows.items() if flow is not Flow.HELD]
    return turns or [((), TAKEN_ITEMS)]


def _queue_some(redrive: Redrive, priority: Priority, limit: int, *, kinds: tuple[ContentKind, ...] | None) -> dict[str, list[int]]:
    now = utc_now()
    with redrive.engine.begin() as connection:
        dispatching.prefer_indexes(connection)
        planned: list[StoredItem] = []
        running = dispatching.lock_running(connection, priority, TAKEN_ITEMS)
        for found in dispatching.standing(connection, running):
            if len(planned) < limit:
                planned += _take(redrive, connection, found, limit - len(planned), kinds=kinds, now=now)
        if not planned:
            return {}
        chunks = {uuid4().hex: [item.item_id for item in chunk] for chunk in _chunks(planned, chunk_items(redrive, priority))}
        queued = items.queue(connection, chunks, now)
        held = {item.item_id for item in planned} - {item_id for found in queued.values() for item_id in found}
        _skip_held(connection, planned, held, now)
        return queued


def _take(
    redrive: Redrive, connection: Connection, found: Standing, limit: int, *, kinds: tuple[ContentKind, ...] | None, now: datetime,
) -> list[StoredItem]:
    """The next items of one operation, as many as its limits allow now. Repairs ask no model, so only quiet hours hold them."""
    quiet = found.limits.quiet_hours
    if quiet and quiet.cover(now, redrive.zone):
        if found.has_queued:  # what no worker has begun waits too
            stopping.unqueue(connection, found.operation_id)
        return []
    planned = dispatching.planned_repairs(connection, found.operation_id, limit)
    allowed = allowance(found.limits, found.load, now) if kinds != () else 0
    room = limit - len(planned) if allowed is None else min(allowed, limit - len(planned))
    if room <= 0:
        return planned
    written = _within_cover_calls(redrive, connection, found, room, kinds)
    paced_at = paced(found.limits, found.load, len(written), now) if written else None
    if paced_at:
        dispatching.set_pace(connection, found.operation_id, paced_at)
    return planned + written


def _within_cover_calls(
    redrive: Redrive, connection: Connection, found: Standing, room: int, kinds: tuple[ContentKind, ...] | None,
) -> list[StoredItem]:
    """The next items that may ask a model; of covers no more than its person may have made now. The rest stays planned, and waits."""
    written = dispatching.planned_items(connection, found.operation_id, room, kinds)
    covers = [item for item in written if item.key.kind is ContentKind.COVER]
    calls = redrive.cover_calls.room(found.actor_id).count if covers else None
    if calls is None or len(covers) <= calls:
        return written
    others = tuple(kind for kind in kinds or ContentKind if kind is not ContentKind.COVER)
    return covers[:calls] + dispatching.planned_items(connection, found.operation_id, room - calls, others)


def _skip_held(connection: Connection, planned: Sequence[StoredItem], held: set[int], now: datetime) -> None:
    """Their keys are live in another operation: that one does them."""
    if held:
        items.skip(connection, sorted(held), ExclusionRule.ALREADY_RUNNING, now)
        task_records.record_progress_of_many(
            connection, sorted({item.task_id for item in planned if item.item_id in held and item.task_id}), now)


def _chunks(planned: Sequence[StoredItem], size: int) -> Iterable[Sequence[StoredItem]]:
    for operation_id in dict.fromkeys(item.operation_id for item in planned):
        own = [item for item in planned if item.operation_id == operation_id]
        yield from (own[start:start + size] for start in range(0, len(own), size))


def complete_operations(redrive: Redrive) -> int:
    """running | paused -> verifying when all items are settled; -> completed or stopped when the detector has looked at every owner since.

    The drain does the looking: every item that settles marks its owner. Returns how many ended.
    """
    with redrive.engine.connect() as connection:
        settled = items.settled_operations(connection)
    for operation_id in settled:
        with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:  # the operation before its tasks, as whoever cancels it does
            items.lock_operation(connection, operation_id)
            task_records.settle_idle_tasks(connection, operation_id, utc_now())
            items.begin_verifying(connection, operation_id)
    with redrive.engine.connect() as connection:
        verified = items.verified_operations(connection)
    return sum(verification.conclude(redrive, operation_id) for operation_id in verified)
