"""All operations, the newest first, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from backend.clock import utc_now
from backend.content.status import OperationState
from backend.redrive import Redrive
from backend.views.operations import Progress, progress_of


@dataclass(frozen=True, slots=True)
class OperationRow:
    operation_id: str
    name: str
    state: OperationState
    actor_id: str
    reason: str
    item_count: int
    created_at: datetime
    settled_at: datetime | None
    outcome: dict[str, Any]


def operation_rows(
    redrive: Redrive, *, states: Sequence[OperationState] = (), words: str = "", before: datetime | None = None, limit: int = 50,
) -> tuple[OperationRow, ...]:
    """Operations, the newest first, from before that time on; narrowed by state and by words of scope, person or reason."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select * from ops.operations where (cardinality(cast(:states as text[])) = 0 or state = any(:states)) "
            "and (:words = '' or strpos(lower(concat_ws(' ', name, actor_id, reason, operation_id)), :words) > 0) "
            "and (cast(:before as timestamptz) is null or created_at < :before) order by created_at desc limit :limit"),
            {"states": [state.value for state in states], "words": words.strip().lower(), "before": before, "limit": limit})
        return tuple(OperationRow(
            row.operation_id, row.name, OperationState(row.state), row.actor_id, row.reason, row.planned_count, row.created_at,
            row.settled_at, row.outcome or {}) for row in rows)


@dataclass(frozen=True, slots=True)
class OperationPage:
    as_of: datetime
    rows: tuple[Progress, ...]
    counts: dict[OperationState, int]   # of all operations, whatever the page is narrowed to
    older_than: datetime | None         # where the next page begins; None: this is the last


def operation_page(
    redrive: Redrive, *, states: Sequence[OperationState] = (), words: str = "", before: datetime | None = None, limit: int = 50,
) -> OperationPage:
    """A page of `operation_rows` with how far each is."""
    as_of = utc_now()
    found = operation_rows(redrive, states=states, words=words, before=before, limit=limit + 1)
    with redrive.engine.connect() as connection:
        counted = connection.execute(text("select state, count(*) as count from ops.operations group by state"))
        counts = {OperationState(row.state): row.count for row in counted}
    rows = progress_of(redrive, [row.operation_id for row in found[:limit]])
    return OperationPage(as_of, rows, counts, found[limit - 1].created_at if len(found) > limit else None)
