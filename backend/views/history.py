"""What happened over time, for the plots of the overview. Read from what is kept: no plot reads all items or all problems."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.secrets import without_secrets
from backend.content.status import OperationState
from backend.redrive import Redrive
from backend.views.causes import Retries

CAUSES, MOMENTS, OPERATIONS = 6, 96, 30
HOURS, DAYS, SUCCESS_DAYS = 24, 14, 7


@dataclass(frozen=True, slots=True)
class CauseLine:
    """How many problems one cause had, moment by moment; the earliest first."""

    cause_id: str
    title: str
    points: tuple[tuple[datetime, int], ...]


@dataclass(frozen=True, slots=True)
class Intervention:
    """An operation, where it stands in time: what people or rules did about the problems."""

    operation_id: str
    name: str
    state: OperationState
    began_at: datetime
    item_count: int
    healthy_count: int | None  # None: not verified yet


@dataclass(frozen=True, slots=True)
class CauseSuccess:
    cause_id: str
    title: str
    retries: Retries


@dataclass(frozen=True, slots=True)
class DayCost:
    day: date
    calls: int
    unpriced_calls: int
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class History:
    as_of: datetime
    causes: tuple[CauseLine, ...]               # those that were the largest in the last HOURS hours, the largest first
    interventions: tuple[Intervention, ...]     # of the same hours, the earliest first
    recoveries: dict[date, dict[int, int]]      # day -> place in content.recovery.CLASSES -> keys that were good again
    success: tuple[CauseSuccess, ...]           # of the last SUCCESS_DAYS days, the most tried first
    costs: tuple[DayCost, ...]                  # days on which something was asked of the model, the earliest first

    @property
    def recovery_counts(self) -> Counter[int]:
        """Of all the days."""
        return sum((Counter(counts) for counts in self.recoveries.values()), Counter())


def history(redrive: Redrive) -> History:
    """Days are those of the time zone of the settings."""
    now = utc_now()
    with redrive.engine.connect() as connection:
        return History(now, _causes(connection, now), _interventions(connection, now), _recoveries(connection, redrive, now),
                       _success(connection, now), _costs(connection, redrive, now))


# The largest at any sample of the hours, and at their beginning: what has not changed since then has no sample in them.
_LARGEST = text("""
    with peaks as (
      select cause_id, max(problem_count) as most from ops.cause_samples where sampled_at > :since group by cause_id
      union all
      select c.cause_id, s.problem_count from ops.causes c cross join lateral (
        select problem_count from ops.cause_samples s where s.cause_id = c.cause_id and s.sampled_at <= :since
        order by sampled_at desc limit 1) s)
    select p.cause_id, max(p.most) as most, c.error_kind, c.title from peaks p join ops.causes c using (cause_id)
    where p.most > 0 group by 1, 3, 4 order by 2 desc, 1 limit :limit""")
_AT_MOMENTS = text("""
    select c.cause_id, m.at, s.problem_count from unnest(cast(:cause_ids as text[])) with ordinality as c(cause_id, place)
    cross join generate_series(cast(:since as timestamptz), cast(:until as timestamptz), cast(:step as interval)) as m(at)
    cross join lateral (select problem_count from ops.cause_samples s where s.cause_id = c.cause_id and s.sampled_at <= m.at
      order by sampled_at desc limit 1) s
    order by c.place, m.at""")


def _causes(connection: Connection, now: datetime) -> tuple[CauseLine, ...]:
    since = now - timedelta(hours=HOURS)
    largest = connection.execute(_LARGEST, {"since": since, "limit": CAUSES}).all()
    points: dict[str, list[tuple[datetime, int]]] = {row.cause_id: [] for row in largest}
    for row in connection.execute(_AT_MOMENTS, {
            "cause_ids": list(points), "since": since, "until": now, "step": timedelta(hours=HOURS) / MOMENTS}):
        points[row.cause_id].append((row.at, row.problem_count))
    return tuple(CauseLine(row.cause_id, _title(row.error_kind, row.title), tuple(points[row.cause_id])) for row in largest)


def _interventions(connection: Connection, now: datetime) -> tuple[Intervention, ...]:
    rows = connection.execute(text(
        "select operation_id, name, state, coalesce(started_at, created_at) as began_at, planned_count, outcome ->> 'healthy' as healthy "
        "from ops.operations where created_at > :since and state not in ('undone', 'armed') order by created_at desc limit :limit"),
        {"since": now - timedelta(hours=HOURS), "limit": OPERATIONS}).all()
    return tuple(Intervention(row.operation_id, row.name, OperationState(row.state), row.began_at, row.planned_count,
                              int(row.healthy) if row.healthy else None) for row in reversed(rows))


def _recoveries(connection: Connection, redrive: Redrive, now: datetime) -> dict[date, dict[int, int]]:
    found: dict[date, dict[int, int]] = {}
    for row in connection.execute(text(
            "select (hour at time zone :zone)::date as day, class_place, sum(key_count)::int as count from ops.recovery_hours "
            "where hour > :since group by 1, 2 order by 1, 2"), _days(redrive, now)):
        found.setdefault(row.day, {})[row.class_place] = row.count
    return found


def _success(connection: Connection, now: datetime) -> tuple[CauseSuccess, ...]:
    rows = connection.execute(text(
        "with summed as (select coalesce(a.cause_id, h.cause_id) as cause_id, sum(h.succeeded)::int as succeeded, "
        "  sum(h.failed)::int as failed from ops.retry_hours h left join ops.cause_aliases a on a.fingerprint = h.cause_id "
        "  where h.hour > :since group by 1) "
        "select s.*, c.error_kind, c.title from summed s join ops.causes c using (cause_id) where s.succeeded + s.failed > 0 "
        "order by s.succeeded + s.failed desc, s.cause_id limit :limit"), {"since": now - timedelta(days=SUCCESS_DAYS), "limit": CAUSES})
    return tuple(CauseSuccess(row.cause_id, _title(row.error_kind, row.title), Retries(row.succeeded, row.failed)) for row in rows)


def _costs(connection: Connection, redrive: Redrive, now: datetime) -> tuple[DayCost, ...]:
    rows = connection.execute(text(
        "select (hour at time zone :zone)::date as day, sum(calls)::bigint as calls, sum(unpriced_calls)::bigint as unpriced, "
        "sum(tokens)::bigint as tokens, sum(cost) as cost from ops.retry_hours where hour > :since group by 1 having sum(calls) > 0 "
        "order by 1"), _days(redrive, now))
    return tuple(DayCost(row.day, int(row.calls), int(row.unpriced), int(row.tokens), float(row.cost)) for row in rows)


def _days(redrive: Redrive, now: datetime) -> dict[str, object]:
    return {"zone": redrive.settings.time_zone, "since": now - timedelta(days=DAYS)}


def _title(error_kind: str, title: str) -> str:
    return without_secrets(wording.cause_title(ErrorKind(error_kind), title))
