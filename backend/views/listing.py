"""Problems as a page shows them: rows, counts, causes, and as of when they are true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, and_, cast, func, null, select, text, true, tuple_

from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter
from backend.content.triage import CauseState, is_left_out
from backend.redrive import Redrive
from backend.storage.cause_records import count_retries
from backend.storage.items import keys_in_work
from backend.storage.ops_tables import causes, problems
from backend.storage.problem_list import matches

DAY = timedelta(hours=24)


class Sort(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"
    OWNER = "owner"
    CAUSE = "cause"
    ATTEMPTS = "attempts"


_ORDER = {
    Sort.OLDEST: (problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part),
    Sort.NEWEST: (problems.c.since_at.desc(), problems.c.kind.desc(), problems.c.owner_id.desc(), problems.c.part.desc()),
    Sort.OWNER: (problems.c.owner_id, problems.c.kind, problems.c.part),
    Sort.CAUSE: (problems.c.cause_id, problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part),
    Sort.ATTEMPTS: (problems.c.attempts.desc(), problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part),
}


@dataclass(frozen=True, slots=True)
class ProblemRow:
    key: ContentKey
    kind: ProblemKind
    title: str
    owner_title: str
    reason: str  # in words
    cause_id: str
    cause: str   # in words
    error_message: str
    since_at: datetime
    attempts: int
    operation_id: str | None = None  # that works on it now


@dataclass(frozen=True, slots=True)
class ProblemPage:
    as_of: datetime
    rows: tuple[ProblemRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class CauseRow:
    cause_id: str
    title: str
    sample: str
    problem_count: int
    owner_count: int
    oldest_since_at: datetime
    day_count: int                       # of them, those that broke in the last 24 hours
    state: CauseState
    assignee: str
    ignored_until_at: datetime | None
    ignored_until_count: int | None
    succeeded: int                       # items that were planned for it so far, and how they ended
    failed: int

    @property
    def is_left_out(self) -> bool:
        """Plans leave it out."""
        return is_left_out(self.state, self.ignored_until_at, utc_now())


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of problems in a scope, by each of the things it can be narrowed by."""

    total: int
    by_problem_kind: dict[ProblemKind, int]
    by_kind: dict[ContentKind, int]


def as_of(connection: Connection) -> datetime:
    """Since when the list has been true: now, or the oldest change that the detector has not looked at yet."""
    return connection.scalar(text(
        "select least(now(), (select min(marked_at) from ops.dirty), (select min(due_at) from ops.rechecks))"))


def problem_page(
    redrive: Redrive, problem_filter: ProblemFilter, *, page: int = 1, page_size: int = 100, sort: Sort = Sort.OLDEST,
) -> ProblemPage:
    """One page of the problems that match. `page` counts from 1."""
    with redrive.engine.connect() as connection:
        condition = matches(connection, problem_filter, utc_now())
        rows, total = _page_and_total(connection, condition, page, page_size, sort, is_one_scan=bool(problem_filter.text))
        working = keys_in_work(connection, [ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in rows])
        return ProblemPage(as_of(connection), tuple(_row(row, working) for row in rows), total)


def oldest_problem(redrive: Redrive) -> tuple[datetime, ProblemRow | None]:
    """As of when, and the problem that is there longest."""
    with redrive.engine.connect() as connection:
        row = connection.execute(_page_query(true(), 1, 1, Sort.OLDEST)).one_or_none()
        return as_of(connection), _row(row, {}) if row else None


def _page_and_total(
    connection: Connection, condition: ColumnElement[bool], page: int, page_size: int, sort: Sort, *, is_one_scan: bool,
) -> tuple[Sequence[Row], int]:
    """A text of two letters is found by reading every problem, so it is counted in the same scan; other filters count in an index."""
    if is_one_scan:
        rows = connection.execute(_page_query(condition, page, page_size, sort, with_total=True)).all()
        if rows or page == 1:
            return rows, rows[0].total if rows else 0
    total = connection.scalar(select(func.count()).select_from(problems).where(condition)) or 0
    return connection.execute(_page_query(condition, page, page_size, sort)).all() if total else [], total


def _page_query(condition: ColumnElement[bool], page: int, page_size: int, sort: Sort, *, with_total: bool = False) -> Select:
    """Only the keys are counted off, in an index where there is one: 90,000 whole rows would take 60 ms, their keys take 10."""
    total = func.count().over() if with_total else null()
    shown = (
        select(problems.c.kind, problems.c.owner_id, problems.c.part, total.label("total")).where(condition)
        .order_by(*_ORDER[sort]).limit(page_size).offset((page - 1) * page_size).subquery("shown"))
    same_key = and_(*(problems.c[name] == shown.c[name] for name in ("kind", "owner_id", "part")))
    return (
        select(problems, shown.c.total, causes.c.title.label("cause_title"), causes.c.error_kind.label("cause_kind"))
        .join(shown, same_key).join(causes, causes.c.cause_id == problems.c.cause_id, isouter=True).order_by(*_ORDER[sort]))


def problems_of(redrive: Redrive, keys: list[ContentKey]) -> dict[ContentKey, ProblemKind]:
    """Those of the keys that still are problems: what remains of a selection."""
    if not keys:
        return {}
    with redrive.engine.connect() as connection:
        rows = connection.execute(select(problems.c.kind, problems.c.owner_id, problems.c.part, problems.c.problem_kind).where(
            tuple_(problems.c.kind, problems.c.owner_id, problems.c.part).in_(
                [(key.kind, key.owner_id, key.part) for key in keys])))
        return {ContentKey(ContentKind(row.kind), row.owner_id, row.part): ProblemKind(row.problem_kind) for row in rows}


def counts(redrive: Redrive, problem_filter: ProblemFilter) -> Counts:
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(problems.c.problem_kind, problems.c.kind, func.count().label("count"))
            .where(matches(connection, problem_filter, utc_now())).group_by(problems.c.problem_kind, problems.c.kind)).all()
    by_problem_kind: dict[ProblemKind, int] = {}
    by_kind: dict[ContentKind, int] = {}
    for row in rows:
        by_problem_kind[ProblemKind(row.problem_kind)] = by_problem_kind.get(ProblemKind(row.problem_kind), 0) + row.count
        by_kind[ContentKind(row.kind)] = by_kind.get(ContentKind(row.kind), 0) + row.count
    return Counts(sum(by_kind.values()), by_problem_kind, by_kind)


def cause_rows(redrive: Redrive, problem_filter: ProblemFilter, *, limit: int = 50) -> tuple[CauseRow, ...]:
    """Causes of the problems that match, the largest first."""
    now = utc_now()
    with redrive.engine.connect() as connection:
        by_cause = _whole_causes(now) if problem_filter.is_everything else _parts_of_causes(matches(connection, problem_filter, now), now)
        grouped = by_cause.order_by(by_cause.selected_columns.problem_count.desc(), "cause_id").limit(limit).subquery()
        rows = connection.execute(
            select(grouped, causes.c.title, causes.c.error_kind, causes.c.sample, causes.c.state, causes.c.assignee,
                   causes.c.ignored_until_at, causes.c.ignored_until_count)
            .join(causes, causes.c.cause_id == grouped.c.cause_id)
            .order_by(grouped.c.problem_count.desc(), grouped.c.cause_id)).all()
        ended = count_retries(connection, [row.cause_id for row in rows])
    return tuple(CauseRow(
        row.cause_id, wording.cause_title(ErrorKind(row.error_kind), row.title), row.sample, row.problem_count, row.owner_count,
        row.oldest, row.day_count, CauseState(row.state), row.assignee or "", row.ignored_until_at, row.ignored_until_count,
        *ended.get(row.cause_id, (0, 0))) for row in rows)


def _whole_causes(now: datetime) -> Select:
    """All problems by cause, in one scan of an index: 15 ms for 100,000 of them; to tell their owners apart takes 60."""
    return select(
        problems.c.cause_id, func.count().label("problem_count"),
        func.count().filter(problems.c.is_first_of_owner).label("owner_count"), func.min(problems.c.since_at).label("oldest"),
        func.count().filter(problems.c.since_at > now - DAY).label("day_count")).group_by(problems.c.cause_id)


def _parts_of_causes(condition: ColumnElement[bool], now: datetime) -> Select:
    """The problems that match by cause, in two steps: count(distinct owner_id) would sort them."""
    owner = problems.c.cause_id, problems.c.owner_id, problems.c.kind == ContentKind.CHAPTER
    by_owner = (
        select(problems.c.cause_id, func.count().label("count"), func.min(problems.c.since_at).label("oldest"),
               func.count().filter(problems.c.since_at > now - DAY).label("today"))
        .where(condition).group_by(*owner).subquery())
    return select(
        by_owner.c.cause_id, cast(func.sum(by_owner.c.count), Integer).label("problem_count"), func.count().label("owner_count"),
        func.min(by_owner.c.oldest).label("oldest"), cast(func.sum(by_owner.c.today), Integer).label("day_count"),
    ).group_by(by_owner.c.cause_id)


def owner_titles(redrive: Redrive, *, limit: int = 500) -> dict[str, str]:
    """owner_id -> title of owners that have problems, those with most problems first."""
    counted = (  # in an index; the titles are read of those that are shown
        select(problems.c.owner_id, func.count().label("problem_count"))
        .group_by(problems.c.owner_id).order_by(func.count().desc(), problems.c.owner_id).limit(limit).subquery("counted"))
    title = (select(problems.c.owner_title).where(problems.c.owner_id == counted.c.owner_id).limit(1).scalar_subquery())
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(counted.c.owner_id, title.label("title")).order_by(counted.c.problem_count.desc(), counted.c.owner_id))
        return {row.owner_id: row.title for row in rows}


def _row(row, working: dict[ContentKey, str]) -> ProblemRow:
    key = ContentKey(ContentKind(row.kind), row.owner_id, row.part)
    kind = ProblemKind(row.problem_kind)
    return ProblemRow(
        key, kind, row.title, row.owner_title,
        wording.reason(kind, row.declared, row.detail, row.error_message),
        row.cause_id, wording.cause_title(ErrorKind(row.cause_kind), row.cause_title) if row.cause_kind else "",
        row.error_message, row.since_at, row.attempts, working.get(key))
