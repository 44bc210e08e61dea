"""Indexes of what is unfinished: the reconciler asks for it every few seconds, and must not read the history of tasks and items."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index if not exists ix_tasks_unfinished on public.tasks (task_id) where status in ('pending', 'processing')")
    op.execute("create index ix_items_job on ops.items (job_id) where state in ('queued', 'running')")
    op.execute("create index ix_items_unsettled_task on ops.items (task_id) where state in ('planned', 'queued', 'running')")
