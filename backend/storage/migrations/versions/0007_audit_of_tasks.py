"""Lines of the audit log name their task and bear their own time; what was told to stop is found while it waits, too."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_log", sa.Column("task_id", sa.Text), schema="ops")
    op.execute("alter table ops.audit_log alter column at set default clock_timestamp()")
    op.execute("drop index ops.ix_items_cancelling")
    op.execute("create index ix_items_cancelling on ops.items (cancel_requested_at) "
               "where state in ('planned', 'queued', 'running') and cancel_requested_at is not null")
