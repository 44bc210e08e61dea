"""What `redrive up` does between servers and children: the schema, and the demo platform for an empty private database."""

from collections.abc import Callable

from backend.i18n import _
from backend.settings import Settings


def prepare(settings: Settings, is_private: bool, say: Callable[[str], None]) -> None:
    """Migrate; load the demo when the database is private and empty, never into a given one. Raises SchemaError."""
    from backend.bootstrap import connect
    from backend.storage.migrate import is_empty, migrate

    migrate(settings.database_url.get_secret_value())
    say(_("The schema is up to date."))
    if not is_private:
        return
    redrive = connect(settings, pool_size=2)
    try:
        if is_empty(redrive.engine):
            from backend.demo.load import load_demo

            say(_("Loading the demo platform ..."))
            load_demo(redrive)
    finally:
        redrive.close()
