"""Texts of chapters beside the published one: failed tries, drafts of editors, earlier versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drafts",
        sa.Column("draft_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("novel_id", "chapter_id", "kind", "state", "actor_id")),
        sa.Column("chapter_number", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in (
            "title", "content", "error_message", "note", "model", "reason", "base_version")),
        sa.Column("options", JSONB, nullable=False, server_default="[]"),
        sa.Column("temperature", sa.Double),
        sa.Column("item_id", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        schema="ops")
    op.create_index("ix_drafts_chapter", "drafts", ["novel_id", "chapter_number", "created_at"], schema="ops")
    op.create_index("ix_drafts_item_id", "drafts", ["item_id"], schema="ops", postgresql_where=sa.text("item_id is not null"))
