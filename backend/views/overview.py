"""The overview: how bad it is, since when, why, and whether anybody is looking after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter
from backend.content.secrets import without_secrets
from backend.content.status import BreakerState, ItemAction, ItemState, Priority
from backend.i18n import _
from backend.jobs.queue import QueueDown, WorkerSeen
from backend.redrive import Redrive
from backend.storage import breakers, heartbeats
from backend.storage.ops_tables import items, problem_samples, problems
from backend.views import listing
from backend.views.listing import CauseRow, Counts, ProblemRow

# Upper bound of age -> its name; the last one has no bound.
AGES: tuple[tuple[timedelta | None, str], ...] = (
    (timedelta(hours=1), _("under 1 hour")), (timedelta(hours=24), _("1 to 24 hours")),
    (timedelta(days=7), _("1 to 7 days")), (None, _("over 7 days")),
)
TREND_MOMENTS = 240  # enough for a plot of any width; a day has 2,880 samples
MAINTENANCE_SILENCE = timedelta(seconds=15)
STARTING = timedelta(seconds=30)  # workers load their libraries at low priority; on a busy machine that takes a while


@dataclass(frozen=True, slots=True)
class Overview:
    as_of: datetime
    counts: Counts
    by_age: dict[str, dict[ProblemKind, int]]  # name of the age -> kind -> count; every age is there
    oldest: ProblemRow | None
    causes: tuple[CauseRow, ...]


@dataclass(frozen=True, slots=True)
class TrendPoint:
    sampled_at: datetime
    kind: ProblemKind
    problem_count: int


@dataclass(frozen=True, slots=True)
class Held:
    """The circuit breaker of a provider is not closed."""

    provider: str
    is_being_tried: bool       # one item asks it now
    since_at: datetime | None
    next_try_at: datetime | None
    error_kind: ErrorKind | None
    error_message: str
    waiting_count: int         # items that need it

    @property
    def is_of_covers(self) -> bool:
        return self.provider == breakers.COVERS


@dataclass(frozen=True, slots=True)
class Crew:
    """Who is there to do the work. `workers` None: Redis does not answer, so nobody can tell."""

    workers: tuple[WorkerSeen, ...] | None
    waiting_jobs: dict[Priority, int] | None
    maintenance_beat_at: datetime | None
    is_maintained: bool
    is_starting: bool        # maintenance began a moment ago: workers that are not there yet may be on their way
    is_offline_writer: bool  # no model is configured: what is written is sample text
    model: str
    held: tuple[Held, ...] = ()  # providers that are out: nothing is sent to them in vain; the one of texts first

    @property
    def unserved(self) -> dict[Priority, int]:
        """Queues in which jobs wait and that no living worker serves, with how many wait. None while workers are starting."""
        served = {worker.queue.rpartition("-")[2] for worker in self.workers or ()}
        waiting = {} if self.is_starting else self.waiting_jobs or {}
        return {priority: count for priority, count in waiting.items() if count and priority not in served}


def overview(redrive: Redrive) -> Overview:
    everything = ProblemFilter()
    as_of, oldest = listing.oldest_problem(redrive)
    counts = listing.counts(redrive, everything)
    return Overview(
        as_of, counts, _by_age(redrive, counts.by_problem_kind), oldest, listing.cause_rows(redrive, everything, limit=8))


def _by_age(redrive: Redrive, totals: Mapping[ProblemKind, int]) -> dict[str, dict[ProblemKind, int]]:
    """Only the young are looked at, through the index on their age; what is left of the total is old."""
    now = utc_now()
    bounds = [bound for bound, _name in AGES if bound]
    query = select(problems.c.problem_kind, *(
        func.count().filter(problems.c.since_at > now - bound) for bound in bounds
    )).where(problems.c.since_at > now - bounds[-1]).group_by(problems.c.problem_kind)
    with redrive.engine.connect() as connection:
        younger = {ProblemKind(kind): counts_up_to for kind, *counts_up_to in connection.execute(query)}
    found: dict[str, dict[ProblemKind, int]] = {name: {} for _bound, name in AGES}
    for kind, total in totals.items():
        counts_up_to = younger.get(kind, [0] * len(bounds))
        for (_bound, name), count, below in zip(AGES, [*counts_up_to, total], [0, *counts_up_to], strict=True):
            if count > below:
                found[name][kind] = count - below
    return found


def trend(redrive: Redrive, *, hours: int = 24) -> tuple[TrendPoint, ...]:
    """How many problems of each kind there were, sample by sample, oldest first. A kind that was at zero is there too."""
    since = problem_samples.c.sampled_at > utc_now() - timedelta(hours=hours)
    place = func.row_number().over(order_by=problem_samples.c.sampled_at) - 1
    moments = select(problem_samples.c.sampled_at, place.label("place")).where(since).group_by(problem_samples.c.sampled_at).subquery()
    step = select(func.greatest(1, func.count() // TREND_MOMENTS)).select_from(moments).scalar_subquery()
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(problem_samples).join(moments, moments.c.sampled_at == problem_samples.c.sampled_at)
            .where(moments.c.place % step == 0).order_by(problem_samples.c.sampled_at)).all()
    counted = {(row.sampled_at, row.problem_kind): row.problem_count for row in rows}
    kinds = sorted({row.problem_kind for row in rows if row.problem_kind})
    return tuple(
        TrendPoint(moment, ProblemKind(kind), counted.get((moment, kind), 0))
        for moment in dict.fromkeys(row.sampled_at for row in rows) for kind in kinds)


def crew(redrive: Redrive) -> Crew:
    """Workers and maintenance. Redis down is told as such, never as no workers."""
    with redrive.engine.connect() as connection:
        newest = heartbeats.newest(connection, "maintenance")
        held = tuple(filter(None, (_held(connection, name) for name in (redrive.settings.provider, breakers.COVERS))))
    try:
        workers = redrive.queue.workers()
        waiting = {priority: redrive.queue.length(priority) for priority in Priority}
    except QueueDown:
        workers = waiting = None
    settings, now = redrive.settings, utc_now()
    is_maintained = newest is not None and now - newest.beat_at < MAINTENANCE_SILENCE
    return Crew(
        workers, waiting, newest.beat_at if newest else None, is_maintained,
        is_maintained and now - newest.started_at < STARTING,
        not settings.has_model, settings.model, held)


def _held(connection: Connection, provider: str) -> Held | None:
    breaker = breakers.find_breaker(connection, provider)
    if breaker.state is BreakerState.CLOSED:
        return None
    waiting = connection.scalar(select(func.count()).select_from(items).where(
        items.c.state.in_((ItemState.PLANNED, ItemState.QUEUED)), items.c.action != ItemAction.REPAIR,
        items.c.kind == ContentKind.COVER if provider == breakers.COVERS else items.c.kind != ContentKind.COVER)) or 0
    return Held(provider, breaker.state is BreakerState.HALF_OPEN, breaker.opened_at, breaker.retry_at, breaker.error_kind,
                without_secrets(breaker.error_message), waiting)
