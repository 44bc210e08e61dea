"""ops.heartbeats: which long-lived processes of ours are alive."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from backend.storage.ops_tables import heartbeats


def beat(connection: Connection, process: str, *, role: str, now: datetime) -> None:
    statement = insert(heartbeats).values(process=process, role=role, started_at=now, beat_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=[heartbeats.c.process], set_={"beat_at": now}))
    connection.execute(delete(heartbeats).where(heartbeats.c.beat_at < func.now() - text("interval '1 day'")))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    started_at: datetime
    beat_at: datetime


def newest(connection: Connection, role: str) -> Heartbeat | None:
    """The process of this role that was alive last. None: there never was one."""
    row = connection.execute(select(heartbeats.c.started_at, heartbeats.c.beat_at).where(
        heartbeats.c.role == role).order_by(heartbeats.c.beat_at.desc()).limit(1)).one_or_none()
    return Heartbeat(row.started_at, row.beat_at) if row else None
