"""ops.spendings: what items have used, appended as they settle and added up to their operations."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from backend.content.written import Spent
from backend.storage.items import StoredItem

ADDED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt at an item has used."""

    spent: Spent
    cost: float | None  # None: nobody knows
    unpriced_calls: int

    @property
    def sums(self) -> dict[str, object]:
        spent = self.spent
        return {"calls": spent.calls, "prompt": spent.prompt_tokens, "completion": spent.completion_tokens, "cost": self.cost,
                "unpriced": self.unpriced_calls}


def record(connection: Connection, item_id: int, charge: Charge) -> None:
    """Added to the item, and down for its operation."""
    connection.execute(_RECORD, {"item_id": item_id, **charge.sums})


def settle_written(connection: Connection, item: StoredItem, charge: Charge, now: datetime, *, generator: str, is_sample: bool) -> bool:
    """running -> succeeded, and the same, in one version of its row. False: this attempt does not hold it any more; nothing changed."""
    return connection.scalar(_SETTLE, {
        "item_id": item.item_id, "attempt": item.attempt, "now": now, "generator": generator, "is_sample": is_sample,
        **charge.sums}) is not None


# Each sum stays unknown (null) until one attempt tells a number.
_CHARGE = (
    "with charged as (update ops.items set calls = coalesce(calls, 0) + :calls, "
    "  prompt_tokens = coalesce(prompt_tokens + cast(:prompt as int), :prompt, prompt_tokens), "
    "  completion_tokens = coalesce(completion_tokens + cast(:completion as int), :completion, completion_tokens), "
    "  cost = coalesce(cost + cast(:cost as double precision), :cost, cost){values} where item_id = :item_id{condition} "
    "  returning operation_id) "
    "insert into ops.spendings (operation_id, calls, tokens, cost, unpriced_calls) "
    "select operation_id, :calls, coalesce(cast(:prompt as int), 0) + coalesce(cast(:completion as int), 0), "
    "  coalesce(cast(:cost as double precision), 0), :unpriced from charged returning operation_id")
_RECORD = text(_CHARGE.format(values="", condition=""))
_SETTLE = text(_CHARGE.format(
    values=", state = 'succeeded', settled_at = :now, generator = :generator, is_sample = :is_sample, error_kind = null, "
           "error_message = null", condition=" and state = 'running' and attempt = :attempt"))


def add_up(connection: Connection) -> int:
    """Move what was appended into the operations. Returns how many rows; call again while it is ADDED_AT_ONCE."""
    return connection.scalar(text(
        "with taken as (delete from ops.spendings where spending_id in ("
        "    select spending_id from ops.spendings order by spending_id limit :limit for update skip locked) returning *), "
        "added as (select operation_id, count(*) as items, sum(calls) as calls, sum(tokens) as tokens, sum(cost) as cost, "
        "    sum(unpriced_calls) as unpriced_calls from taken group by 1), "
        "changed as (update ops.operations o set spent_items = o.spent_items + a.items, spent_calls = o.spent_calls + a.calls, "
        "  spent_tokens = o.spent_tokens + a.tokens, spent_cost = o.spent_cost + a.cost, "
        "  spent_unpriced_calls = o.spent_unpriced_calls + a.unpriced_calls from added a where o.operation_id = a.operation_id) "
        "select count(*) from taken"), {"limit": ADDED_AT_ONCE}) or 0
