"""What a confirmed plan set off and what it skipped, by which rule: read from the operation, for the notice and its page alike."""

from dataclasses import dataclass

from sqlalchemy import text

from backend.content.plans import ExclusionRule
from backend.redrive import Redrive


@dataclass(frozen=True, slots=True)
class Skipped:
    rule: ExclusionRule
    count: int
    names: tuple[str, ...]  # ids of the first ones, in the order of the plan: "roadmap-1", or "roadmap-1/concept-7"


@dataclass(frozen=True, slots=True)
class Triggered:
    count: int                    # items
    skipped: tuple[Skipped, ...]  # the most frequent rule first


def triggered(redrive: Redrive, operation_id: str, *, names: int) -> Triggered | None:
    """With at most so many names for each rule. None: there is no such operation."""
    with redrive.engine.connect() as connection:
        count = connection.scalar(
            text("select planned_count from ops.operations where operation_id = :operation_id"), {"operation_id": operation_id})
        if count is None:
            return None
        rows = connection.execute(text(
            "select rule, count(*) as count, "
            "  array_agg(case when part = '' then owner_id else owner_id || '/' || part end order by item_id) "
            "    filter (where place <= :names) as names "
            "from (select *, row_number() over (partition by rule order by item_id) as place "
            "      from ops.left_out where operation_id = :operation_id) l "
            "group by rule order by count(*) desc, rule"), {"operation_id": operation_id, "names": names})
        return Triggered(count, tuple(Skipped(ExclusionRule(row.rule), row.count, tuple(row.names)) for row in rows))
