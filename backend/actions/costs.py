"""What attempts use: written to the item, and down for the budget of its operation, in the transaction that ends the attempt."""

from datetime import datetime

from sqlalchemy import Connection

from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.prices import paid_model
from backend.content.status import ItemState
from backend.content.written import Spent, Written
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage import items, spendings
from backend.storage.items import StoredItem
from backend.storage.spendings import Charge

# The provider turned the call away before it wrote anything: nobody pays for that.
TURNED_AWAY = frozenset({
    ErrorKind.MODEL_UNREACHABLE, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR, ErrorKind.MODEL_REJECTED_KEY,
    ErrorKind.MODEL_REJECTED_REQUEST})


def add(redrive: Redrive, connection: Connection, item: StoredItem, spent: Spent, *, is_turned_away: bool = False) -> None:
    """What an attempt has used that wrote nothing: the writer of the settings was asked."""
    if charge := _charge(redrive, item, spent, is_turned_away=is_turned_away):
        spendings.record(connection, item.item_id, charge)


def settle_written(redrive: Redrive, connection: Connection, item: StoredItem, written: Written, now: datetime) -> bool:
    """running -> succeeded, with what the attempt has used. False: it does not hold the item any more; nothing changed."""
    told = {"generator": written.generator, "is_sample": written.is_sample}
    charge = _charge(redrive, item, Spent(written.calls, written.prompt_tokens, written.completion_tokens), written.generator)
    if charge:
        return spendings.settle_written(connection, item, charge, now, **told)
    return items.settle(connection, item, ItemState.SUCCEEDED, now, error_kind=None, error_message=None, **told)


def _charge(
    redrive: Redrive, item: StoredItem, spent: Spent, writer: str = "", *, is_turned_away: bool = False,
) -> Charge | None:
    """None: it has used nothing. `writer` wrote it; without, the one of the settings was asked.

    A call that may have written something and whose endpoint told no tokens has a cost that nobody knows.
    """
    tokens = [count for count in (spent.prompt_tokens, spent.completion_tokens) if count is not None]
    if not spent.calls and not tokens:
        return None
    model = _paid(redrive.settings, item.key.kind, writer, has_tokens=bool(tokens))
    if model is None or (is_turned_away and not tokens):
        cost: float | None = 0.0
    elif tokens:
        cost = redrive.settings.cost(model, spent.prompt_tokens or 0, spent.completion_tokens or 0)
    else:
        cost = None
    # Without any price no money is told at all.
    unpriced_calls = spent.calls if cost is None and redrive.settings.prices else 0
    return Charge(spent, cost, unpriced_calls)


def _paid(settings: Settings, kind: ContentKind, writer: str, *, has_tokens: bool) -> str | None:
    """Who is paid for the attempt. None: nobody.

    Of painters only the image model uses tokens, whoever painted in the end.
    """
    if kind is not ContentKind.COVER:
        return None if writer == "offline" else writer or paid_model(settings, kind)
    painter = paid_model(settings, kind)
    return painter if has_tokens or writer in ("", painter) else None
