"""A TRUNCATE by another program marks owners dirty too; columns that nothing ever read are gone."""

from alembic import op

from backend.storage.migrations.dirty_triggers import OWNER_OF

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A truncate tells no rows: every owner of the kind may have lost something. One whose own row went with it is still listed.
ALL_OWNERS = {
    "roadmap": "select 'roadmap', roadmap_id from public.roadmap_metadata "
               "union select 'roadmap', owner_id from ops.problems where kind <> 'chapter'",
    "novel": "select 'novel', id from public.novels union select 'novel', owner_id from ops.problems where kind = 'chapter'",
}
DEAD_COLUMNS = (("operations", "limits"), ("heartbeats", "note"), ("audit_log", "duration_seconds"))


def upgrade() -> None:
    for table, (owner_kind, _owners) in OWNER_OF.items():
        _create_truncate_trigger(table, ALL_OWNERS[owner_kind])
    _create_truncate_trigger("tasks", " union all ".join(f"({owners})" for owners in ALL_OWNERS.values()))
    for table, column in DEAD_COLUMNS:
        op.execute(f"alter table ops.{table} drop column if exists {column}")


def _create_truncate_trigger(table: str, owners: str) -> None:
    name = f"redrive_dirty_{table}_truncate"
    op.execute(
        f"create or replace function ops.{name}() returns trigger language plpgsql security definer "
        f"set search_path = pg_catalog, pg_temp as $$ begin "
        f"insert into ops.dirty (owner_kind, owner_id) {owners}; return null; end $$")
    op.execute(f"drop trigger if exists {name} on public.{table}")
    op.execute(f"create trigger {name} after truncate on public.{table} for each statement execute function ops.{name}()")
