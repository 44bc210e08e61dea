"""ops.heartbeats: which long-lived processes of ours are alive."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from backend.storage.ops_tables import heartbeats


def beat(connection: Connection, process: str, *, role: str, now: datetime) -> None:
    statement = insert(heartbeats).values(process=process, role=role, started_at=now, beat_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=[heartbeats.c.process], set_={"beat_at": now}))
    connection.execute(delete(heartbeats).where(heartbeats.c.beat_at < func.now() - text("interval '1 day'")))


def last_beat_at(connection: Connection, role: str) -> datetime | None:
    """When a process of this role was last alive. None: never."""
    return connection.scalar(select(func.max(heartbeats.c.beat_at)).where(heartbeats.c.role == role))
