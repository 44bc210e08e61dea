"""Limits of an operation, its groups by cause with their canaries, what it spends, and the keys that its plan left out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TOLD = "action = 'generate' and (state = 'failed' or state = 'succeeded' and calls is distinct from 0)"


def upgrade() -> None:
    op.add_column("operations", sa.Column("limits", JSONB, nullable=False, server_default="{}"), schema="ops")
    for name in ("spent_calls", "spent_tokens", "spent_items"):
        op.add_column("operations", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"), schema="ops")
    op.add_column("operations", sa.Column("spent_cost", sa.Double, nullable=False, server_default="0"), schema="ops")
    for name in ("paced_at", "window_since"):
        op.add_column("operations", sa.Column(name, sa.DateTime(timezone=True)), schema="ops")
    op.add_column("items", sa.Column("group_id", sa.BigInteger), schema="ops")
    op.add_column("items", sa.Column("place", sa.Integer), schema="ops")
    op.add_column("items", sa.Column("canary_round", sa.SmallInteger), schema="ops")
    op.add_column("items", sa.Column("cost", sa.Double), schema="ops")
    op.execute("create index ix_items_planned on ops.items (operation_id, group_id, place) where state = 'planned'")
    op.execute("create index ix_items_canary on ops.items (operation_id, group_id, canary_round) where canary_round is not null")
    op.execute(f"create index ix_items_told on ops.items (operation_id, settled_at desc) where {TOLD}")
    op.execute(f"create index ix_items_told_group on ops.items (group_id, settled_at desc) where {TOLD}")
    _create_groups()
    _create_left_out()
    _create_spendings()


def _create_groups() -> None:
    op.create_table(
        "groups",
        sa.Column("group_id", sa.BigInteger, sa.Identity(), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("operation_id", "cause_id", "title")),
        sa.Column("item_count", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("canary_round", sa.SmallInteger, nullable=False, server_default="1"),
        sa.Column("stop_rule", sa.Text),
        sa.Column("stop_words", sa.Text),
        sa.Column("stopped_at", sa.DateTime(timezone=True)),
        schema="ops")
    op.create_index("ix_groups_operation_id", "groups", ["operation_id", "group_id"], schema="ops")


def _create_left_out() -> None:
    op.create_table(
        "left_out",
        sa.Column("item_id", sa.BigInteger, primary_key=True, server_default=sa.text("nextval('ops.items_item_id_seq')")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("operation_id", "kind", "owner_id", "part")),
        sa.Column("title", sa.Text, nullable=False, server_default=""),
        sa.Column("rule", sa.Text, nullable=False),
        schema="ops")
    op.create_index("ix_left_out_operation_id", "left_out", ["operation_id", "item_id"], schema="ops")


def _create_spendings() -> None:
    op.create_table(
        "spendings",
        sa.Column("spending_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("operation_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("calls", "tokens")),
        sa.Column("cost", sa.Double, nullable=False),
        schema="ops")
    op.create_index("ix_spendings_operation_id", "spendings", ["operation_id"], schema="ops")
