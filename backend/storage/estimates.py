"""What a plan will take, from past items of the same kinds and of the model that would write now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from backend.content.plans import Estimate, PlannedItem
from backend.content.status import ItemAction
from backend.settings import Settings

HISTORY_ITEMS = 200  # newest succeeded items of a kind that the averages are taken from
OFFLINE = "offline"  # the generator's name where no model is configured


@dataclass(frozen=True, slots=True)
class _Average:
    """Of one item of a kind. None: nothing of the kind was written by that model, or it told no tokens."""

    calls: float | None
    seconds: float | None
    prompt_tokens: float | None
    completion_tokens: float | None


def estimate(connection: Connection, included: Sequence[PlannedItem], settings: Settings) -> Estimate:
    """Calls, seconds with one worker process, tokens and cost. None without history of every kind; calls are then one for each item."""
    model = settings.model if settings.has_model else OFFLINE
    counts = Counter(item.key.kind for item in included if item.action is ItemAction.GENERATE)
    averages = {kind: _average(connection, kind, model) for kind in counts}

    def total(name: str) -> float | None:
        parts = [getattr(averages[kind], name) for kind in counts]
        return None if None in parts else sum(part * count for part, count in zip(parts, counts.values(), strict=True))

    calls, seconds, prompt, completion = (total(name) for name in ("calls", "seconds", "prompt_tokens", "completion_tokens"))
    has_tokens = prompt is not None and completion is not None
    return Estimate(
        calls=sum(counts.values()) if calls is None else round(calls),
        seconds=None if seconds is None else seconds / settings.concurrency,
        tokens=round(prompt + completion) if has_tokens else None,
        model=model,
        cost=settings.cost(model, prompt, completion) if has_tokens else None,
        is_priced=model in settings.prices,
        currency=settings.currency)


def _average(connection: Connection, kind: str, model: str) -> _Average:
    row = connection.execute(text(
        "select avg(calls), avg(extract(epoch from settled_at - started_at)), avg(prompt_tokens), avg(completion_tokens) from ("
        "  select * from ops.items where kind = :kind and generator = :model and state = 'succeeded' and action = 'generate' "
        "  and settled_at is not null order by settled_at desc limit :limit) recent"),
        {"kind": kind, "model": model, "limit": HISTORY_ITEMS}).one()
    return _Average(*(None if value is None else float(value) for value in row))
