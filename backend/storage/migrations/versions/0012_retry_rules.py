"""Rules by which Redrive retries by itself, what each look at them came to, and when each key is due by them."""

import sqlalchemy as sa
from alembic import op

from backend.storage.migrations.rule_triggers import create_rule_triggers

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retry_rules",
        sa.Column("rule_id", sa.Text, primary_key=True),
        sa.Column("cause_id", sa.Text), sa.Column("kind", sa.Text),
        sa.Column("is_enabled", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("run_items", sa.Integer, nullable=False), sa.Column("day_items", sa.Integer, nullable=False),
        sa.Column("day_calls", sa.Integer), sa.Column("day_tokens", sa.BigInteger), sa.Column("day_cost", sa.Double),
        sa.Column("backoff_seconds", sa.ARRAY(sa.Integer), nullable=False),
        sa.Column("quiet_hours", sa.Text),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("created_by", "changed_by")),
        *(_time(name, nullable=False, server_default=sa.func.now()) for name in ("created_at", "changed_at")),
        _time("enabled_at"), _time("deleted_at"),
        schema="ops")
    op.execute("create unique index uq_retry_rules_scope on ops.retry_rules (coalesce(cause_id, ''), coalesce(kind, '')) "
               "where deleted_at is null")
    op.create_table(
        "retry_rule_runs",
        sa.Column("run_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("rule_id", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("operation_id", sa.Text),
        sa.Column("item_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("words", sa.Text, nullable=False, server_default=""),
        *(_time(name, nullable=False) for name in ("began_at", "last_at")),
        schema="ops")
    op.create_index("ix_retry_rule_runs_rule_id", "retry_rule_runs", ["rule_id", "run_id"], schema="ops")
    op.create_index("ix_retry_rule_runs_operation_id", "retry_rule_runs", ["operation_id"], schema="ops",
                    postgresql_where=sa.text("operation_id is not null"))
    op.create_table(
        "retry_due",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("owner_id", "kind", "part", "rule_id")),
        _time("due_at"), sa.Column("left_out_rule", sa.Text),
        schema="ops")
    op.create_index("ix_retry_due_due_at", "retry_due", ["rule_id", "due_at"], schema="ops")
    create_rule_triggers(op.execute)


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
