"""The platform's tables where they are absent, schema ops, and the triggers that mark owners dirty.

The tables are those of tables_0001, frozen: later changes come as migrations of their own. What a filled platform
already holds is marked dirty, so that the first drain looks at all of it.
"""

from alembic import op

from backend.storage.migrations.dirty_triggers import create_dirty_triggers
from backend.storage.migrations.tables_0001 import ops, platform

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The detector reads these three by owner; a platform that lacks the index would make each look a full scan.
CONTENT_TABLES = ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata")


def upgrade() -> None:
    connection = op.get_bind()
    platform.create_all(connection, checkfirst=True)
    for table in CONTENT_TABLES:
        op.execute(f"create index if not exists ix_{table}_roadmap_concept on public.{table} (roadmap_id, concept_id)")
    for table, column in (("tasks", "roadmap_id"), ("tasks", "novel_id"), ("options", "chapter_id"), ("user_choices", "chapter_id")):
        op.execute(f"create index if not exists ix_{table}_{column} on public.{table} ({column})")
    op.execute("create schema if not exists ops")
    ops.create_all(connection, checkfirst=True)
    _create_text_search(connection)
    create_dirty_triggers(op.execute)
    op.execute(
        "insert into ops.dirty (owner_kind, owner_id) "
        "select 'roadmap', roadmap_id from public.roadmap_metadata union all select 'novel', id from public.novels")


def _create_text_search(connection) -> None:
    """A trigram index makes the search for a text of an error fast; without the extension it is only slower."""
    available = connection.exec_driver_sql("select 1 from pg_available_extensions where name = 'pg_trgm'").scalar()
    if not available:
        return
    with connection.begin_nested() as savepoint:
        try:
            connection.exec_driver_sql("create extension if not exists pg_trgm")
            schema = connection.exec_driver_sql(
                "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_trgm'"
            ).scalar_one()
            connection.exec_driver_sql(
                f"create index ix_problems_search_text on ops.problems using gin (search_text {schema}.gin_trgm_ops)")
        except Exception as exc:  # the role may not create extensions: go on without
            if "permission denied" not in str(exc):
                raise
            savepoint.rollback()
