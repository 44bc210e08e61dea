"""ops.findings: what the reconciler found and mended, append only."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert

from backend.content.status import FindingKind
from backend.storage.ops_tables import findings

KEPT_DAYS = 7


def record(connection: Connection, kind: FindingKind, count: int, detail: str, now: datetime) -> None:
    connection.execute(insert(findings).values(kind=kind, count=count, detail=detail, found_at=now))
    connection.execute(delete(findings).where(findings.c.found_at < now - timedelta(days=KEPT_DAYS)))
