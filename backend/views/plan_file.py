"""A plan as CSV: every key, included or left out, with the rule that decided and its words."""

from collections.abc import Iterator

from backend.content import wording
from backend.content.plans import Excluded, Plan, PlannedItem
from backend.views.spreadsheets import as_csv

_NAMES = ("decision", "rule", "why", "kind", "owner_id", "part", "title", "owner_title", "cause_id", "action", "problem_kind")


def plan_as_csv(plan: Plan) -> str:
    return as_csv(_NAMES, _rows(plan))


def _rows(plan: Plan) -> Iterator[dict[str, object]]:
    for item in plan.included:
        yield {"decision": "included", "why": wording.INCLUSION_RULES[item.rule], **_key(item), "action": item.action.value,
               "problem_kind": item.problem_kind.value}
    for left_out in plan.excluded:
        yield {"decision": "left out", "why": wording.EXCLUSION_RULES[left_out.rule], **_key(left_out), "action": "", "problem_kind": ""}


def _key(row: PlannedItem | Excluded) -> dict[str, object]:
    return {"rule": row.rule.value, "kind": row.key.kind.value, "owner_id": row.key.owner_id, "part": row.key.part, "title": row.title,
            "owner_title": row.owner_title, "cause_id": row.cause_id}
