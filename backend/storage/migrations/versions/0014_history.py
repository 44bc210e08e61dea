"""What happened over time, added up: recoveries, outcomes of retries by cause, cost."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gone_problems",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("owner_id", "kind", "part")),
        *(_time(name, nullable=False) for name in ("first_seen_at", "gone_at")),
        schema="ops")
    op.create_table(
        "recovery_hours",
        _time("hour", primary_key=True),
        sa.Column("class_place", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("key_count", sa.Integer, nullable=False),
        schema="ops")
    op.create_table(
        "retry_hours",
        _time("hour", primary_key=True),
        sa.Column("cause_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("succeeded", "failed")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("calls", "unpriced_calls", "tokens")),
        sa.Column("cost", sa.Double, nullable=False),
        schema="ops")
    # SECURITY DEFINER, as every trigger of Redrive: whoever deletes needs no right on what is noted.
    op.execute(
        "create function ops.redrive_gone_problems_delete() returns trigger language plpgsql security definer "
        "set search_path = pg_catalog, pg_temp as $$ begin "
        "insert into ops.gone_problems as g (owner_id, kind, part, first_seen_at, gone_at) "
        "select owner_id, kind, part, first_seen_at, clock_timestamp() from old_rows order by 1, 2, 3 "
        "on conflict (owner_id, kind, part) do update set gone_at = excluded.gone_at, "
        "  first_seen_at = least(g.first_seen_at, excluded.first_seen_at); return null; end $$")
    op.execute(
        "create trigger redrive_gone_problems_delete after delete on ops.problems referencing old table as old_rows "
        "for each statement execute function ops.redrive_gone_problems_delete()")


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
