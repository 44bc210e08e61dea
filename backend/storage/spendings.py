"""ops.spendings: what items have used, appended as they settle and added up to their operations."""

from sqlalchemy import Connection, text

from backend.content.written import Spent

ADDED_AT_ONCE = 5000


def record(connection: Connection, item_id: int, spent: Spent, cost: float | None) -> None:
    """What one attempt at an item has used."""
    tokens = (spent.prompt_tokens or 0) + (spent.completion_tokens or 0)
    connection.execute(text(
        "insert into ops.spendings (operation_id, calls, tokens, cost) "
        "select operation_id, :calls, :tokens, :cost from ops.items where item_id = :item_id"),
        {"item_id": item_id, "calls": spent.calls, "tokens": tokens, "cost": cost or 0})


def add_up(connection: Connection) -> int:
    """Move what was appended into the operations. Returns how many rows; call again while it is ADDED_AT_ONCE."""
    return connection.scalar(text(
        "with taken as (delete from ops.spendings where spending_id in ("
        "    select spending_id from ops.spendings order by spending_id limit :limit for update skip locked) returning *), "
        "added as (select operation_id, count(*) as items, sum(calls) as calls, sum(tokens) as tokens, sum(cost) as cost "
        "  from taken group by 1), "
        "changed as (update ops.operations o set spent_items = o.spent_items + a.items, spent_calls = o.spent_calls + a.calls, "
        "  spent_tokens = o.spent_tokens + a.tokens, spent_cost = o.spent_cost + a.cost from added a "
        "  where o.operation_id = a.operation_id) "
        "select count(*) from taken"), {"limit": ADDED_AT_ONCE}) or 0
