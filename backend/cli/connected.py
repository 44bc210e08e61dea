"""What a command works with once the servers are known: wired, and its schema checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backend.settings import Settings

if TYPE_CHECKING:
    from backend.redrive import Redrive


@contextmanager
def connected(settings: Settings) -> "Iterator[Redrive]":
    """Redrive on the servers that the settings name. Raises SchemaError, NotConfigured, BadStoreAddress."""
    from backend.bootstrap import connect
    from backend.storage.schema import check_migrated

    redrive = connect(settings)
    try:
        with redrive.engine.connect() as connection:
            check_migrated(connection)
        yield redrive
    finally:
        redrive.close()
