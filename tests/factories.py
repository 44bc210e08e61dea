"""Rows of the platform with sensible defaults: a test states only what matters to it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert

from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.storage import ops_tables
from backend.storage import platform_tables as tables

LONG_AGO = timedelta(days=2)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def concept(concept_id: str, *, status: str | None = "completed", **fields: Any) -> dict[str, Any]:
    """A concept of framework_data; `status` is declared for all three kinds."""
    return {
        "concept_id": concept_id, "name": f"Concept {concept_id}", "description": "", "estimated_hours": 2, "prerequisites": [],
        "difficulty": "medium", "keywords": [], "content_status": status, "resources_status": status, "quiz_status": status, **fields}


def framework(*concepts: dict[str, Any], modules: int = 1) -> dict[str, Any]:
    """The concepts in one stage, dealt out to so many modules."""
    dealt = [list(concepts[start::modules]) for start in range(modules)]
    return {"stages": [{"name": "Stage", "modules": [{"name": f"Module {at}", "concepts": dealt[at]} for at in range(modules)]}]}


def add(connection: Connection, table: str, *rows: dict[str, Any]) -> None:
    if rows:
        connection.execute(insert(getattr(tables, table)), list(rows))


def add_roadmap(
    engine: Engine, roadmap_id: str = "r1", *, concepts: Sequence[dict[str, Any]] = (), framework_data: Any = ...,
    saved: Sequence[ContentKind] = CONCEPT_KINDS, unsaved: Sequence[tuple[ContentKind, str]] = (), has_cover: bool = True, **columns: Any,
) -> str:
    """A roadmap two days old, with a good row for every concept in each kind of `saved` but those in `unsaved`."""
    data = framework(*concepts) if framework_data is ... else framework_data
    with engine.begin() as connection:
        add(connection, "roadmap_metadata", {
            "roadmap_id": roadmap_id, "user_id": "user-1", "title": f"Roadmap {roadmap_id}", "framework_data": data,
            "created_at": ago(days=2), "updated_at": ago(days=2), **columns})
        for found in concepts:
            for kind in saved:
                if (kind, found["concept_id"]) not in unsaved:
                    add_content(connection, roadmap_id, found["concept_id"], kind)
        if has_cover:
            add(connection, "roadmap_cover_images", {
                "roadmap_id": roadmap_id, "cover_image_url": "file:///cover.webp", "generation_status": "success"})
    return roadmap_id


def add_content(connection: Connection, roadmap_id: str, concept_id: str, kind: ContentKind, **columns: Any) -> None:
    """A good row of content; `columns` overrides."""
    identity = {"concept_id": concept_id, "roadmap_id": roadmap_id}
    if kind is ContentKind.TUTORIAL:
        add(connection, "tutorial_metadata", {
            **identity, "tutorial_id": f"t-{roadmap_id}-{concept_id}", "title": "T", "summary": "S", "content_url": "file:///t.md",
            "content_status": "completed", "content_version": 1, "is_latest": True, **columns})
    elif kind is ContentKind.RESOURCES:
        add(connection, "resource_recommendation_metadata", {
            **identity, "id": f"r-{roadmap_id}-{concept_id}", "resources": [{"title": "R", "url": "https://example.org"}],
            "resources_count": 1, **columns})
    else:
        add(connection, "quiz_metadata", {
            **identity, "quiz_id": f"q-{roadmap_id}-{concept_id}", "questions": [{"question": "Q", "options": ["a", "b"]}],
            "total_questions": 1, **columns})


def add_task(engine: Engine, task_id: str = "task-1", **columns: Any) -> str:
    """A platform task that completed two days ago."""
    with engine.begin() as connection:
        add(connection, "tasks", {
            "task_id": task_id, "user_id": "user-1", "status": "completed", "task_type": "creation", "created_at": ago(days=2),
            "updated_at": ago(days=2), **columns})
    return task_id


def add_operation(engine: Engine, operation_id: str = "o1", **columns: Any) -> str:
    """An operation that runs, started by the person of the tests."""
    with engine.begin() as connection:
        connection.execute(insert(ops_tables.operations), [{
            "operation_id": operation_id, "request_id": operation_id, "name": "broken content", "state": "running",
            "priority": "interactive", "actor_id": "local operator", "actor_role": "admin", "scope": {}, "planned_count": 1,
            "created_at": ago(minutes=5), **columns}])
    return operation_id


def add_item(engine: Engine, part: str = "a", **columns: Any) -> int:
    """An item that waits: the tutorial of a concept of r1, in operation o1."""
    with engine.begin() as connection:
        return connection.execute(insert(ops_tables.items).values(**{
            "operation_id": "o1", "kind": "tutorial", "owner_id": "r1", "part": part, "title": f"Concept {part}", "action": "generate",
            "state": "planned", "problem_kind": "failed", **columns}).returning(ops_tables.items.c.item_id)).scalar_one()


def add_novel(engine: Engine, novel_id: str = "n1", *, chapters: Sequence[dict[str, Any]] = (), **columns: Any) -> str:
    """A novel two days old. Each chapter gets a number, a text and two options; the first is chosen when there is a next one."""
    with engine.begin() as connection:
        add(connection, "novels", {
            "id": novel_id, "user_id": "user-1", "title": f"Novel {novel_id}", "setting": "A town by the sea", "language": "en",
            "created_at": ago(days=2), **columns})
        for number, given in enumerate(chapters, start=1):
            add_chapter(connection, novel_id, number, is_chosen=number < len(chapters), **given)
    return novel_id


def add_chapter(
    connection: Connection, novel_id: str, chapter_number: int, *, has_options: bool = True, is_chosen: bool = False, **columns: Any,
) -> None:
    chapter_id = f"{novel_id}-{chapter_number}"
    add(connection, "chapters", {
        "id": chapter_id, "novel_id": novel_id, "chapter_number": chapter_number, "title": f"Chapter {chapter_number}",
        "content": "Once upon a time.", "status": "completed", "created_at": ago(days=2), "generation_completed_at": ago(days=2),
        **columns})
    if has_options:
        add(connection, "options", *(
            {"id": f"{chapter_id}-{order}", "chapter_id": chapter_id, "option_order": order, "option_text": "Go on"} for order in (1, 2)))
    if is_chosen:
        add(connection, "user_choices", {
            "id": f"{chapter_id}-choice", "user_id": "user-1", "chapter_id": chapter_id, "option_id": f"{chapter_id}-1",
            "created_at": ago(days=2)})
