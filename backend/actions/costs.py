"""What attempts use: written to the item, and down for the budget of its operation, in the transaction that ends the attempt."""

from sqlalchemy import Connection

from backend.content.keys import ContentKind
from backend.content.prices import paid_model
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.storage import spendings
from backend.storage.items import StoredItem


def add(redrive: Redrive, connection: Connection, item: StoredItem, spent: Spent, writer: str = "") -> None:
    """However the attempt ended. `writer` wrote it; without, the one of the settings was asked.

    Of painters only the image model uses tokens, whoever painted in the end.
    """
    settings, kind = redrive.settings, item.key.kind
    asked = "" if kind is ContentKind.COVER else writer
    if spent.calls or spent.prompt_tokens or spent.completion_tokens:
        cost = settings.cost(asked or paid_model(settings, kind) or "offline", spent.prompt_tokens or 0, spent.completion_tokens or 0)
        spendings.record(connection, item.item_id, spent, cost)
