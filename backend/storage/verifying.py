"""What the detector's kept answers say of every key of an operation, once it has looked again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import STOP_RULES
from backend.content.status import OperationState
from backend.storage.ops_tables import operations


@dataclass(frozen=True, slots=True)
class Found:
    """How many keys stand so."""

    was_begun: bool            # it was written, repaired, failed, or found in order
    problem_kind: str | None   # None: the detector lists nothing
    cause_id: str
    error_kind: str
    title: str                 # of the cause
    count: int


def listed(connection: Connection, operation_id: str) -> list[Found]:
    """Keys that are problems, by kind and cause, the most frequent first."""
    rows = connection.execute(text(
        "select i.state in ('succeeded', 'failed') as was_begun, p.problem_kind, p.cause_id, min(p.error_kind) as error_kind, "
        "  coalesce(min(c.title), '') as title, count(*) as count "
        "from ops.items i join ops.problems p using (kind, owner_id, part) left join ops.causes c on c.cause_id = p.cause_id "
        "where i.operation_id = :operation_id group by 1, 2, 3 order by count(*) desc, p.cause_id"), {"operation_id": operation_id})
    return [Found(row.was_begun, row.problem_kind, row.cause_id, row.error_kind, row.title, row.count) for row in rows]


def written_and_unlisted(connection: Connection, operation_id: str) -> tuple[int, int]:
    """(keys that were written or repaired and are no problem, those of them whose roadmap or novel is gone)."""
    row = connection.execute(text(
        "select count(*) as count, count(*) filter (where coalesce(r.roadmap_id, n.id) is null) as gone from ops.items i "
        "left join public.roadmap_metadata r on i.kind <> 'chapter' and r.roadmap_id = i.owner_id and r.deleted_at is null "
        "left join public.novels n on i.kind = 'chapter' and n.id = i.owner_id "
        "where i.operation_id = :operation_id and i.state = 'succeeded' and not exists ("
        "  select 1 from ops.problems p where (p.kind, p.owner_id, p.part) = (i.kind, i.owner_id, i.part))"),
        {"operation_id": operation_id}).one()
    return row.count, row.gone


def others_unlisted(connection: Connection, operation_id: str, after: int, limit: int) -> list[tuple[int, ContentKey]]:
    """Keys that were not written here and are no problem all the same: (item id, key), from behind that item on."""
    rows = connection.execute(text(
        "select i.item_id, i.kind, i.owner_id, i.part from ops.items i "
        "where i.operation_id = :operation_id and i.item_id > :after and i.state <> 'succeeded' and not exists ("
        "  select 1 from ops.problems p where (p.kind, p.owner_id, p.part) = (i.kind, i.owner_id, i.part)) "
        "order by i.item_id limit :limit"), {"operation_id": operation_id, "after": after, "limit": limit})
    return [(row.item_id, ContentKey(ContentKind(row.kind), row.owner_id, row.part)) for row in rows]


def stop_of(connection: Connection, operation_id: str) -> tuple[int, str]:
    """(items that its stopped groups left untouched, the reasons in words) when all that was left of it was stopped; else (0, "").

    All that was left: nothing of its other groups was begun after the last stop.
    """
    row = connection.execute(text(
        "with stopped as (select * from ops.groups where operation_id = :operation_id and state = 'stopped') "
        "select (select count(*) from ops.items i where i.operation_id = :operation_id and i.state = 'skipped' "
        "    and i.skip_rule = any(:rules)) as untouched, "
        "  (select string_agg(distinct stop_words, '; ') from stopped) as words, "
        "  exists (select 1 from ops.items i where i.operation_id = :operation_id and i.group_id is not null "
        "    and i.started_at > (select max(stopped_at) from stopped)) as went_on"),
        {"operation_id": operation_id, "rules": [rule.value for rule in STOP_RULES]}).one()
    return (0, "") if row.went_on or not row.untouched else (row.untouched, row.words or "")


def end(connection: Connection, operation_id: str, state: OperationState, reason: str, outcome: dict[str, Any], now: datetime) -> bool:
    """verifying -> completed | stopped, with what the detector found. False: somebody else did."""
    values: dict[str, Any] = {"state": state, "outcome": outcome, "settled_at": now}
    if reason:
        values |= {"state_reason": reason, "state_by": None}
    return connection.execute(
        operations.update().where(operations.c.operation_id == operation_id, operations.c.state == OperationState.VERIFYING)
        .values(**values)).rowcount == 1
