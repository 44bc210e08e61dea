"""Attempts that ended without an outcome: what the rows of their items forget then, for the log of a task."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "item_events",
        sa.Column("event_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("item_id", sa.BigInteger, nullable=False),
        _time("at", nullable=False, server_default=sa.func.now()),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False, server_default=""),
        _time("queued_at"), _time("started_at"),
        schema="ops")
    op.create_index("ix_item_events_item_id", "item_events", ["item_id", "event_id"], schema="ops")


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
