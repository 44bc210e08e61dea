"""ops.frozen_pieces: keys of a confirmed plan that are not items yet. A piece is taken once, whoever takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, insert, text

from backend.storage.items import ItemRow
from backend.storage.ops_tables import frozen_pieces


@dataclass(frozen=True, slots=True)
class Piece:
    operation_id: str
    reason: str
    rows: tuple[ItemRow, ...]


def freeze(connection: Connection, operation_id: str, pieces: Sequence[Sequence[ItemRow]]) -> None:
    connection.execute(insert(frozen_pieces), [
        {"operation_id": operation_id, "rows": to_json(piece).decode()} for piece in pieces])


def is_any(connection: Connection) -> bool:
    return bool(connection.scalar(text("select exists (select 1 from ops.frozen_pieces)")))


def take_piece(connection: Connection, *, waits: bool) -> Piece | None:
    """The oldest piece; it is gone when the transaction commits. `waits`: for one that somebody else has taken, else the next is taken."""
    row = connection.execute(text(
        "delete from ops.frozen_pieces p using ops.operations o where p.operation_id = o.operation_id and p.piece_id = ("
        f"  select piece_id from ops.frozen_pieces order by piece_id limit 1 for update {'' if waits else 'skip locked'}) "
        'returning p.operation_id, o.reason, p."rows"')).one_or_none()
    return Piece(row.operation_id, row.reason or "", tuple(ItemRow(*values) for values in from_json(row.rows))) if row else None


def is_left_of(connection: Connection, operation_id: str) -> bool:
    return bool(connection.scalar(
        text("select exists (select 1 from ops.frozen_pieces where operation_id = :operation_id)"), {"operation_id": operation_id}))
