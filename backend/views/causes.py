"""One cause as its page shows it: how bad, since when, what was decided, what was tried, and what usually helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind, Origin
from backend.content.hints import HINTS
from backend.content.keys import OwnerKind
from backend.content.secrets import without_secrets
from backend.content.status import ACTIVE_OPERATION_STATES, OperationState
from backend.content.triage import CauseEventKind, CauseState
from backend.redrive import Redrive
from backend.storage import cause_records
from backend.storage.ops_tables import cause_events, cause_samples
from backend.views.listing import DAY, as_of

RECENT = timedelta(minutes=15)  # a retry that began so long ago is told before somebody starts another
EVENTS, OPERATIONS, OWNERS = 100, 50, 12


@dataclass(frozen=True, slots=True)
class Retries:
    """What came of items that were planned for a cause."""

    succeeded: int = 0
    failed: int = 0

    @property
    def tried(self) -> int:
        return self.succeeded + self.failed

    @property
    def success_ratio(self) -> float | None:
        """0.0 to 1.0. None: nothing was tried yet."""
        return self.succeeded / self.tried if self.tried else None


@dataclass(frozen=True, slots=True)
class CauseEvent:
    at: datetime
    actor_id: str
    kind: CauseEventKind
    words: str


@dataclass(frozen=True, slots=True)
class MergedCause:
    fingerprint: str
    title: str
    merged_by: str
    merged_at: datetime


@dataclass(frozen=True, slots=True)
class OperationOfCause:
    """What one operation did about a cause; other causes that it was for are left out."""

    operation_id: str
    name: str
    actor_id: str
    state: OperationState
    created_at: datetime
    item_count: int
    retries: Retries

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_OPERATION_STATES


@dataclass(frozen=True, slots=True)
class TouchedOwner:
    kind: OwnerKind
    owner_id: str
    title: str
    problem_count: int
    first_chapter: int | None  # of a novel, the first one that has this cause; None too where the cause is of it as a whole


@dataclass(frozen=True, slots=True)
class TrendPoint:
    sampled_at: datetime
    problem_count: int


@dataclass(frozen=True, slots=True)
class CauseDetail:
    as_of: datetime
    cause_id: str
    title: str                        # in words
    error_kind: ErrorKind
    sample: str                       # one message in full, without secrets
    hint: str
    problem_count: int
    day_count: int                    # of them, those that broke in the last 24 hours
    owner_count: int
    first_seen_at: datetime
    last_seen_at: datetime            # the newest problem of it or item that failed by it, else when it was listed last
    state: CauseState
    state_by: str
    state_reason: str
    state_at: datetime | None
    ignored_until_at: datetime | None
    ignored_until_count: int | None
    assignee: str
    retries: Retries
    owners: tuple[TouchedOwner, ...]  # with most problems first, not all of them
    events: tuple[CauseEvent, ...]    # the newest first
    merged: tuple[MergedCause, ...]
    operations: tuple[OperationOfCause, ...]  # the newest first
    trend: tuple[TrendPoint, ...]
    asked_id: str = ""                # of a cause that was merged into this one

    @property
    def origin(self) -> Origin:
        return self.error_kind.origin


def cause(redrive: Redrive, cause_id: str) -> CauseDetail | None:
    """Everything about a cause; of a merged one that into which it was merged. None: there is no such cause."""
    with redrive.engine.connect() as connection:
        belongs_to = cause_records.belongs_to(connection, cause_id)
        row = cause_records.find_cause(connection, belongs_to)
        if row is None:
            return None
        members = cause_records.fingerprints_of(connection, belongs_to)
        counted = connection.execute(text(
            "select count(*) as problem_count, count(*) filter (where since_at > :since) as day_count, max(since_at) as newest_at, "
            "  count(*) filter (where is_first_of_owner) as owner_count from ops.problems where cause_id = :cause_id"),
            {"cause_id": belongs_to, "since": utc_now() - DAY}).one()
        failed_at = connection.scalar(text("select max(settled_at) from ops.items where cause_id = any(:members)"), {"members": members})
        ended = cause_records.count_retries(connection, [belongs_to]).get(belongs_to, (0, 0))
        kind = ErrorKind(row.error_kind)
        return CauseDetail(
            as_of(connection), belongs_to, _title(row), kind, without_secrets(row.sample), HINTS[kind],
            counted.problem_count, counted.day_count, counted.owner_count, row.first_seen_at,
            max(filter(None, (counted.newest_at, failed_at)), default=row.last_seen_at),
            CauseState(row.state), row.state_by or "", without_secrets(row.state_reason), row.state_at, row.ignored_until_at,
            row.ignored_until_count, row.assignee or "", Retries(*ended), _owners(connection, belongs_to), _events(connection, belongs_to),
            _merged(connection, belongs_to), _operations(connection, members), _trend(connection, belongs_to),
            cause_id if cause_id != belongs_to else "")


def recent_retries(redrive: Redrive, cause_ids: Sequence[str]) -> tuple[OperationOfCause, ...]:
    """What works on these causes now, or began in the last minutes: to be told before somebody starts the same again."""
    with redrive.engine.connect() as connection:
        members = [member for cause_id in dict.fromkeys(cause_ids) for member in cause_records.fingerprints_of(connection, cause_id)]
        found = _operations(connection, members, since=utc_now() - RECENT) if members else ()
        return tuple(operation for operation in found if operation.state is not OperationState.UNDONE)


def name_of(redrive: Redrive, cause_id: str) -> tuple[str, str]:
    """(the cause that it belongs to now, the title of that); an unknown one is called by its id."""
    with redrive.engine.connect() as connection:
        belongs_to = cause_records.belongs_to(connection, cause_id)
        row = cause_records.find_cause(connection, belongs_to)
        return belongs_to, _title(row) if row else cause_id


def other_causes(redrive: Redrive, cause_id: str, *, limit: int = 200) -> dict[str, str]:
    """cause_id -> title of the causes that it could be merged into, those with problems first."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "with counted as (select cause_id, count(*) as problem_count from ops.problems group by cause_id) "
            "select c.cause_id, c.error_kind, c.title, coalesce(n.problem_count, 0) as problem_count from ops.causes c "
            "left join counted n using (cause_id) where c.cause_id <> :cause_id "
            "and not exists (select 1 from ops.cause_aliases a where a.fingerprint = c.cause_id) "
            "order by n.problem_count desc nulls last, c.last_seen_at desc limit :limit"), {"cause_id": cause_id, "limit": limit})
        return {row.cause_id: f"{row.problem_count:,} · {_title(row)}" for row in rows}


def _title(row: Any) -> str:
    return without_secrets(wording.cause_title(ErrorKind(row.error_kind), row.title))


def _owners(connection: Connection, cause_id: str) -> tuple[TouchedOwner, ...]:
    rows = connection.execute(text(
        "with touched as (select owner_id from ops.problems where cause_id = :cause_id group by 1 order by count(*) desc, 1 limit :limit) "
        "select owner_id, kind = 'chapter' as is_novel, count(*) as problem_count, max(owner_title) as title, "
        "  min(case when kind = 'chapter' then nullif(part, '')::int end) as first_chapter "
        "from ops.problems where cause_id = :cause_id and owner_id in (select owner_id from touched) "
        "group by 1, 2 order by problem_count desc, 1, 2 limit :limit"),
        {"cause_id": cause_id, "limit": OWNERS})
    return tuple(TouchedOwner(
        OwnerKind.NOVEL if row.is_novel else OwnerKind.ROADMAP, row.owner_id, row.title or row.owner_id, row.problem_count,
        row.first_chapter) for row in rows)


# Of a large retry that is still written down its groups tell; it has only some of its items, or none.
_OPERATIONS = text("""
    with found as (
      select operation_id, count(*) as item_count, count(*) filter (where state = 'succeeded') as succeeded,
        count(*) filter (where state = 'failed') as failed
      from ops.items where planned_cause_id = any(:members) group by operation_id),
    prepared as (
      select g.operation_id, sum(g.item_count) as item_count from ops.operations o join ops.groups g using (operation_id)
      where o.state = 'armed' and o.starts_at is null and g.cause_id = any(:members) group by g.operation_id)
    select o.operation_id, o.name, o.actor_id, o.state, o.created_at, greatest(f.item_count, p.item_count) as item_count,
      coalesce(f.succeeded, 0) as succeeded, coalesce(f.failed, 0) as failed
    from (select operation_id from found union select operation_id from prepared) u join ops.operations o using (operation_id)
    left join found f using (operation_id) left join prepared p using (operation_id)
    where cast(:since as timestamptz) is null or o.created_at > :since or o.state = any(:active)
    order by o.created_at desc limit :limit""")


def _operations(connection: Connection, members: Sequence[str], *, since: datetime | None = None) -> tuple[OperationOfCause, ...]:
    """With `since` those that are active, or were begun after it."""
    rows = connection.execute(
        _OPERATIONS, {"members": list(members), "since": since, "active": list(ACTIVE_OPERATION_STATES), "limit": OPERATIONS})
    return tuple(OperationOfCause(row.operation_id, row.name, row.actor_id, OperationState(row.state), row.created_at, row.item_count,
                                  Retries(row.succeeded, row.failed)) for row in rows)


def _events(connection: Connection, cause_id: str) -> tuple[CauseEvent, ...]:
    rows = connection.execute(select(cause_events).where(cause_events.c.cause_id == cause_id)
                              .order_by(cause_events.c.event_id.desc()).limit(EVENTS))
    return tuple(CauseEvent(row.at, row.actor_id, CauseEventKind(row.kind), without_secrets(row.words)) for row in rows)


def _merged(connection: Connection, cause_id: str) -> tuple[MergedCause, ...]:
    rows = connection.execute(text(
        "select a.*, c.error_kind, coalesce(c.title, '') as title from ops.cause_aliases a left join ops.causes c "
        "on c.cause_id = a.fingerprint where a.cause_id = :cause_id order by a.merged_at desc, a.fingerprint"), {"cause_id": cause_id})
    return tuple(MergedCause(row.fingerprint, _title(row) if row.error_kind else row.fingerprint, row.merged_by, row.merged_at)
                 for row in rows)


def _trend(connection: Connection, cause_id: str) -> tuple[TrendPoint, ...]:
    """The earliest first."""
    rows = connection.execute(select(cause_samples.c.sampled_at, cause_samples.c.problem_count).where(
        cause_samples.c.cause_id == cause_id).order_by(cause_samples.c.sampled_at.desc()).limit(500)).all()
    return tuple(TrendPoint(row.sampled_at, row.problem_count) for row in reversed(rows))
