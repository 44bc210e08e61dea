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
from backend.storage.items import ItemColumns

AT_ONCE_ITEMS = 5_000  # a transaction of about 0.3 s; 100,000 would keep the person who confirms waiting for 3 s


def is_large(item_count: int) -> bool:
    return item_count > AT_ONCE_ITEMS


def store(connection: Connection, operation_id: str, columns: ItemColumns, reason: str) -> None:
    """In the transaction that confirms."""
    if is_large(len(columns["owner_id"])):
        frozen.freeze(connection, operation_id, _pieces(columns))
    else:
        _write(connection, operation_id, columns, reason)


def write_piece(redrive: Redrive) -> bool:
    """Write the next piece of a large plan; after the last one its operation runs. False: there is none."""
    with redrive.engine.begin() as connection:
        return _write_piece(connection, waits=False)


def write_all(connection: Connection, operation_id: str | None = None) -> None:
    """Whatever is to be written yet, of that operation or of all, in this transaction: who cancels or confirms must meet every item."""
    while frozen.is_any(connection, operation_id):
        _write_piece(connection, operation_id, waits=True)


def _write_piece(connection: Connection, operation_id: str | None = None, *, waits: bool) -> bool:
    piece = frozen.take_piece(connection, operation_id, waits=waits)
    if piece is None:
        return False
    _write(connection, piece.operation_id, piece.columns, piece.reason)
    if not frozen.is_any(connection, piece.operation_id):
        stopping.start_itemised(connection, piece.operation_id, utc_now())
    return True


def _pieces(columns: ItemColumns) -> Iterator[ItemColumns]:
    """All items of an owner are in one piece, with its task."""
    piece: list[int] = []
    for owned in _by_owner(columns).values():
        piece += owned
        if len(piece) >= AT_ONCE_ITEMS:
            yield _rows(columns, piece)
            piece = []
    if piece:
        yield _rows(columns, piece)


def _rows(columns: ItemColumns, chosen: Sequence[int]) -> ItemColumns:
    return {name: [column[row] for row in chosen] for name, column in columns.items()}


def _by_owner(columns: ItemColumns) -> dict[str, list[int]]:
    """owner_id -> its rows."""
    by_owner: dict[str, list[int]] = defaultdict(list)
    for row, owner_id in enumerate(columns["owner_id"]):
        by_owner[owner_id].append(row)
    return by_owner


def _write(connection: Connection, operation_id: str, columns: ItemColumns, reason: str) -> None:
    """The items, and a task for each owner. The items first: so the task is known to be ours, and nobody looks at its owner again."""
    by_owner = _by_owner(columns)
    task_ids = {owner_id: str(uuid4()) for owner_id in by_owner}
    items.insert_items(connection, operation_id, columns, task_ids)
    items.insert_tasks(connection, [
        {"task_id": task_ids[owner_id], **_task(owner_id, {columns["kind"][row] for row in owned}, {columns["part"][row] for row in owned})}
        for owner_id, owned in by_owner.items()
    ], json.dumps({"source": "redrive", "operation_id": operation_id, "reason": reason}))


def _task(owner_id: str, kinds: set[str], parts: set[str]) -> dict[str, str | None]:
    """Whose it is, and what it is for."""
    is_novel = ContentKind(next(iter(kinds))).owner_kind is OwnerKind.NOVEL
    task_type = TaskType.RETRY_BATCH
    if len(kinds) == 1:
        task_type = {
            ContentKind.TUTORIAL: TaskType.RETRY_TUTORIAL, ContentKind.RESOURCES: TaskType.RETRY_RESOURCES,
            ContentKind.QUIZ: TaskType.RETRY_QUIZ, ContentKind.CHAPTER: TaskType.CHAPTER,
            ContentKind.COVER: TaskType.COVER}[ContentKind(next(iter(kinds)))]
    is_of_concepts = task_type not in (TaskType.CHAPTER, TaskType.COVER)
    return {
        "roadmap_id": None if is_novel else owner_id, "novel_id": owner_id if is_novel else None, "task_type": task_type,
        "concept_id": next(iter(parts)) if len(parts) == 1 and is_of_concepts else None,
        "content_type": next(iter(kinds)) if len(kinds) == 1 and is_of_concepts else None,
    }
