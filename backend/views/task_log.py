"""What happened to a task, in order, told from what PostgreSQL keeps: the same after every reload. And what failed in tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Text, and_, cast, func, or_, select

from backend.content.keys import ContentKey, ContentKind
from backend.content.secrets import without_secrets
from backend.content.status import ItemEventKind, ItemState, TaskType
from backend.redrive import Redrive
from backend.storage.item_events import ItemEvent, events_of
from backend.storage.ops_tables import audit_log, items, problems
from backend.storage.platform_tables import tasks
from backend.views.odd_json import object_of
from backend.views.operations import ItemRow
from backend.views.tasks import FailedConcept, TaskDetail, failed_concepts_of

AFTER_THE_END = timedelta(hours=1)  # how long after a task's end lines of the audit log may still be about it


class EventKind(StrEnum):
    CREATED = "created"
    ACTION = "action"                  # a line of the audit log; what it brought about bears the same time
    LOST = "lost"                      # an attempt whose worker was lost
    GIVEN_BACK = "given_back"          # an attempt that its worker did not end
    UNQUEUED = "unqueued"              # what waited is not to be begun for now
    QUEUED = "queued"
    STARTED = "started"
    TOLD_TO_STOP = "told_to_stop"
    SETTLED = "settled"
    FAILED_CONCEPT = "failed_concept"  # as the platform noted it
    ENDED = "ended"


_ORDER = list(EventKind)


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One line of the log. Which fields speak follows from the kind."""

    at: datetime
    kind: EventKind
    item: ItemRow | None = None
    count: int = 1
    actor_id: str = ""
    action: str = ""
    detail: str = ""
    failed: FailedConcept | None = None


def task_events(redrive: Redrive, found: TaskDetail) -> tuple[TaskEvent, ...]:
    """Oldest first; what happened in the same moment in the order that it must have had."""
    with redrive.engine.connect() as connection:
        lines = _audit_lines(connection, found)
        ended = events_of(connection, [item.item_id for item in found.items])
    row = found.row
    items_by_id = {item.item_id: item for item in found.items}
    events = [TaskEvent(row.created_at, EventKind.CREATED, actor_id=row.user_id), *_queued(found.items, ended, items_by_id),
              *_unqueued(ended, items_by_id)]
    for event in ended:
        events += _of_attempt(event, items_by_id[event.item_id])
    for item in found.items:
        events += _of_item(item)
    events += [TaskEvent(entry.failed_at, EventKind.FAILED_CONCEPT, failed=entry)
               for entry in found.failed_concepts if entry.failed_at and not found.items]
    events += [TaskEvent(line.at, EventKind.ACTION, actor_id=line.actor_id, action=line.action,
                         detail=without_secrets(" · ".join(filter(None, (line.reason, line.result))))) for line in lines]
    if row.completed_at is not None:  # items that settle at once write their times before they wait for the task's lock
        ended_at = max([row.completed_at, *(item.settled_at for item in found.items if item.settled_at)])
        events.append(TaskEvent(ended_at, EventKind.ENDED, action=row.status))
    return tuple(sorted(events, key=lambda event: (
        event.at, _ORDER.index(event.kind), event.item.item_id if event.item else 0)))


def _audit_lines(connection: Connection, found: TaskDetail) -> Sequence[Row[Any]]:
    """Lines of its operations, but for those about other tasks of theirs, and those that name the task itself."""
    query = select(audit_log).where(
        audit_log.c.at >= found.row.created_at - timedelta(minutes=1),
        or_(and_(audit_log.c.operation_id.in_([note.operation_id for note in found.operations]), audit_log.c.task_id.is_(None)),
            audit_log.c.task_id == found.row.task_id, func.strpos(audit_log.c.scope, found.row.task_id) > 0),
    ).order_by(audit_log.c.audit_id).limit(200)
    if found.row.completed_at is not None:
        query = query.where(audit_log.c.at <= found.row.completed_at + AFTER_THE_END)
    return connection.execute(query).all()


def _queued(found: Iterable[ItemRow], ended: Iterable[ItemEvent], items_by_id: Mapping[int, ItemRow]) -> list[TaskEvent]:
    """Items go to the queue in chunks: one line for each chunk."""
    waited = {(item.queued_at, item.item_id) for item in found} | {(event.queued_at, event.item_id) for event in ended}
    return _together(EventKind.QUEUED, waited, items_by_id)


def _unqueued(ended: Iterable[ItemEvent], items_by_id: Mapping[int, ItemRow]) -> list[TaskEvent]:
    taken = {(event.at, event.item_id) for event in ended if event.kind is ItemEventKind.UNQUEUED}
    return _together(EventKind.UNQUEUED, taken, items_by_id)


def _together(kind: EventKind, times: Iterable[tuple[datetime | None, int]], items_by_id: Mapping[int, ItemRow]) -> list[TaskEvent]:
    """One line for all items that it happened to in the same moment."""
    known = sorted((at, item_id) for at, item_id in times if at is not None)
    chunks = [(at, [items_by_id[item_id] for _at, item_id in chunk]) for at, chunk in groupby(known, key=lambda pair: pair[0])]
    return [TaskEvent(at, kind, chunk[0], len(chunk)) for at, chunk in chunks]


_ENDS = {ItemEventKind.LOST: EventKind.LOST, ItemEventKind.GIVEN_BACK: EventKind.GIVEN_BACK}  # the others ended no attempt


def _of_attempt(event: ItemEvent, item: ItemRow) -> list[TaskEvent]:
    """An attempt before the last one: the item's row knows nothing of it any more."""
    attempt = replace(item, attempt=event.attempt)
    begun = [TaskEvent(event.started_at, EventKind.STARTED, attempt)] if event.started_at else []
    return [*begun, TaskEvent(event.at, _ENDS[event.kind], attempt, detail=event.words)] if event.kind in _ENDS else begun


def _of_item(item: ItemRow) -> list[TaskEvent]:
    events = []
    if item.started_at:
        events.append(TaskEvent(item.started_at, EventKind.STARTED, item))
    is_told = item.cancel_requested_at and item.cancel_requested_at != item.settled_at  # what waited was cancelled at once
    if is_told:
        events.append(TaskEvent(item.cancel_requested_at, EventKind.TOLD_TO_STOP, item, actor_id=item.cancelled_by,
                                detail=item.cancel_reason))
    if item.settled_at:
        events.append(TaskEvent(item.settled_at, EventKind.SETTLED, item))
    return events


def failed_keys(redrive: Redrive, task_ids: Sequence[str]) -> tuple[ContentKey, ...]:
    """What failed in these tasks and is a problem now.

    Of our own tasks the items that failed. Of the platform's what it named in failed_concepts; a failed task that names nothing
    stands for every problem of what it was about: what was not written down must not be taken for done.
    """
    with redrive.engine.connect() as connection:
        ours = set(connection.scalars(select(items.c.task_id).where(items.c.task_id.in_(task_ids)).distinct()))
        failed = {ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in connection.execute(
            select(items.c.kind, items.c.owner_id, items.c.part).where(
                items.c.task_id.in_(task_ids), items.c.state == ItemState.FAILED))}
        theirs = connection.execute(select(
            tasks.c.task_id, tasks.c.status, tasks.c.task_type, tasks.c.roadmap_id, tasks.c.novel_id, tasks.c.concept_id,
            tasks.c.content_type, cast(tasks.c.failed_concepts, Text).label("failed_concepts"),
        ).where(tasks.c.task_id.in_([task_id for task_id in task_ids if task_id not in ours]))).all()
        owner_ids = {key.owner_id for key in failed} | {row.roadmap_id or row.novel_id for row in theirs}
        broken = [ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in connection.execute(
            select(problems.c.kind, problems.c.owner_id, problems.c.part).where(problems.c.owner_id.in_(sorted(filter(None, owner_ids))))
            .order_by(problems.c.owner_id, problems.c.part, problems.c.kind))]
    return tuple(key for key in broken if key in failed or any(_failed_in(row, key) for row in theirs))


def _failed_in(row: Row[Any], key: ContentKey) -> bool:
    """Did this problem's key fail in that task of the platform, as far as it tells?"""
    if key.owner_id not in (row.roadmap_id, row.novel_id):
        return False
    named = failed_concepts_of(object_of(row.failed_concepts))
    if named:
        return any(entry.concept_id == key.part and _is_kind(entry.content_type or row.content_type, key) for entry in named)
    if row.status not in ("failed", "partial_failure"):
        return False
    is_cover_task = row.task_type == TaskType.COVER
    return ((not row.concept_id or row.concept_id == key.part) and _is_kind(row.content_type, key)
            and (not is_cover_task or key.kind is ContentKind.COVER))


def _is_kind(content_types: str | None, key: ContentKey) -> bool:
    """Comma separated kinds; none, or words that are no kinds, do not narrow."""
    known = {word.strip() for word in (content_types or "").split(",")} & set(ContentKind)
    return not known or key.kind in known
