"""ops.frozen_pieces: keys of a confirmed plan that are not items yet. A piece is taken once, whoever takes it."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, insert, text

from backend.storage.items import ItemColumns
from backend.storage.ops_tables import frozen_pieces


@dataclass(frozen=True, slots=True)
class Piece:
    operation_id: str
    reason: str
    columns: ItemColumns


def freeze(connection: Connection, operation_id: str, pieces: Iterable[ItemColumns]) -> None:
    connection.execute(insert(frozen_pieces), [
        {"operation_id": operation_id, "rows": to_json(piece).decode()} for piece in pieces])


def is_any(connection: Connection, operation_id: str | None = None) -> bool:
    """Of that operation, or of any."""
    return bool(connection.scalar(text(
        "select exists (select 1 from ops.frozen_pieces where cast(:operation_id as text) is null or operation_id = :operation_id)"),
        {"operation_id": operation_id}))


def take_piece(connection: Connection, operation_id: str | None = None, *, waits: bool) -> Piece | None:
    """The oldest piece of that operation, or of any; it is gone when the transaction commits.

    Its operation is locked first, as whoever undoes or cancels it does: so neither waits for the other with what the other wants. With
    `waits` for one that somebody else has locked, else the next is taken. None: there is none, or it was taken in the meantime.
    """
    row = connection.execute(text(
        "delete from ops.frozen_pieces p using ops.operations o where p.operation_id = o.operation_id and p.piece_id = ("
        "  select f.piece_id from ops.frozen_pieces f join ops.operations l using (operation_id) "
        "  where cast(:operation_id as text) is null or f.operation_id = :operation_id "
        f"  order by f.piece_id limit 1 for no key update of l{'' if waits else ' skip locked'}) "
        'returning p.operation_id, o.reason, p."rows"'), {"operation_id": operation_id}).one_or_none()
    return Piece(row.operation_id, row.reason or "", from_json(row.rows)) if row else None
