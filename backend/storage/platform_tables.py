"""The platform's own tables (schema public). Another program writes them too: names are never changed.

Only what Redrive reads or writes is listed; unknown columns are left alone. JSON columns may be json or
jsonb on a given platform: read them through `as_jsonb`.
"""

from datetime import datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    case,
    cast,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

platform = MetaData()
# Everything that str.strip takes off; PostgreSQL's own class leaves NBSP and, by locale, the Chinese space.
BLANKS = " \\t-\\r\\u001c-\\u001f\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
# Which rows of content are good beyond doubt: conditions of indexes that tell it without opening a text, used by queries in the
# same words. "[{" is how a list with something in it begins, in json as written and in jsonb as printed.
IS_FILLED = {
    "tutorial_metadata": f"is_latest and content_url ~ '[^{BLANKS}]' and coalesce(content_status, 'completed') = 'completed'",
    "resource_recommendation_metadata": "left(resources::text, 2) = '[{'",
    "quiz_metadata": "left(questions::text, 2) = '[{'",
}


def _filled(table: str) -> Index:
    return Index(f"ix_{table}_filled", "roadmap_id", "concept_id", postgresql_where=text(IS_FILLED[table]))


def _time(name: str, **kw) -> Column:
    return Column(name, DateTime(timezone=True), **kw)


def readable_time(column: ColumnElement[datetime]) -> ColumnElement[datetime | None]:
    """The time, or null for one that no calendar of Python holds: infinity, and the year 10000."""
    return case((column.between(text("'1970-01-01'"), text("'9999-12-30'")), column))


tasks = Table(
    "tasks", platform,
    Column("task_id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("task_type", Text),
    Column("concept_id", Text),
    Column("content_type", Text),
    Column("roadmap_id", Text),
    Column("novel_id", Text),
    Column("current_step", Text),
    Column("user_request", JSON(none_as_null=True)),
    Column("job_id", Text),
    Column("error_message", Text),
    Column("failed_concepts", JSON(none_as_null=True)),
    Column("execution_summary", JSON(none_as_null=True)),
    _time("created_at", nullable=False, server_default=func.now()),
    _time("updated_at", nullable=False, server_default=func.now()),
    _time("completed_at"),
    Index("ix_tasks_roadmap_id", "roadmap_id"),
    Index("ix_tasks_novel_id", "novel_id"),
    Index("ix_tasks_created_at", "created_at", "task_id"),
    Index("ix_tasks_unfinished", "task_id", postgresql_where=text("status in ('pending', 'processing')")),
)

roadmap_metadata = Table(
    "roadmap_metadata", platform,
    Column("roadmap_id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("total_estimated_hours", Float),
    Column("recommended_completion_weeks", Integer),
    Column("framework_data", JSONB(none_as_null=True)),
    _time("created_at", nullable=False, server_default=func.now()),
    _time("updated_at", nullable=False, server_default=func.now()),
    _time("deleted_at"),
    Column("deleted_by", Text),
)

tutorial_metadata = Table(
    "tutorial_metadata", platform,
    Column("tutorial_id", Text, primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, nullable=False),
    Column("title", Text),
    Column("summary", Text),
    Column("content_url", Text),
    Column("content_status", Text),
    Column("content_version", Integer, nullable=False, server_default="1"),
    Column("is_latest", Boolean, nullable=False, server_default="true"),
    Column("estimated_completion_time", Integer),  # minutes
    _time("generated_at", server_default=func.now()),
    Index("ix_tutorial_metadata_roadmap_concept", "roadmap_id", "concept_id"),
    _filled("tutorial_metadata"),
)

resource_recommendation_metadata = Table(
    "resource_recommendation_metadata", platform,
    Column("id", Text, primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, nullable=False),
    Column("resources", JSON(none_as_null=True)),
    Column("resources_count", Integer),
    Column("search_queries_used", JSON(none_as_null=True)),
    _time("generated_at", server_default=func.now()),
    Index("ix_resource_recommendation_metadata_roadmap_concept", "roadmap_id", "concept_id"),
    _filled("resource_recommendation_metadata"),
)

quiz_metadata = Table(
    "quiz_metadata", platform,
    Column("quiz_id", Text, primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, nullable=False),
    Column("questions", JSON(none_as_null=True)),
    Column("total_questions", Integer),
    Column("easy_count", Integer),
    Column("medium_count", Integer),
    Column("hard_count", Integer),
    _time("generated_at", server_default=func.now()),
    Index("ix_quiz_metadata_roadmap_concept", "roadmap_id", "concept_id"),
    _filled("quiz_metadata"),
)

roadmap_cover_images = Table(
    "roadmap_cover_images", platform,
    Column("roadmap_id", Text, primary_key=True),
    Column("cover_image_url", Text),
    Column("generation_status", Text, nullable=False),
    Column("error_message", Text),
    Column("retry_count", Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False, server_default=func.now()),
    _time("updated_at", nullable=False, server_default=func.now()),
)

novels = Table(
    "novels", platform,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("setting", Text),
    Column("language", Text),
    _time("created_at", nullable=False, server_default=func.now()),
)

chapters = Table(
    "chapters", platform,
    Column("id", Text, primary_key=True),
    Column("novel_id", Text, ForeignKey("novels.id"), nullable=False),
    Column("chapter_number", Integer, nullable=False),
    Column("title", Text),
    Column("content", Text),
    Column("status", Text, nullable=False),
    Column("error_message", Text),
    _time("created_at", nullable=False, server_default=func.now()),
    _time("generation_completed_at"),
    UniqueConstraint("novel_id", "chapter_number", name="uq_chapters_novel_number"),
)

options = Table(
    "options", platform,
    Column("id", Text, primary_key=True),
    Column("chapter_id", Text, ForeignKey("chapters.id", ondelete="CASCADE"), nullable=False),
    Column("option_order", Integer, nullable=False),
    Column("option_text", Text, nullable=False),
    Column("impact_description", Text),
    Index("ix_options_chapter_id", "chapter_id"),
)

user_choices = Table(
    "user_choices", platform,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("chapter_id", Text, ForeignKey("chapters.id", ondelete="CASCADE"), nullable=False),
    Column("option_id", Text, ForeignKey("options.id", ondelete="CASCADE"), nullable=False),
    _time("created_at", nullable=False, server_default=func.now()),
    Index("ix_user_choices_chapter_id", "chapter_id"),
)


def as_jsonb(column: Column):
    """The column as jsonb, whichever of json and jsonb the platform chose."""
    return cast(column, JSONB)
