"""ops.item_events: attempts and waits that ended without an outcome, append only. It keeps what the row of the item forgets then.

Normal work writes nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from backend.content.status import ItemEventKind
from backend.storage.ops_tables import item_events


@dataclass(frozen=True, slots=True)
class ItemEvent:
    item_id: int
    at: datetime
    attempt: int                 # that ended, or waited
    kind: ItemEventKind
    words: str
    queued_at: datetime | None   # of that attempt
    started_at: datetime | None  # None: no worker had begun it


def chosen_and_noted(kind: ItemEventKind, condition: str) -> str:
    """Beginning of a statement that changes the `chosen` items: they are locked in the order of their ids, and noted. Wants :words."""
    return (
        f"with chosen as (select item_id, attempt, queued_at, started_at from ops.items where {condition} order by item_id for update), "
        "noted as (insert into ops.item_events (item_id, attempt, kind, words, queued_at, started_at) "
        f"  select item_id, attempt, '{kind.value}', cast(:words as text), queued_at, started_at from chosen) ")


def events_of(connection: Connection, item_ids: Sequence[int]) -> list[ItemEvent]:
    """Oldest first."""
    rows = connection.execute(select(item_events).where(item_events.c.item_id.in_(item_ids)).order_by(item_events.c.event_id))
    return [ItemEvent(row.item_id, row.at, row.attempt, ItemEventKind(row.kind), row.words, row.queued_at, row.started_at) for row in rows]
