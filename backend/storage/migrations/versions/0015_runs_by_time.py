"""What a rule used today is found by time, however long its history is."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_retry_rule_runs_began_at", "retry_rule_runs", ["rule_id", "began_at"], schema="ops")
