"""ops.spendings: what items have used, appended as they settle and added up to their operations."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, text

from backend.storage.ops_tables import spendings

ADDED_AT_ONCE = 5000


def record(connection: Connection, operation_id: str, values: Mapping[str, object]) -> None:
    """What one item has used, from the columns that it settles with."""
    def number(name: str) -> float:
        return values.get(name) or 0  # type: ignore[return-value]

    connection.execute(insert(spendings).values(
        operation_id=operation_id, calls=number("calls"), tokens=number("prompt_tokens") + number("completion_tokens"),
        cost=number("cost")))


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
