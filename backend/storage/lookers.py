"""ops.cause_lookers: which windows have the page of a cause open. A window that has not looked for some seconds is gone."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from backend.storage.ops_tables import cause_lookers

FORGOTTEN = timedelta(minutes=5)


def look(connection: Connection, cause_id: str, *, window_id: str, actor_id: str, now: datetime) -> datetime:
    """Returns since when this window looks."""
    statement = insert(cause_lookers).values(cause_id=cause_id, window_id=window_id, actor_id=actor_id, began_at=now, seen_at=now)
    began_at = connection.execute(statement.on_conflict_do_update(
        index_elements=[cause_lookers.c.cause_id, cause_lookers.c.window_id],
        set_={"seen_at": now, "actor_id": actor_id}).returning(cause_lookers.c.began_at)).scalar_one()
    connection.execute(delete(cause_lookers).where(cause_lookers.c.seen_at < now - FORGOTTEN))
    return began_at


def others(
    connection: Connection, cause_id: str, *, window_id: str, actor_id: str, since: datetime, own_since: datetime,
) -> list[str]:
    """Who else has looked since then, one name for each window. Windows of the person's own count from `own_since` on: a page that
    was loaded again leaves its old window behind.
    """
    return list(connection.scalars(
        select(cause_lookers.c.actor_id).where(
            cause_lookers.c.cause_id == cause_id, cause_lookers.c.window_id != window_id, cause_lookers.c.seen_at >= since,
            (cause_lookers.c.actor_id != actor_id) | (cause_lookers.c.seen_at > own_since))
        .order_by(cause_lookers.c.actor_id, cause_lookers.c.window_id)))
