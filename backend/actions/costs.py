"""What attempts use: written to the item, and down for the budget of its operation, in the transaction that ends the attempt."""

from sqlalchemy import Connection

from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.prices import paid_model
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage import spendings
from backend.storage.items import StoredItem

# The provider turned the call away before it wrote anything: nobody pays for that.
TURNED_AWAY = frozenset({
    ErrorKind.MODEL_UNREACHABLE, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR, ErrorKind.MODEL_REJECTED_KEY,
    ErrorKind.MODEL_REJECTED_REQUEST})


def add(
    redrive: Redrive, connection: Connection, item: StoredItem, spent: Spent, writer: str = "", *, is_turned_away: bool = False,
) -> None:
    """However the attempt ended. `writer` wrote it; without, the one of the settings was asked.

    A call that may have written something and whose endpoint told no tokens has a cost that nobody knows.
    """
    tokens = [count for count in (spent.prompt_tokens, spent.completion_tokens) if count is not None]
    if not spent.calls and not tokens:
        return
    model = _paid(redrive.settings, item.key.kind, writer, has_tokens=bool(tokens))
    if model is None or (is_turned_away and not tokens):
        cost: float | None = 0.0
    elif tokens:
        cost = redrive.settings.cost(model, spent.prompt_tokens or 0, spent.completion_tokens or 0)
    else:
        cost = None
    # Without any price no money is told at all.
    unpriced_calls = spent.calls if cost is None and redrive.settings.prices else 0
    spendings.record(connection, item.item_id, spent, cost, unpriced_calls)


def _paid(settings: Settings, kind: ContentKind, writer: str, *, has_tokens: bool) -> str | None:
    """Who is paid for the attempt. None: nobody.

    Of painters only the image model uses tokens, whoever painted in the end.
    """
    if kind is not ContentKind.COVER:
        return None if writer == "offline" else writer or paid_model(settings, kind)
    painter = paid_model(settings, kind)
    return painter if has_tokens or writer in ("", painter) else None
