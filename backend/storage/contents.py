"""Saved content: rows of tutorials, resources and quizzes, and the statuses of concepts in framework_data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, select, text, update

from backend.content.framework import STATUS_FIELDS, Concept, Framework, read_framework
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ContentStatus
from backend.content.written import Quiz, Resources, Tutorial
from backend.storage.platform_tables import (
    BLANKS,
    as_jsonb,
    quiz_metadata,
    resource_recommendation_metadata,
    roadmap_metadata,
    tutorial_metadata,
)

FrameworkFields = dict[str, Any]  # what a concept in framework_data is told about its content


@dataclass(frozen=True, slots=True)
class LockedRoadmap:
    roadmap_id: str
    title: str
    framework: Framework


def lock_roadmap(connection: Connection, roadmap_id: str) -> LockedRoadmap | None:
    """The roadmap, held until the transaction ends: concurrent items of one roadmap lose nothing. None: gone or deleted."""
    row = connection.execute(
        select(roadmap_metadata.c.title, as_jsonb(roadmap_metadata.c.framework_data).label("framework_data"))
        .where(roadmap_metadata.c.roadmap_id == roadmap_id, roadmap_metadata.c.deleted_at.is_(None))
        .with_for_update()).one_or_none()
    return LockedRoadmap(roadmap_id, row.title, read_framework(row.framework_data)) if row else None


_LOCK_UNREAD = text("select title from public.roadmap_metadata where roadmap_id = :roadmap_id and deleted_at is null for update")


def lock_unread_roadmap(connection: Connection, roadmap_id: str) -> LockedRoadmap | None:
    """The same without its framework_data, which need not be readable: no concept is in it. A third of the time."""
    row = connection.execute(_LOCK_UNREAD, {"roadmap_id": roadmap_id}).one_or_none()
    return LockedRoadmap(roadmap_id, row.title, Framework((), ())) if row else None


_FRAMEWORK = text("select cast(framework_data as text) from public.roadmap_metadata where roadmap_id = :roadmap_id")


def read_leniently(connection: Connection, roadmap_id: str) -> Framework:
    """framework_data as far as Python can read it. What PostgreSQL refuses to read as jsonb may be in its texts."""
    stored = connection.scalar(_FRAMEWORK, {"roadmap_id": roadmap_id})
    try:
        return read_framework(json.loads(stored or "null"))
    except (ValueError, RecursionError):
        return Framework((), ())


def patch_concept(connection: Connection, roadmap_id: str, concept: Concept, fields: Mapping[str, Any]) -> None:
    """Set fields of one concept; everything else in framework_data stays as it is. The roadmap must be locked."""
    connection.execute(text(
        "update public.roadmap_metadata set updated_at = now(), framework_data = jsonb_set("
        "  framework_data::jsonb, cast(:path as text[]), (framework_data::jsonb #> cast(:path as text[])) || cast(:fields as jsonb)) "
        "where roadmap_id = :roadmap_id"),
        {"roadmap_id": roadmap_id, "path": list(concept.json_path), "fields": json.dumps(dict(fields))})


def status_field(kind: ContentKind, status: str | None) -> FrameworkFields:
    return {STATUS_FIELDS[kind]: status}


def insert_tutorial(connection: Connection, key: ContentKey, tutorial: Tutorial, content_url: str, now: datetime) -> FrameworkFields:
    """A new latest version beside the older ones. Returns what framework_data is to say."""
    version = connection.scalar(text(
        "select coalesce(max(content_version), 0) + 1 from public.tutorial_metadata where roadmap_id = :r and concept_id = :c"),
        {"r": key.owner_id, "c": key.part})
    connection.execute(update(tutorial_metadata).where(
        tutorial_metadata.c.roadmap_id == key.owner_id, tutorial_metadata.c.concept_id == key.part,
        tutorial_metadata.c.is_latest).values(is_latest=False))
    tutorial_id = str(uuid4())
    connection.execute(insert(tutorial_metadata).values(
        tutorial_id=tutorial_id, concept_id=key.part, roadmap_id=key.owner_id, title=tutorial.title, summary=tutorial.summary,
        content_url=content_url, content_status=ContentStatus.COMPLETED, content_version=version, is_latest=True,
        estimated_completion_time=tutorial.estimated_minutes, generated_at=now))
    return {"content_status": ContentStatus.COMPLETED, "content_ref": tutorial_id, "content_summary": tutorial.summary,
            "content_version": version}


def replace_resources(connection: Connection, key: ContentKey, resources: Resources, now: datetime) -> FrameworkFields:
    """One row per concept: an empty or broken one is replaced. Returns what framework_data is to say."""
    table = resource_recommendation_metadata
    connection.execute(table.delete().where(table.c.roadmap_id == key.owner_id, table.c.concept_id == key.part))
    resources_id = str(uuid4())
    listed = [resource.model_dump() for resource in resources.resources]
    connection.execute(insert(table).values(
        id=resources_id, concept_id=key.part, roadmap_id=key.owner_id, resources=listed, resources_count=len(listed),
        search_queries_used=resources.search_queries, generated_at=now))
    return {"resources_status": ContentStatus.COMPLETED, "resources_id": resources_id, "resources_count": len(listed)}


def replace_quiz(connection: Connection, key: ContentKey, quiz: Quiz, now: datetime) -> FrameworkFields:
    """One row per concept: an empty or broken one is replaced. Returns what framework_data is to say."""
    connection.execute(quiz_metadata.delete().where(
        quiz_metadata.c.roadmap_id == key.owner_id, quiz_metadata.c.concept_id == key.part))
    quiz_id = str(uuid4())
    questions = [question.model_dump() for question in quiz.questions]
    counts = {level: sum(question.difficulty == level for question in quiz.questions) for level in ("easy", "medium", "hard")}
    connection.execute(insert(quiz_metadata).values(
        quiz_id=quiz_id, concept_id=key.part, roadmap_id=key.owner_id, questions=questions, total_questions=len(questions),
        easy_count=counts["easy"], medium_count=counts["medium"], hard_count=counts["hard"], generated_at=now))
    return {"quiz_status": ContentStatus.COMPLETED, "quiz_id": quiz_id, "quiz_questions_count": len(questions)}


# Of several rows for one key a valid one counts, else the newest: as ConceptRow.rank says, so that the detector judges it.
_SAVED_ROWS = {
    ContentKind.TUTORIAL:
        "select tutorial_id as row_id, generated_at as saved_at, title, summary, content_url, content_version as version, "
        "null as entries, 0 as entry_count, coalesce(nullif(content_status, ''), 'completed') = 'completed' "
        f"and coalesce(content_url, '') ~ '[^{BLANKS}]' as is_valid "
        "from public.tutorial_metadata where roadmap_id = :r and concept_id = :c and is_latest",
    ContentKind.RESOURCES:
        "select *, entry_count > 0 as is_valid from ("
        "  select id as row_id, generated_at as saved_at, null as title, null as summary, null as content_url, null as version, "
        "  resources as entries, "
        "  case when json_typeof(resources::json) = 'array' then json_array_length(resources::json) else 0 end as entry_count "
        "  from public.resource_recommendation_metadata where roadmap_id = :r and concept_id = :c) found",
    ContentKind.QUIZ:
        "select *, entry_count > 0 as is_valid from ("
        "  select quiz_id as row_id, generated_at as saved_at, null as title, null as summary, null as content_url, null as version, "
        "  questions as entries, "
        "  case when json_typeof(questions::json) = 'array' then json_array_length(questions::json) else 0 end as entry_count "
        "  from public.quiz_metadata where roadmap_id = :r and concept_id = :c) found",
}


@dataclass(frozen=True, slots=True)
class SavedRow:
    """The row that counts for a content key, whether or not what it holds is valid."""

    row_id: str
    saved_at: datetime | None
    title: str | None
    summary: str | None
    content_url: str | None  # of a tutorial
    version: int | None      # of a tutorial
    entries: Any             # resources or questions as they are stored: a list, if the platform kept to it
    entry_count: int
    is_valid: bool


def saved_row(connection: Connection, key: ContentKey) -> SavedRow | None:
    """The row that the detector judges for a concept's tutorial, resources or quiz. None: there is no row."""
    query = (f"select * from ({_SAVED_ROWS[key.kind]}) saved "
             'order by is_valid desc, version desc nulls last, saved_at desc nulls last, row_id collate "C" desc limit 1')
    row = connection.execute(text(query), {"r": key.owner_id, "c": key.part}).mappings().one_or_none()
    return SavedRow(**row) if row else None


def saved_fields(connection: Connection, key: ContentKey) -> FrameworkFields:
    """What framework_data is to say of content that is saved already: the repair of DRIFTED.

    Raises LookupError when no valid row is there.
    """
    row = saved_row(connection, key)
    if row is None or not row.is_valid:
        raise LookupError(f"nothing is saved for {key}")
    return {
        ContentKind.TUTORIAL: {"content_status": ContentStatus.COMPLETED, "content_ref": row.row_id, "content_summary": row.summary,
                               "content_version": row.version},
        ContentKind.RESOURCES: {"resources_status": ContentStatus.COMPLETED, "resources_id": row.row_id,
                                "resources_count": row.entry_count},
        ContentKind.QUIZ: {"quiz_status": ContentStatus.COMPLETED, "quiz_id": row.row_id, "quiz_questions_count": row.entry_count},
    }[key.kind]
