"""Is the schema what the code expects? Names what is missing; changes nothing."""

from functools import cache
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

from backend.i18n import _
from backend.storage import history_tables, rule_tables  # noqa: F401  they describe tables of schema ops too
from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "redrive_alembic_version"


class SchemaError(Exception):
    """The database lacks something; str() is one line that names it and the next step."""


def check_platform_columns(connection: Connection) -> None:
    """Raises SchemaError naming each column that a table of the platform lacks. Absent tables are no fault here."""
    if missing := _missing_columns(connection, platform, "public"):
        raise SchemaError(_(
            "The platform's database lacks {columns}. Add them, or point DATABASE_URL at the platform that Redrive was made for."
        ).format(columns=", ".join(missing)))


def check_migrated(connection: Connection) -> None:
    """Raises SchemaError when `redrive migrate` has not been run, not to its end, or by another version of Redrive."""
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
    _check_revision(connection)
    check_platform_columns(connection)
    if missing := _missing_columns(connection, ops, "ops"):
        raise SchemaError(_("Redrive's own tables lack {columns}. Restore them from a backup.").format(
            columns=", ".join(f"ops.{name}" for name in missing)))


def _check_revision(connection: Connection) -> None:
    found, head = _revision(connection), _head_revision()
    if found is not None and found > head:
        raise SchemaError(_(
            "A newer Redrive has migrated this database to {found}; this one knows {head}. Start that version."
        ).format(found=found, head=head))
    if found != head:
        raise SchemaError(_("The database stands at migration {found}, and {head} is needed. Run: redrive migrate").format(
            found=found or "0", head=head))


def _revision(connection: Connection) -> str | None:
    """The last migration that was applied; revisions are numbers in order, as text."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


@cache
def _head_revision() -> str:
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if head is None:
        raise RuntimeError(f"{MIGRATIONS} holds no migration")
    return head


def _missing_columns(connection: Connection, metadata: MetaData, schema: str) -> list[str]:
    """table.column of what those of its tables that are there lack, sorted."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names(schema=schema))
    return sorted(
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables if table.name in present
        for column in table.columns
        if column.name not in {found["name"] for found in inspector.get_columns(table.name, schema=schema)})
