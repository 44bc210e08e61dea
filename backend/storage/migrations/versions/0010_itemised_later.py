"""The keys of a large plan are stored in pieces when it is confirmed, and become items one piece after another."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "frozen_pieces",
        sa.Column("piece_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("operation_id", sa.Text, nullable=False),
        sa.Column("rows", sa.Text, nullable=False),
        schema="ops")
    op.create_index("ix_ops_frozen_pieces_operation_id", "frozen_pieces", ["operation_id"], schema="ops")
    op.execute('alter table ops.frozen_pieces alter column "rows" set storage external')  # read once and deleted: not worth compressing
