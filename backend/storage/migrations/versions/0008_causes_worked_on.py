"""Causes are worked on: state, assignee, notes, merging, and how many problems they had over time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("problems", sa.Column("fingerprint", sa.Text, nullable=False, server_default=""), schema="ops")
    op.add_column("items", sa.Column("planned_cause_id", sa.Text), schema="ops")
    for column in (
        sa.Column("state", sa.Text, nullable=False, server_default="open"), sa.Column("state_by", sa.Text),
        sa.Column("state_reason", sa.Text, nullable=False, server_default=""), _time("state_at"), _time("ignored_until_at"),
        sa.Column("ignored_until_count", sa.Integer), sa.Column("assignee", sa.Text),
    ):
        op.add_column("causes", column, schema="ops")
    _create_tables()
    op.execute("create index ix_causes_state on ops.causes (state) where state <> 'open'")
    op.execute("create index ix_items_cause_id on ops.items (cause_id, settled_at) where cause_id is not null")
    op.execute("create index ix_items_planned_cause_id on ops.items (planned_cause_id, state, operation_id) "
               "where planned_cause_id is not null")
    op.execute("create index ix_items_cancelled on ops.items (owner_id, kind, part, item_id) "
               "where state = 'cancelled' and cancelled_by is not null")


def _create_tables() -> None:
    op.create_table(
        "cause_aliases",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("cause_id", sa.Text, nullable=False),
        sa.Column("merged_by", sa.Text, nullable=False),
        _time("merged_at", nullable=False, server_default=sa.func.now()),
        schema="ops")
    op.create_index("ix_cause_aliases_cause_id", "cause_aliases", ["cause_id"], schema="ops")
    op.create_table(
        "cause_events",
        sa.Column("event_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("cause_id", sa.Text, nullable=False),
        _time("at", nullable=False, server_default=sa.func.now()),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False, server_default=""),
        schema="ops")
    op.create_index("ix_cause_events_cause_id", "cause_events", ["cause_id", "event_id"], schema="ops")
    op.create_table(
        "cause_samples",
        sa.Column("cause_id", sa.Text, primary_key=True),
        _time("sampled_at", primary_key=True),
        sa.Column("problem_count", sa.Integer, nullable=False),
        schema="ops")
    op.create_index("ix_cause_samples_sampled_at", "cause_samples", ["sampled_at"], schema="ops")
    op.create_table(
        "cause_lookers",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("cause_id", "window_id")),
        sa.Column("actor_id", sa.Text, nullable=False),
        *(_time(name, nullable=False) for name in ("began_at", "seen_at")),
        schema="ops", prefixes=["UNLOGGED"])
    op.create_table(
        "kept_versions",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        schema="ops")


def _time(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
