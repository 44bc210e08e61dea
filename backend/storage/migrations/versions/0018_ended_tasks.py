"""A task of ours that ends is noted, whoever ended it: the reconciler looks at it once, and never at all tasks that have ended.

The trigger is not even asked by updates that leave the status alone, which are all but two of a task's.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ended_tasks",
        sa.Column("ended_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("task_id", sa.Text, nullable=False),
        schema="ops")
    # SECURITY DEFINER, as every trigger of Redrive: the platform's role needs no right on ops.
    op.execute(
        "create function ops.redrive_ended_tasks() returns trigger language plpgsql security definer "
        "set search_path = pg_catalog, pg_temp as $$ begin "
        "insert into ops.ended_tasks (task_id) select new.task_id where exists (select 1 from ops.items i where i.task_id = new.task_id); "
        "return null; end $$")
    op.execute(
        "create trigger redrive_ended_tasks after update of status on public.tasks for each row "
        "when (old.status is distinct from new.status and new.status not in ('pending', 'processing')) "
        "execute function ops.redrive_ended_tasks()")
    # What has disagreed since before is put right too, once.
    op.execute("insert into ops.ended_tasks (task_id) select distinct task_id from ops.items where task_id is not null")
