"""The scope that an operation was planned for, read back from its record."""

from sqlalchemy import Connection, text

from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope


def scope_of(connection: Connection, operation_id: str) -> Scope | None:
    """A filter as it was written; keys that were chosen by hand are those of its items and of what was left out. None: there is none."""
    stored = connection.scalar(text("select scope from ops.operations where operation_id = :operation_id"), {"operation_id": operation_id})
    if stored is None:
        return None
    if "filter" in stored:
        return Scope.from_json(stored)
    rows = connection.execute(text(
        "select kind, owner_id, part, item_id from ops.items where operation_id = :operation_id union all "
        "select kind, owner_id, part, item_id from ops.left_out where operation_id = :operation_id order by item_id"),
        {"operation_id": operation_id})
    keys = [ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in rows]
    return Scope.of(*keys) if keys else None
