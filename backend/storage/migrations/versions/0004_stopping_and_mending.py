"""Cancelling, pausing, circuit breakers, and what the reconciler found."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("returned_count", sa.Integer, nullable=False, server_default="0"), schema="ops")
    op.add_column("items", sa.Column("worker_host", sa.Text), schema="ops")
    op.add_column("items", sa.Column("worker_pid", sa.Integer), schema="ops")
    for table, columns in (("items", ("cancelled_by", "cancel_reason")), ("operations", ("state_by", "state_reason"))):
        for column in columns:
            op.add_column(table, sa.Column(column, sa.Text), schema="ops")
    op.create_table(
        "breakers",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failed_probes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error_kind", sa.Text),
        sa.Column("error_message", sa.Text),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("opened_at", "retry_at", "probe_at")),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="ops")
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="ops")
    op.create_index("ix_findings_found_at", "findings", ["found_at"], schema="ops")
    # The Tasks page turns pages by key: newest first, whatever the filter.
    op.execute("create index if not exists ix_tasks_created_at on public.tasks (created_at, task_id)")
    # Asked several times a second, and by every page: the few that were told to stop and have not yet.
    op.execute("create index ix_items_cancelling on ops.items (cancel_requested_at) "
               "where state = 'running' and cancel_requested_at is not null")
