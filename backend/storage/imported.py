"""Rows of an imported roadmap, whose content is still to be written, and of an imported novel, which is complete."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, insert
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from backend.content.imported import NovelFile, RoadmapFile
from backend.content.status import ChapterStatus, ContentStatus
from backend.storage.platform_tables import chapters, novels, options, roadmap_metadata, user_choices

NOT_WRITTEN_YET = {
    "content_status": ContentStatus.PENDING.value, "content_ref": None, "content_summary": None, "content_version": None,
    "resources_status": ContentStatus.PENDING.value, "resources_id": None, "resources_count": None,
    "quiz_status": ContentStatus.PENDING.value, "quiz_id": None, "quiz_questions_count": None,
}
# The one option that ends an imported chapter, in the language of the novel: to the next chapter, and after the last.
READ_ON = {"en": ("Read on: {title}", "The end"), "zh": ("继续：{title}", "全书完")}


def insert_roadmap(connection: Connection, roadmap: RoadmapFile, user_id: str, now: datetime) -> bool:
    """True when the roadmap was inserted, False when its id exists (a deleted one counts)."""
    total_estimated_hours = sum(concept.estimated_hours or 0.0 for concept in roadmap.concepts)
    framework = roadmap.model_dump(exclude_unset=True)
    for stage in framework["stages"]:
        for module in stage["modules"]:
            for concept in module["concepts"]:
                concept.update(NOT_WRITTEN_YET)
    framework["total_estimated_hours"] = total_estimated_hours
    inserted_id = connection.scalar(
        insert_or_skip(roadmap_metadata).on_conflict_do_nothing(index_elements=["roadmap_id"]).values(
            roadmap_id=roadmap.roadmap_id, user_id=user_id, title=roadmap.title,
            total_estimated_hours=total_estimated_hours, recommended_completion_weeks=roadmap.recommended_completion_weeks,
            framework_data=framework, created_at=now, updated_at=now).returning(roadmap_metadata.c.roadmap_id))
    return inserted_id is not None


def insert_novel(connection: Connection, novel: NovelFile, user_id: str, now: datetime) -> bool:
    """True when the novel was inserted with its chapters, False when its id exists."""
    setting = novel.setting or (f"{novel.title} ({novel.author})" if novel.author else novel.title)
    inserted_id = connection.scalar(
        insert_or_skip(novels).on_conflict_do_nothing(index_elements=["id"]).values(
            id=novel.novel, user_id=user_id, title=novel.title, setting=setting, language=novel.language, created_at=now,
        ).returning(novels.c.id))
    if inserted_id is None:
        return False
    chapter_ids = [str(uuid4()) for _chapter in novel.chapters]
    option_ids = [str(uuid4()) for _chapter in novel.chapters]
    connection.execute(insert(chapters), [
        {"id": chapter_id, "novel_id": novel.novel, "chapter_number": chapter.chapter_number, "title": chapter.title,
         "content": chapter.content, "status": ChapterStatus.COMPLETED.value, "created_at": now, "generation_completed_at": now}
        for chapter_id, chapter in zip(chapter_ids, novel.chapters, strict=True)])
    connection.execute(insert(options), [
        {"id": option_id, "chapter_id": chapter_id, "option_order": 1, "option_text": text, "impact_description": None}
        for option_id, chapter_id, text in zip(option_ids, chapter_ids, _option_texts(novel), strict=True)])
    # Whoever reads an imported book has no choice but to read on, up to the last chapter.
    choices = [
        {"id": str(uuid4()), "user_id": user_id, "chapter_id": chapter_id, "option_id": option_id, "created_at": now}
        for chapter_id, option_id in zip(chapter_ids[:-1], option_ids[:-1], strict=True)]
    if choices:
        connection.execute(insert(user_choices), choices)
    return True


def _option_texts(novel: NovelFile) -> list[str]:
    read_on, the_end = READ_ON["zh" if novel.language.lower().startswith("zh") else "en"]
    return [*(read_on.format(title=chapter.title) for chapter in novel.chapters[1:]), the_end]
