"""Covers beside the published one: made anew, uploaded, taken over; the list of covers through indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Covers were left out as not supported. What was left out then needs something else now: another retry.
    for table, column in (("left_out", "rule"), ("items", "skip_rule")):
        op.execute(f"update ops.{table} set {column} = 'changed' where {column} = 'not_supported'")
    op.create_table(
        "cover_versions",
        sa.Column("version_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("roadmap_id", "state", "made_by")),
        *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in (
            "large_url", "thumbnail_url", "alt_text", "attribution", "attribution_url", "generator", "note", "error_message")),
        sa.Column("is_sample", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("is_published", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("item_id", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("made_at", sa.DateTime(timezone=True)),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        schema="ops")
    op.create_index("ix_cover_versions_roadmap", "cover_versions", ["roadmap_id", "created_at"], schema="ops")
    op.create_index("uq_cover_versions_published", "cover_versions", ["roadmap_id"], unique=True, schema="ops",
                    postgresql_where=sa.text("is_published"))
    op.create_index("ix_cover_versions_item_id", "cover_versions", ["item_id"], schema="ops",
                    postgresql_where=sa.text("item_id is not null"))
