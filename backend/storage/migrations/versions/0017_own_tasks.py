"""The tasks that a retry makes mark no owner as changed: its items do, when they are handed out."""

from alembic import op

from backend.storage.migrations.dirty_triggers import create_task_triggers

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_task_triggers(op.execute, are_there=True)
