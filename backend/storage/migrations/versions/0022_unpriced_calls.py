"""An operation counts the calls whose cost nobody knows: they are no calls for nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("spendings", sa.Column("unpriced_calls", sa.Integer, nullable=False, server_default="0"), schema="ops")
    op.add_column("operations", sa.Column("spent_unpriced_calls", sa.BigInteger, nullable=False, server_default="0"), schema="ops")
