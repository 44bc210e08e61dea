"""ops.cause_lookers: which windows have the page of a cause open. A window that has not looked for some seconds is gone."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from backend.storage.ops_tables import cause_lookers

FORGOTTEN = timedelta(minutes=5)


def look(connection: Connection, cause_id: str, *, window_id: str, actor_id: str, now: datetime) -> None:
    statement = insert(cause_lookers).values(cause_id=cause_id, window_id=window_id, actor_id=actor_id, seen_at=now)
    connection.execute(statement.on_conflict_do_update(
        index_elements=[cause_lookers.c.cause_id, cause_lookers.c.window_id], set_={"seen_at": now, "actor_id": actor_id}))
    connection.execute(delete(cause_lookers).where(cause_lookers.c.seen_at < now - FORGOTTEN))


def others(connection: Connection, cause_id: str, *, window_id: str, since: datetime) -> list[str]:
    """Who else looks at it, one name for each window."""
    return list(connection.scalars(
        select(cause_lookers.c.actor_id).where(
            cause_lookers.c.cause_id == cause_id, cause_lookers.c.window_id != window_id, cause_lookers.c.seen_at >= since)
        .order_by(cause_lookers.c.actor_id, cause_lookers.c.window_id)))
