"""One novel of the demo as rows of the platform tables, with the faults that incidents declares for it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backend.content.status import ChapterStatus, TaskStatus, TaskType
from backend.demo.catalogue import Chapter, Novel
from backend.demo.incidents import CHAPTER_FAULTS, ChapterFault, ChapterFaultKind, NovelRun

WRITING_TIME = timedelta(seconds=50)   # of one chapter
READING_TIME = timedelta(minutes=9)    # from a chapter to the reader's choice
PARTIAL_RATIO = 0.55                   # how much of a chapter was there when its writing failed

Row = dict[str, Any]


@dataclass(slots=True)
class NovelRows:
    """Rows by table, in the making."""

    tasks: list[Row] = field(default_factory=list)
    novels: list[Row] = field(default_factory=list)
    chapters: list[Row] = field(default_factory=list)
    options: list[Row] = field(default_factory=list)
    user_choices: list[Row] = field(default_factory=list)


def build_novel(novel: Novel, run: NovelRun, user_id: str, now: datetime) -> NovelRows:
    """All rows of one novel, relative to `now` (aware UTC)."""
    begun_at = now - timedelta(days=run.begun_days_ago)
    span = now - timedelta(hours=run.last_hours_ago) - begun_at
    faults = {fault.chapter_number: fault for fault in CHAPTER_FAULTS if fault.novel_id == novel.novel_id}
    rows = NovelRows()
    rows.novels.append({
        "id": novel.novel_id, "user_id": user_id, "title": novel.title, "setting": novel.setting,
        "language": novel.language, "created_at": begun_at})
    for chapter in novel.chapters:
        at = begun_at + span * (chapter.chapter_number / len(novel.chapters))
        fault = faults.get(chapter.chapter_number)
        rows.chapters.append(_chapter_row(novel, chapter, fault, at))
        task = _chapter_task(novel, fault, user_id, at)
        if task:
            rows.tasks.append(task)
        leads_to = faults.get(chapter.chapter_number + 1)
        chosen = 0 if leads_to and leads_to.kind is ChapterFaultKind.NEVER_WRITTEN else chapter.chosen
        _add_options(rows, novel, chapter, fault, user_id, chosen, at)
    return rows


def _chapter_row(novel: Novel, chapter: Chapter, fault: ChapterFault | None, at: datetime) -> Row:
    status, content = ChapterStatus.COMPLETED, chapter.content
    match fault.kind if fault else None:
        case ChapterFaultKind.FAILED_HALFWAY:
            status, content = ChapterStatus.FAILED, content[:round(len(content) * PARTIAL_RATIO)]
        case ChapterFaultKind.SILENT:
            status, content = ChapterStatus.GENERATING, None
        case ChapterFaultKind.WITHOUT_TEXT:
            content = ""
    return {
        "id": _chapter_id(novel, chapter),
        "novel_id": novel.novel_id,
        "chapter_number": chapter.chapter_number,
        "title": chapter.title,
        "content": content,
        "status": status.value,
        "error_message": fault.error_message if fault else None,
        "created_at": at,
        "generation_completed_at": at + WRITING_TIME if status is ChapterStatus.COMPLETED else None,
    }


def _add_options(
    rows: NovelRows, novel: Novel, chapter: Chapter, fault: ChapterFault | None, user_id: str, chosen: int | None,
    at: datetime,
) -> None:
    if fault and fault.kind is not ChapterFaultKind.WITHOUT_TEXT:
        return
    chapter_id = _chapter_id(novel, chapter)
    options = [
        {"id": f"{chapter_id}-option-{order}", "chapter_id": chapter_id, "option_order": order,
         "option_text": option.text, "impact_description": option.impact}
        for order, option in enumerate(chapter.options, start=1)]
    rows.options.extend(options)
    if chosen is not None:
        rows.user_choices.append({
            "id": f"{chapter_id}-choice", "user_id": user_id, "chapter_id": chapter_id,
            "option_id": options[chosen]["id"], "created_at": at + WRITING_TIME + READING_TIME})


def _chapter_task(novel: Novel, fault: ChapterFault | None, user_id: str, at: datetime) -> Row | None:
    """The platform's task of a chapter that was not finished; finished ones have been cleared away."""
    if fault is None or fault.kind not in (ChapterFaultKind.FAILED_HALFWAY, ChapterFaultKind.SILENT):
        return None
    is_failed = fault.kind is ChapterFaultKind.FAILED_HALFWAY
    ended_at = at + WRITING_TIME
    return {
        "task_id": f"task-chapter-{novel.novel_id}-{fault.chapter_number}", "user_id": user_id,
        "status": (TaskStatus.FAILED if is_failed else TaskStatus.PROCESSING).value, "task_type": TaskType.CHAPTER.value,
        "concept_id": None, "content_type": None, "roadmap_id": None, "novel_id": novel.novel_id,
        "current_step": "chapter_generation", "user_request": {"chapter_number": fault.chapter_number}, "job_id": None,
        "error_message": fault.error_message, "failed_concepts": None, "execution_summary": None,
        "created_at": at, "updated_at": ended_at, "completed_at": ended_at if is_failed else None,
    }


def _chapter_id(novel: Novel, chapter: Chapter) -> str:
    return f"{novel.novel_id}-chapter-{chapter.chapter_number}"
