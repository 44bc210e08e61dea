"""A confirmed plan becomes items and tasks: at once when it is small, piece by piece by the maintenance process when it is large.

Until the last piece is written its operation is armed and has no time to start: nothing of it is handed out.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import uuid4

from sqlalchemy import Connection

from backend.clock import utc_now
from backend.content.keys import ContentKind, OwnerKind
from backend.content.status import TaskType
from backend.redrive import Redrive
from backend.storage import frozen, items, stopping
from backend.storage.items import ItemRow

AT_ONCE_ITEMS = 5_000  # a transaction of about 0.3 s; 100,000 would keep the person who confirms waiting for 3 s


def is_large(item_count: int) -> bool:
    return item_count > AT_ONCE_ITEMS


def store(connection: Connection, operation_id: str, rows: Sequence[ItemRow], reason: str) -> None:
    """In the transaction that confirms."""
    if is_large(len(rows)):
        frozen.freeze(connection, operation_id, list(_pieces(rows)))
    else:
        _write(connection, operation_id, rows, reason)


def write_piece(redrive: Redrive) -> bool:
    """Write the next piece of a large plan; after the last one its operation runs. False: there is none."""
    with redrive.engine.begin() as connection:
        return _write_piece(connection, waits=False)


def write_all(connection: Connection) -> None:
    """Whatever is to be written yet, in this transaction: who cancels or confirms must meet every item."""
    while frozen.is_any(connection):
        _write_piece(connection, waits=True)


def _write_piece(connection: Connection, *, waits: bool) -> bool:
    piece = frozen.take_piece(connection, waits=waits)
    if piece is None:
        return False
    _write(connection, piece.operation_id, piece.rows, piece.reason)
    if not frozen.is_left_of(connection, piece.operation_id):
        stopping.start_itemised(connection, piece.operation_id, utc_now())
    return True


def _pieces(rows: Sequence[ItemRow]) -> Iterator[list[ItemRow]]:
    """All items of an owner are in one piece, with its task."""
    piece: list[ItemRow] = []
    for owned in _by_owner(rows).values():
        piece += owned
        if len(piece) >= AT_ONCE_ITEMS:
            yield piece
            piece = []
    if piece:
        yield piece


def _write(connection: Connection, operation_id: str, rows: Sequence[ItemRow], reason: str) -> None:
    """The items, and a task for each owner."""
    by_owner = _by_owner(rows)
    task_ids = {owner_id: str(uuid4()) for owner_id in by_owner}
    items.insert_tasks(connection, [
        {"task_id": task_ids[owner_id], **_owner_columns(owner_id, owned), **_task_kind(owned)} for owner_id, owned in by_owner.items()
    ], json.dumps({"source": "redrive", "operation_id": operation_id, "reason": reason}))
    items.insert_items(connection, operation_id, rows, task_ids)


def _by_owner(rows: Sequence[ItemRow]) -> dict[str, list[ItemRow]]:
    by_owner: dict[str, list[ItemRow]] = defaultdict(list)
    for row in rows:
        by_owner[row.owner_id].append(row)
    return by_owner


def _owner_columns(owner_id: str, owned: Sequence[ItemRow]) -> dict[str, str | None]:
    is_novel = ContentKind(owned[0].kind).owner_kind is OwnerKind.NOVEL
    return {"roadmap_id": None if is_novel else owner_id, "novel_id": owner_id if is_novel else None}


def _task_kind(owned: Sequence[ItemRow]) -> dict[str, str | None]:
    kinds, concepts = {row.kind for row in owned}, {row.part for row in owned}
    task_type = TaskType.RETRY_BATCH
    if len(kinds) == 1:
        task_type = {
            ContentKind.TUTORIAL: TaskType.RETRY_TUTORIAL, ContentKind.RESOURCES: TaskType.RETRY_RESOURCES,
            ContentKind.QUIZ: TaskType.RETRY_QUIZ, ContentKind.CHAPTER: TaskType.CHAPTER,
            ContentKind.COVER: TaskType.COVER}[ContentKind(next(iter(kinds)))]
    is_of_concepts = task_type not in (TaskType.CHAPTER, TaskType.COVER)
    return {
        "task_type": task_type,
        "concept_id": next(iter(concepts)) if len(concepts) == 1 and is_of_concepts else None,
        "content_type": next(iter(kinds)) if len(kinds) == 1 and is_of_concepts else None,
    }
