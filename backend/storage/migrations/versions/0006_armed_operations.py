"""An operation may be armed: it starts by itself after some seconds, and can be undone until then."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operations", sa.Column("starts_at", sa.DateTime(timezone=True)), schema="ops")
