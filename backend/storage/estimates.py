"""What a plan will take, from past items of the same kinds."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from backend.content.plans import Estimate, PlannedItem
from backend.content.status import ItemAction

HISTORY_ITEMS = 200  # newest succeeded items of a kind that the averages are taken from


def estimate(connection: Connection, included: Sequence[PlannedItem], concurrency: int) -> Estimate:
    """Calls, seconds with one worker process, and tokens. Seconds and tokens are None without history of every kind."""
    counts: dict[str, int] = {}
    for item in included:
        if item.action is ItemAction.GENERATE:
            counts[item.key.kind] = counts.get(item.key.kind, 0) + 1
    averages = {kind: _average(connection, kind) for kind in counts}
    seconds = [averages[kind][0] for kind in counts]
    tokens = [averages[kind][1] for kind in counts]
    return Estimate(
        calls=sum(counts.values()),
        seconds=None if None in seconds else sum(averages[kind][0] * count for kind, count in counts.items()) / concurrency,
        tokens=None if None in tokens else round(sum(averages[kind][1] * count for kind, count in counts.items())),
    )


def _average(connection: Connection, kind: str) -> tuple[float | None, float | None]:
    """(seconds, tokens) of one item of this kind."""
    row = connection.execute(text(
        "select avg(extract(epoch from settled_at - started_at)), avg(prompt_tokens + completion_tokens) from ("
        "  select * from ops.items where kind = :kind and state = 'succeeded' and action = 'generate' and settled_at is not null"
        "  order by settled_at desc limit :limit) recent"), {"kind": kind, "limit": HISTORY_ITEMS}).one()
    return (float(row[0]) if row[0] is not None else None, float(row[1]) if row[1] is not None else None)
