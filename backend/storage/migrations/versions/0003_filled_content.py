"""Indexes that tell which content is good beyond doubt, so that looking at every key opens no text.

The conditions are those of IS_FILLED in platform_tables, word for word: only then does PostgreSQL use the indexes.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BLANKS = " \\t-\\r\\u001c-\\u001f\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
IS_FILLED = {
    "tutorial_metadata": f"is_latest and content_url ~ '[^{_BLANKS}]' and coalesce(content_status, 'completed') = 'completed'",
    "resource_recommendation_metadata": "left(resources::text, 2) = '[{'",
    "quiz_metadata": "left(questions::text, 2) = '[{'",
}


def upgrade() -> None:
    for table, condition in IS_FILLED.items():
        op.get_bind().exec_driver_sql(
            f"create index if not exists ix_{table}_filled on public.{table} (roadmap_id, concept_id) where {condition}")
