"""A breaker counts the calls that an outage has wasted: what waits for the model stops by them."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("breakers", sa.Column("failed_calls", sa.Integer, nullable=False, server_default="0"), schema="ops")
    op.execute("update ops.breakers set failed_calls = failures + failed_probes")
