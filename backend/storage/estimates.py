"""What a plan will take, from past items of the same kinds and of whoever would make them now."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from backend.content.keys import ContentKind
from backend.content.plans import Estimate, PlannedItem
from backend.content.status import ItemAction
from backend.settings import Settings

HISTORY_ITEMS = 200  # newest succeeded items of a kind that the averages are taken from
OFFLINE = "offline"  # the generator's name where no model is configured


@dataclass(frozen=True, slots=True)
class _Average:
    """Of one item of a kind. None: nothing of the kind was made by that maker, or it told no tokens."""

    maker: str  # a model, or who paints without one
    calls: float | None
    seconds: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    is_free: bool = False


def estimate(connection: Connection, included: Sequence[PlannedItem], settings: Settings) -> Estimate:
    """Calls, seconds with one worker process, tokens and cost. None without history of every kind; calls are then one for each item."""
    counts = Counter(item.key.kind for item in included if item.action is ItemAction.GENERATE)
    averages = {kind: _average(connection, kind, settings) for kind in counts}

    def total(name: str) -> float | None:
        return _sum(None if (part := getattr(averages[kind], name)) is None else part * counts[kind] for kind in counts)

    calls, seconds, prompt, completion = (total(name) for name in ("calls", "seconds", "prompt_tokens", "completion_tokens"))
    unpriced = [average.maker for average in averages.values() if not average.is_free and average.maker not in settings.prices]
    makers = [*unpriced, *(average.maker for average in averages.values())]
    return Estimate(
        calls=sum(counts.values()) if calls is None else round(calls),
        seconds=None if seconds is None else seconds / settings.concurrency,
        tokens=None if prompt is None or completion is None else round(prompt + completion),
        model=makers[0] if makers else _writer(settings),
        cost=_sum(_cost(averages[kind], counts[kind], settings) for kind in counts),
        is_priced=not unpriced,
        currency=settings.currency)


def _sum(parts: Iterable[float | None]) -> float | None:
    """None when one of them is not known."""
    found = list(parts)
    return None if None in found else sum(part for part in found if part is not None)


def _cost(average: _Average, count: int, settings: Settings) -> float | None:
    if average.is_free:
        return 0.0
    if average.prompt_tokens is None or average.completion_tokens is None:
        return None
    return settings.cost(average.maker, average.prompt_tokens * count, average.completion_tokens * count)


def _writer(settings: Settings) -> str:
    return settings.model if settings.has_model else OFFLINE


def _average(connection: Connection, kind: ContentKind, settings: Settings) -> _Average:
    """Of covers: by who paints them first. Only an image model uses tokens."""
    if kind is not ContentKind.COVER:
        return _average_by(connection, kind, _writer(settings))
    if settings.first_painter == "model":
        return _average_by(connection, kind, settings.image_model or "")
    return replace(_average_by(connection, kind, settings.first_painter), prompt_tokens=0.0, completion_tokens=0.0, is_free=True)


def _average_by(connection: Connection, kind: ContentKind, maker: str) -> _Average:
    row = connection.execute(text(
        "select avg(calls), avg(extract(epoch from settled_at - started_at)), avg(prompt_tokens), avg(completion_tokens) from ("
        "  select * from ops.items where kind = :kind and generator = :maker and state = 'succeeded' and action = 'generate' "
        "  and settled_at is not null order by settled_at desc limit :limit) recent"),
        {"kind": kind, "maker": maker, "limit": HISTORY_ITEMS}).one()
    return _Average(maker, *(None if value is None else float(value) for value in row))
