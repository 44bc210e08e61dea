"""The platform's tasks as pages show them: a list turned by key, and one task with its items.

Another program writes tasks too, so nothing in a row is taken for granted: an unknown status is shown as it is, odd JSON is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, cast, func, select, tuple_

from backend.clock import utc_now
from backend.content.keys import OwnerKind
from backend.content.secrets import HIDDEN, is_secret_name, without_secrets
from backend.content.status import TaskStatus, TaskType
from backend.content.stopping import may_cancel_task
from backend.redrive import Redrive
from backend.storage.ops_tables import items, operations
from backend.storage.platform_tables import novels, roadmap_metadata, tasks
from backend.storage.task_records import CANCELLING
from backend.views.odd_json import object_of, words_of
from backend.views.operations import ItemRow, as_item_row
from backend.views.task_progress import TaskProgress, progress_of, summed_up

SHOWN_ITEMS = 500
SHOWN_FAILURES = 200
LISTED_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks; an empty field does not narrow."""

    statuses: tuple[TaskStatus, ...] = ()
    types: tuple[TaskType, ...] = ()
    owner_id: str = ""
    user: str = ""                # a part of the user's id
    minimum_age_seconds: int = 0
    maximum_age_seconds: int = 0
    text: str = ""                # of the error

    @property
    def is_everything(self) -> bool:
        return replace(self, text=self.text.strip(), user=self.user.strip()) == TaskFilter()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list, newest first: behind (or before) that task."""

    created_at: datetime
    task_id: str

    def __str__(self) -> str:
        return f"{self.created_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}~{self.task_id}"

    @classmethod
    def parse(cls, words: str) -> "Cursor":
        """The cursor that str() wrote. Raises ValueError when the words are none."""
        moment, separator, task_id = words.partition("~")
        created_at = datetime.fromisoformat(moment)
        if not separator or created_at.tzinfo is None:
            raise ValueError(words)
        return cls(created_at, task_id)


@dataclass(frozen=True, slots=True)
class TaskRow:
    task_id: str
    user_id: str
    status: str                   # a TaskStatus, or what the platform wrote
    task_type: str
    owner_kind: OwnerKind | None
    owner_id: str
    owner_title: str              # "" when the roadmap or novel is gone
    concept_id: str
    content_type: str
    current_step: str
    error: str                    # without secrets; its beginning in a list
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    progress: TaskProgress | None
    starter_ids: tuple[str, ...]  # who started the operations of its unsettled items

    @property
    def may_be_cancelled(self) -> bool:
        return may_cancel_task(self.status)

    @property
    def is_cancelling(self) -> bool:
        """Cancelled as a whole, and not all of its items have confirmed."""
        is_all_told = self.progress is not None and 0 < self.progress.cancelling == self.progress.total - self.progress.done
        return is_all_told or (self.may_be_cancelled and self.current_step == CANCELLING)


@dataclass(frozen=True, slots=True)
class TaskPage:
    as_of: datetime
    rows: tuple[TaskRow, ...]
    newer: Cursor | None  # the page with newer tasks ends before this one
    older: Cursor | None  # the page with older tasks begins after this one


@dataclass(frozen=True, slots=True)
class FailedConcept:
    """An entry of failed_concepts."""

    concept_id: str
    content_type: str
    reason: str
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperationNote:
    operation_id: str
    name: str
    actor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskDetail:
    as_of: datetime
    row: TaskRow                               # its error in full
    request: tuple[tuple[str, str], ...]       # user_request, name by name
    duration_seconds: float | None
    failed_concepts: tuple[FailedConcept, ...]
    unreadable: tuple[str, ...]                # columns whose JSON is not what the platform promises
    items: tuple[ItemRow, ...]
    operations: tuple[OperationNote, ...]

    @property
    def is_live(self) -> bool:
        """Something of it may still change by itself."""
        return self.row.may_be_cancelled or any(not item.state.is_settled for item in self.items)


def task_page(
    redrive: Redrive, task_filter: TaskFilter, *, before: Cursor | None = None, after: Cursor | None = None, page_size: int = 50,
) -> TaskPage:
    """Newest first. `before`: the tasks older than that one; `after`: those newer than it; neither: the newest."""
    now = utc_now()
    with redrive.engine.connect() as connection:
        found = _keys(connection, task_filter, now, before, after, page_size)
        if after is not None and len(found) <= page_size:  # the first page has moved on: show all of it
            before = after = None
            found = _keys(connection, task_filter, now, None, None, page_size)
        has_more = len(found) > page_size
        keys = found[:page_size] if after is None else found[-page_size:]
        rows = _rows(connection, [key.task_id for key in keys])
    is_newer_left, is_older_left = (has_more, True) if after is not None else (before is not None, has_more)
    return TaskPage(
        now, rows,
        Cursor(keys[0].created_at, keys[0].task_id) if keys and is_newer_left else None,
        Cursor(keys[-1].created_at, keys[-1].task_id) if keys and is_older_left else None)


def status_counts(redrive: Redrive, task_filter: TaskFilter) -> dict[str, int]:
    """Status -> how many tasks; the filter's own statuses do not narrow it."""
    query = select(tasks.c.status, func.count().label("count")).where(*_conditions(replace(task_filter, statuses=()), utc_now()))
    with redrive.engine.connect() as connection:
        return {row.status: row.count for row in connection.execute(query.group_by(tasks.c.status))}


def task_rows(redrive: Redrive, task_ids: Sequence[str]) -> tuple[TaskRow, ...]:
    """Those of the tasks that are there (still), newest first: what remains of a selection."""
    if not task_ids:
        return ()
    with redrive.engine.connect() as connection:
        return _rows(connection, task_ids)


def task(redrive: Redrive, task_id: str) -> TaskDetail | None:
    """One task with everything that is known about it. None: there is no such task."""
    with redrive.engine.connect() as connection:
        stored = connection.execute(_select(
            *(cast(tasks.c[name], Text).label(name) for name in ("user_request", "failed_concepts")),
        ).where(tasks.c.task_id == task_id)).one_or_none()
        if stored is None:
            return None
        found = connection.execute(
            select(items).where(items.c.task_id == task_id).order_by(items.c.item_id).limit(SHOWN_ITEMS)).all()
        notes = connection.execute(
            select(operations.c.operation_id, operations.c.name, operations.c.actor_id, operations.c.reason)
            .where(operations.c.operation_id.in_(sorted({row.operation_id for row in found}))).order_by(operations.c.created_at)).all()
        progress, starters = progress_of(connection, [task_id])
    request, failures, summary = (object_of(stored._mapping[name]) for name in ("user_request", "failed_concepts", "execution_summary"))
    return TaskDetail(
        utc_now(), _row(stored, progress, starters, is_whole=True),
        tuple((words_of(name), _told(name, value)) for name, value in list((request or {}).items())[:20]),
        _seconds(summary), failed_concepts_of(failures),
        tuple(name for name, read in (("user_request", request), ("failed_concepts", failures), ("execution_summary", summary))
              if read is None),
        tuple(map(as_item_row, found)), tuple(OperationNote(*note) for note in notes))


def _keys(
    connection: Connection, task_filter: TaskFilter, now: datetime, before: Cursor | None, after: Cursor | None, page_size: int,
) -> Sequence[Row[Any]]:
    """One more than a page holds, newest first, off the index on (created_at, task_id)."""
    place = tuple_(tasks.c.created_at, tasks.c.task_id)
    query = select(tasks.c.created_at, tasks.c.task_id).where(*_conditions(task_filter, now)).limit(page_size + 1)
    if after is not None:
        newer = query.where(place > tuple_(after.created_at, after.task_id)).order_by(tasks.c.created_at, tasks.c.task_id)
        return connection.execute(newer).all()[::-1]
    if before is not None:
        query = query.where(place < tuple_(before.created_at, before.task_id))
    return connection.execute(query.order_by(tasks.c.created_at.desc(), tasks.c.task_id.desc())).all()


def _conditions(task_filter: TaskFilter, now: datetime) -> list[ColumnElement[bool]]:
    """Every word of the text must occur in the error or in what failed."""
    conditions: list[ColumnElement[bool]] = []
    if task_filter.statuses:
        conditions.append(tasks.c.status.in_(task_filter.statuses))
    if task_filter.types:
        conditions.append(tasks.c.task_type.in_(task_filter.types))
    if task_filter.owner_id:
        conditions.append((tasks.c.roadmap_id == task_filter.owner_id) | (tasks.c.novel_id == task_filter.owner_id))
    if task_filter.user.strip():
        conditions.append(tasks.c.user_id.icontains(task_filter.user.strip(), autoescape=True))
    if task_filter.minimum_age_seconds:
        conditions.append(tasks.c.created_at <= now - timedelta(seconds=task_filter.minimum_age_seconds))
    if task_filter.maximum_age_seconds:
        conditions.append(tasks.c.created_at > now - timedelta(seconds=task_filter.maximum_age_seconds))
    searched = func.concat_ws(" ", tasks.c.error_message, cast(tasks.c.failed_concepts, Text))
    conditions += [searched.icontains(word, autoescape=True) for word in task_filter.text.split()]
    return conditions


def _select(*more: ColumnElement[Any]) -> Select[Any]:
    """Tasks with the titles of their owners; JSON comes as text, so that an odd value fails nothing."""
    plain = [tasks.c[name] for name in (
        "task_id", "user_id", "status", "task_type", "concept_id", "content_type", "roadmap_id", "novel_id", "current_step",
        "error_message", "created_at", "updated_at", "completed_at")]
    return (
        select(*plain, cast(tasks.c.execution_summary, Text).label("execution_summary"),
               func.coalesce(roadmap_metadata.c.title, novels.c.title, "").label("owner_title"), *more)
        .select_from(tasks.outerjoin(roadmap_metadata, roadmap_metadata.c.roadmap_id == tasks.c.roadmap_id)
                     .outerjoin(novels, novels.c.id == tasks.c.novel_id)))


def _rows(connection: Connection, task_ids: Sequence[str]) -> tuple[TaskRow, ...]:
    stored = connection.execute(
        _select().where(tasks.c.task_id.in_(task_ids)).order_by(tasks.c.created_at.desc(), tasks.c.task_id.desc())).all()
    progress, starters = progress_of(connection, task_ids)
    return tuple(_row(row, progress, starters) for row in stored)


def _row(
    stored: Row[Any], progress: dict[str, TaskProgress], starters: dict[str, tuple[str, ...]], *, is_whole: bool = False,
) -> TaskRow:
    owner_kind = OwnerKind.ROADMAP if stored.roadmap_id else OwnerKind.NOVEL if stored.novel_id else None
    error = without_secrets(words_of(stored.error_message))
    return TaskRow(
        stored.task_id, stored.user_id or "", stored.status or "", stored.task_type or "", owner_kind,
        stored.roadmap_id or stored.novel_id or "", stored.owner_title, stored.concept_id or "", stored.content_type or "",
        stored.current_step or "", error if is_whole else error[:LISTED_ERROR_CHARACTERS], stored.created_at, stored.updated_at,
        stored.completed_at, progress.get(stored.task_id) or summed_up(object_of(stored.execution_summary)),
        starters.get(stored.task_id, ()))


def _told(name: str, value: object) -> str:
    """What the platform was asked for, unless its name says that nobody may read it."""
    return HIDDEN if value and is_secret_name(name) else without_secrets(words_of(value))


def _seconds(summary: dict[str, Any] | None) -> float | None:
    seconds = (summary or {}).get("duration_seconds")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return float(seconds) if is_number and 0 <= seconds < 10 ** 9 else None


def failed_concepts_of(failures: dict[str, Any] | None) -> tuple[FailedConcept, ...]:
    return tuple(
        _failed_concept(words_of(concept_id), entry if isinstance(entry, dict) else {"reason": entry})
        for concept_id, entry in list((failures or {}).items())[:SHOWN_FAILURES])


def _failed_concept(concept_id: str, entry: dict[str, Any]) -> FailedConcept:
    try:
        failed_at = datetime.fromisoformat(words_of(entry.get("timestamp")))
    except ValueError:
        failed_at = None
    return FailedConcept(concept_id, words_of(entry.get("content_type")), without_secrets(words_of(entry.get("reason"))),
                         failed_at if failed_at and failed_at.tzinfo else None)
