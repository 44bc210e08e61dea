"""Who works, on what, what waits, what had to be mended. What comes from Redis is None while Redis does not answer: nobody can tell."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.secrets import without_secrets
from backend.content.status import FindingKind, ItemState, Priority
from backend.jobs.queue import DeadLetter, QueueDown, WorkerSeen
from backend.redrive import Redrive
from backend.storage import breakers
from backend.storage.breakers import Breaker
from backend.storage.objects import SET_ASIDE, SPILLED, StoreUnreachable
from backend.storage.ops_tables import findings, heartbeats, items
from backend.views.operations import ItemRow, as_item_row

NAMED_ITEMS = 3       # of each job
SHOWN_FINDINGS = 30
SHOWN_LOST = 30
SHOWN_LETTERS = 30
LOOK_BACK = timedelta(hours=24)
MAINTENANCE_SHOWN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class QueueSeen:
    priority: Priority
    jobs_waiting: int | None    # in Redis
    planned: int                # items whose turn has not come, those that are not written down yet included
    held_by_pause: int          # of those: of paused operations
    unwritten: int              # of those: keys of large plans that are not items yet
    queued: int
    oldest_planned_at: datetime | None  # of those queued; what is sent again is not younger for it
    running: int
    cancelling: int             # told to stop, running or waiting again, and not yet confirmed


@dataclass(frozen=True, slots=True)
class Work:
    """Running items of one job: what a worker does now."""

    job_id: str
    host: str
    count: int
    cancelling: int
    first: tuple[ItemRow, ...]
    heartbeat_at: datetime | None  # of the items, the oldest


@dataclass(frozen=True, slots=True)
class WorkerAtWork:
    seen: WorkerSeen
    work: Work | None


@dataclass(frozen=True, slots=True)
class MaintenanceSeen:
    process: str
    started_at: datetime
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    kind: FindingKind
    count: int
    detail: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class UnsavedTexts:
    """Finished texts in the object store that no content row holds."""

    waiting: int    # to be saved
    set_aside: int  # their items ended otherwise: kept, as they were paid for


@dataclass(frozen=True, slots=True)
class WorkersView:
    as_of: datetime
    queues: tuple[QueueSeen, ...]
    workers: tuple[WorkerAtWork, ...] | None
    unclaimed_work: tuple[Work, ...]   # running items of jobs that no worker seen in Redis says it runs
    maintenance: tuple[MaintenanceSeen, ...]
    finding_totals: dict[FindingKind, int]  # mended in 24 h; every kind is there
    findings: tuple[Finding, ...]
    dead_letters: tuple[DeadLetter, ...] | None
    lost_items: tuple[ItemRow, ...]    # failed in 24 h because their workers were lost too often
    breakers: tuple[Breaker, ...]

    @property
    def unsettled_count(self) -> int:
        return sum(found.planned + found.queued + found.running for found in self.queues)


def workers(redrive: Redrive) -> WorkersView:
    now = utc_now()
    with redrive.engine.connect() as connection:
        counted, unwritten = _unsettled(connection), _unwritten(connection)
        work = _work(connection)
        totals = dict.fromkeys(FindingKind, 0) | _finding_totals(connection, now)
        found = _findings(connection)
        lost = _lost_items(connection, now)
        known = _breakers(connection, redrive.settings.provider)
        maintenance = _maintenance(connection, now)
    seen, lengths, letters = _ask_redis(redrive)
    at_work = None if seen is None else tuple(WorkerAtWork(worker, work.get(worker.job_id)) for worker in seen)
    claimed = {worker.job_id for worker in seen or ()}
    return WorkersView(
        now, tuple(_queue(priority, counted, unwritten, lengths) for priority in Priority), at_work,
        tuple(done for job_id, done in work.items() if job_id not in claimed), maintenance, totals, found, letters, lost, known)


def unsaved_texts(redrive: Redrive) -> UnsavedTexts | None:
    """None: the store does not tell."""
    try:
        return UnsavedTexts(len(redrive.objects.paths(f"{SPILLED}/")), len(redrive.objects.paths(f"{SET_ASIDE}/")))
    except StoreUnreachable:
        return None


def _ask_redis(
    redrive: Redrive,
) -> tuple[tuple[WorkerSeen, ...] | None, dict[Priority, int] | None, tuple[DeadLetter, ...] | None]:
    """(workers, length of each queue, dead letters)."""
    try:
        seen = sorted(redrive.queue.workers(), key=lambda worker: (worker.queue, worker.host, worker.pid or 0))
        letters = redrive.queue.dead_letters(limit=SHOWN_LETTERS)
        return tuple(seen), {priority: redrive.queue.length(priority) for priority in Priority}, tuple(
            replace(letter, error=without_secrets(letter.error)) for letter in letters)
    except QueueDown:
        return None, None, None


def _unsettled(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(text(
        "select o.priority, i.state, o.state = 'paused' as is_paused, count(*) as count, min(i.created_at) as oldest_at, "
        "count(i.cancel_requested_at) as told from ops.items i join ops.operations o using (operation_id) "
        "where i.state in ('planned', 'queued', 'running') group by o.priority, i.state, o.state = 'paused'")).all()


def _unwritten(connection: Connection) -> dict[Priority, int]:
    """Keys of confirmed plans whose items are still being written: whoever cancels everything cancels them too."""
    rows = connection.execute(text(
        "select o.priority, sum(o.planned_count - (select count(*) from ops.items i where i.operation_id = o.operation_id)) as count "
        "from ops.operations o where o.state = 'armed' and o.starts_at is null group by o.priority"))
    return {Priority(row.priority): int(row.count) for row in rows}


def _queue(
    priority: Priority, counted: Sequence[Row[Any]], unwritten: dict[Priority, int], lengths: dict[Priority, int] | None,
) -> QueueSeen:
    own = [row for row in counted if row.priority == priority]
    to_write = unwritten.get(priority, 0)

    def number(state: ItemState) -> int:
        return sum(row.count for row in own if row.state == state)

    return QueueSeen(
        priority, lengths[priority] if lengths is not None else None, number(ItemState.PLANNED) + to_write,
        sum(row.count for row in own if row.state == ItemState.PLANNED and row.is_paused), to_write, number(ItemState.QUEUED),
        min((row.oldest_at for row in own if row.state == ItemState.QUEUED), default=None),
        number(ItemState.RUNNING), sum(row.told for row in own))


def _work(connection: Connection) -> dict[str, Work]:
    """Job id -> its running items: all are counted, the first are named."""
    of_job = {"partition_by": items.c.job_id}
    running = select(
        items, func.row_number().over(**of_job, order_by=(items.c.started_at, items.c.item_id)).label("turn"),
        func.count().over(**of_job).label("count"), func.count(items.c.cancel_requested_at).over(**of_job).label("told"),
        func.min(items.c.heartbeat_at).over(**of_job).label("oldest_beat_at"),
    ).where(items.c.state == ItemState.RUNNING).subquery()
    rows = connection.execute(
        select(running).where(running.c.turn <= NAMED_ITEMS).order_by(running.c.started_at, running.c.item_id)).all()
    by_job: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_job[row.job_id or ""].append(row)
    return {job_id: Work(
        job_id, (first[0].worker_host or "").partition("/")[0], first[0].count, first[0].told, tuple(map(as_item_row, first)),
        first[0].oldest_beat_at) for job_id, first in by_job.items()}


def _finding_totals(connection: Connection, now: datetime) -> dict[FindingKind, int]:
    rows = connection.execute(
        select(findings.c.kind, func.sum(findings.c.count).label("count"))
        .where(findings.c.found_at > now - LOOK_BACK).group_by(findings.c.kind))
    return {FindingKind(row.kind): int(row.count) for row in rows}


def _findings(connection: Connection) -> tuple[Finding, ...]:
    rows = connection.execute(select(findings).order_by(findings.c.found_at.desc(), findings.c.finding_id.desc()).limit(SHOWN_FINDINGS))
    return tuple(Finding(FindingKind(row.kind), row.count, row.detail, row.found_at) for row in rows)


def _lost_items(connection: Connection, now: datetime) -> tuple[ItemRow, ...]:
    rows = connection.execute(
        select(items).where(items.c.settled_at > now - LOOK_BACK, items.c.error_kind == ErrorKind.WORKER_LOST)
        .order_by(items.c.settled_at.desc()).limit(SHOWN_LOST))
    return tuple(map(as_item_row, rows))


def _breakers(connection: Connection, provider: str) -> tuple[Breaker, ...]:
    """The one in use first, also when it never failed; then those of other providers."""
    own = breakers.find_breaker(connection, provider)
    known = (own, *(found for found in breakers.all_breakers(connection) if found.provider != provider))
    return tuple(replace(found, error_message=without_secrets(found.error_message)) for found in known)


def _maintenance(connection: Connection, now: datetime) -> tuple[MaintenanceSeen, ...]:
    rows = connection.execute(
        select(heartbeats).where(heartbeats.c.role == "maintenance", heartbeats.c.beat_at > now - MAINTENANCE_SHOWN)
        .order_by(heartbeats.c.beat_at.desc()))
    return tuple(MaintenanceSeen(row.process, row.started_at, row.beat_at) for row in rows)
