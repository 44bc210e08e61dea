"""What attempts use: written to the item, and down for the budget of its operation, in the transaction that ends the attempt."""

from sqlalchemy import Connection

from backend.content.written import Spent
from backend.redrive import Redrive
from backend.storage import spendings


def add(redrive: Redrive, connection: Connection, item_id: int, spent: Spent, model: str = "") -> None:
    """However the attempt ended. `model` wrote it; without, the one of the settings was asked."""
    settings = redrive.settings
    name = model or (settings.model if settings.has_model else "offline")
    if spent.calls or spent.prompt_tokens or spent.completion_tokens:
        cost = settings.cost(name, spent.prompt_tokens or 0, spent.completion_tokens or 0)
        spendings.record(connection, item_id, spent, cost)
