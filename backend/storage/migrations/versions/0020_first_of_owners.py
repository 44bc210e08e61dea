"""One problem of each owner and cause is marked: causes and the roadmaps and novels that they touch are counted in one scan of an index."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "problems", sa.Column("is_first_of_owner", sa.Boolean, nullable=False, server_default="false"), schema="ops")
    op.execute(
        "update ops.problems p set is_first_of_owner = true from ("
        "  select distinct on (cause_id, owner_id, kind = 'chapter') kind, owner_id, part from ops.problems "
        "  order by cause_id, owner_id, kind = 'chapter', kind, part) f "
        "where (p.kind, p.owner_id, p.part) = (f.kind, f.owner_id, f.part)")
    op.drop_index("ix_problems_cause_id", "problems", schema="ops")
    op.create_index(
        "ix_problems_cause_id", "problems", ["cause_id", "since_at"], schema="ops", postgresql_include=["is_first_of_owner"])
