"""Is the schema what the code expects? Names what is missing; changes nothing."""

from sqlalchemy import Connection, inspect

from backend.i18n import _
from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform


class SchemaError(Exception):
    """The database lacks something; str() is one line that names it and the next step."""


def check_platform_columns(connection: Connection) -> None:
    """Raises SchemaError naming each column that a table of the platform lacks. Absent tables are no fault here."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names(schema="public"))
    missing = [
        f"{table.name}.{column.name}"
        for table in platform.sorted_tables if table.name in present
        for column in table.columns
        if column.name not in {found["name"] for found in inspector.get_columns(table.name, schema="public")}
    ]
    if missing:
        raise SchemaError(_(
            "The platform's database lacks {columns}. Add them, or point DATABASE_URL at the platform that Redrive was made for."
        ).format(columns=", ".join(sorted(missing))))


def check_migrated(connection: Connection) -> None:
    """Raises SchemaError when a table is absent: `redrive migrate` has not been run, or not to its end."""
    inspector = inspect(connection)
    absent = [
        table.fullname
        for metadata, schema in ((platform, "public"), (ops, "ops"))
        for table in metadata.sorted_tables
        if table.name not in set(inspector.get_table_names(schema=schema))
    ]
    if len(absent) == len(platform.sorted_tables) + len(ops.sorted_tables):
        raise SchemaError(_("The database is empty. Run: redrive migrate"))
    if absent:
        raise SchemaError(_("The database lacks {tables}. Run: redrive migrate").format(tables=", ".join(sorted(absent))))
    check_platform_columns(connection)
