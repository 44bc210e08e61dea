"""One roadmap of the demo as rows of the platform tables, with the faults that incidents declares for it."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.status import ContentStatus, CoverStatus, TaskStatus, TaskType
from backend.demo.catalogue import Concept, Roadmap
from backend.demo.incidents import CONCEPT_FAULTS, COVER_FAULTS, RETRIES, ConceptFault, Run, Saved
from backend.demo.samples import Sample, write_sample

SECONDS_PER_CONCEPT = 90

Row = dict[str, Any]


@dataclass(slots=True)
class RoadmapRows:
    """Rows by table, in the making."""

    tasks: list[Row] = field(default_factory=list)
    roadmap_metadata: list[Row] = field(default_factory=list)
    tutorial_metadata: list[Row] = field(default_factory=list)
    resource_recommendation_metadata: list[Row] = field(default_factory=list)
    quiz_metadata: list[Row] = field(default_factory=list)
    roadmap_cover_images: list[Row] = field(default_factory=list)
    objects: dict[str, str] = field(default_factory=dict)  # path -> text of a tutorial


@dataclass(frozen=True, slots=True)
class _Setting:
    """What every row of one roadmap needs to know."""

    roadmap: Roadmap
    run: Run
    user_id: str
    begun_at: datetime
    ended_at: datetime  # also of a run that goes on or died: its last sign of life

    def written_at(self, position: int) -> datetime:
        return self.begun_at + timedelta(seconds=SECONDS_PER_CONCEPT * (position + 0.8))


def build_roadmap(roadmap: Roadmap, run: Run, user_id: str, now: datetime) -> RoadmapRows:
    """All rows of one roadmap, relative to `now` (aware UTC)."""
    begun_at = now - timedelta(days=run.days_ago)
    duration = timedelta(seconds=SECONDS_PER_CONCEPT * (len(roadmap.concepts) + 1))
    setting = _Setting(roadmap, run, user_id, begun_at, now if run.is_going_on else begun_at + duration)
    faults = {
        (fault.kind, position): fault
        for fault in CONCEPT_FAULTS if fault.roadmap_id == roadmap.roadmap_id for position in fault.positions}
    rows = RoadmapRows()
    declared = {
        concept.concept_id: _add_concept(rows, setting, concept, position, faults)
        for position, concept in enumerate(roadmap.concepts)}
    rows.roadmap_metadata.append(_roadmap_row(setting, declared, now))
    rows.tasks.append(_creation_task(setting, faults))
    rows.tasks.extend(
        _empty_retry(setting, now - timedelta(hours=retry.hours_ago))
        for retry in RETRIES if retry.roadmap_id == roadmap.roadmap_id)
    rows.roadmap_cover_images.extend(_cover_rows(setting))
    return rows


def tutorial_path(roadmap_id: str, concept_id: str) -> str:
    """Where the object store keeps the text of a demo tutorial."""
    return f"demo/tutorials/{roadmap_id}/{concept_id}.md"


def _add_concept(
    rows: RoadmapRows, setting: _Setting, concept: Concept, position: int,
    faults: dict[tuple[ContentKind, int], ConceptFault],
) -> Row:
    """Put the rows of one concept where they belong; give its status fields for framework_data."""
    sample = write_sample(setting.roadmap, concept)
    declared: Row = {}
    for kind in CONCEPT_KINDS:
        fault = faults.get((kind, position))
        saved = fault.saved if fault else Saved.GOOD
        status = fault.declared if fault else ContentStatus.COMPLETED.value
        row = _CONTENT_ROWS[kind](setting, concept, sample, saved, setting.written_at(position))
        if saved is not Saved.NONE:
            getattr(rows, _TABLES[kind]).append(row)
        declared |= _declare(kind, row, status)
        if kind is ContentKind.TUTORIAL and saved is Saved.GOOD:
            rows.objects[row["content_url"]] = sample.tutorial.body_markdown
    return declared


def _declare(kind: ContentKind, row: Row, status: str | None) -> Row:
    """The platform writes ids and counts together with "completed", and nothing before."""
    said = status == ContentStatus.COMPLETED
    if kind is ContentKind.TUTORIAL:
        return {
            "content_status": status,
            "content_ref": row["tutorial_id"] if said else None,
            "content_summary": row["summary"] if said else None,
            "content_version": row["content_version"] if said else None,
        }
    if kind is ContentKind.RESOURCES:
        return {
            "resources_status": status,
            "resources_id": row["id"] if said else None,
            "resources_count": row["resources_count"] if said else None,
        }
    return {
        "quiz_status": status,
        "quiz_id": row["quiz_id"] if said else None,
        "quiz_questions_count": row["total_questions"] if said else None,
    }


def _tutorial_row(setting: _Setting, concept: Concept, sample: Sample, saved: Saved, at: datetime) -> Row:
    roadmap_id = setting.roadmap.roadmap_id
    return {
        "tutorial_id": f"tutorial-{roadmap_id}-{concept.concept_id}",
        "concept_id": concept.concept_id,
        "roadmap_id": roadmap_id,
        "title": sample.tutorial.title,
        "summary": sample.tutorial.summary,
        "content_url": tutorial_path(roadmap_id, concept.concept_id) if saved is Saved.GOOD else None,
        "content_status": (ContentStatus.FAILED if saved is Saved.FAILED else ContentStatus.COMPLETED).value,
        "content_version": 1,
        "is_latest": True,
        "estimated_completion_time": sample.tutorial.estimated_minutes,
        "generated_at": at,
    }


def _resources_row(setting: _Setting, concept: Concept, sample: Sample, saved: Saved, at: datetime) -> Row:
    roadmap_id = setting.roadmap.roadmap_id
    resources = [] if saved is Saved.BROKEN else [resource.model_dump() for resource in sample.resources.resources]
    return {
        "id": f"resources-{roadmap_id}-{concept.concept_id}",
        "concept_id": concept.concept_id,
        "roadmap_id": roadmap_id,
        "resources": resources,
        "resources_count": len(resources),
        "search_queries_used": sample.resources.search_queries,
        "generated_at": at + timedelta(seconds=4),
    }


def _quiz_row(setting: _Setting, concept: Concept, sample: Sample, saved: Saved, at: datetime) -> Row:
    roadmap_id = setting.roadmap.roadmap_id
    questions = [] if saved is Saved.BROKEN else [question.model_dump() for question in sample.quiz.questions]
    by_difficulty = {
        f"{difficulty}_count": sum(question["difficulty"] == difficulty for question in questions)
        for difficulty in ("easy", "medium", "hard")}
    return {
        "quiz_id": f"quiz-{roadmap_id}-{concept.concept_id}",
        "concept_id": concept.concept_id,
        "roadmap_id": roadmap_id,
        "questions": questions,
        "total_questions": len(questions),
        **by_difficulty,
        "generated_at": at + timedelta(seconds=7),
    }


_CONTENT_ROWS = {
    ContentKind.TUTORIAL: _tutorial_row, ContentKind.RESOURCES: _resources_row, ContentKind.QUIZ: _quiz_row,
}
_TABLES = {
    ContentKind.TUTORIAL: "tutorial_metadata",
    ContentKind.RESOURCES: "resource_recommendation_metadata",
    ContentKind.QUIZ: "quiz_metadata",
}


def _roadmap_row(setting: _Setting, declared: dict[str, Row], now: datetime) -> Row:
    roadmap, run = setting.roadmap, setting.run
    deleted_at = None if run.deleted_days_ago is None else now - timedelta(days=run.deleted_days_ago)
    stages = deepcopy(roadmap.stages)
    for stage in stages:
        for module in stage["modules"]:
            for concept in module["concepts"]:
                concept |= declared[concept["concept_id"]]
    if run.has_object_for_list:
        stages[1]["modules"] = {module["module_id"]: module for module in stages[1]["modules"]}
    return {
        "roadmap_id": roadmap.roadmap_id,
        "user_id": setting.user_id,
        "title": roadmap.title,
        "total_estimated_hours": roadmap.total_estimated_hours,
        "recommended_completion_weeks": roadmap.recommended_completion_weeks,
        "framework_data": {
            "roadmap_id": roadmap.roadmap_id, "title": roadmap.title,
            "total_estimated_hours": roadmap.total_estimated_hours,
            "recommended_completion_weeks": roadmap.recommended_completion_weeks, "stages": stages},
        "created_at": setting.begun_at,
        "updated_at": deleted_at or setting.ended_at,
        "deleted_at": deleted_at,
        "deleted_by": setting.user_id if deleted_at else None,
    }


def _creation_task(setting: _Setting, faults: dict[tuple[ContentKind, int], ConceptFault]) -> Row:
    run = setting.run
    is_open = run.status is TaskStatus.PROCESSING
    failed = {
        setting.roadmap.concepts[position].concept_id: {
            "reason": _numbered(fault.error, f"{run.roadmap_id}-{position}"),
            "content_type": kind.value,
            "timestamp": setting.written_at(position).isoformat(),
        }
        for (kind, position), fault in faults.items() if fault.error}
    summary = None
    if run.status in (TaskStatus.COMPLETED, TaskStatus.PARTIAL_FAILURE):
        total = len(setting.roadmap.concepts) * len(CONCEPT_KINDS)
        summary = _summary(total, len(failed), (setting.ended_at - setting.begun_at).total_seconds())
    return _task_row(
        setting, TaskType.CREATION, run.status, setting.begun_at, setting.ended_at,
        current_step="content_generation" if is_open else run.status.value,
        error_message=run.error_message, failed_concepts=failed or None, execution_summary=summary,
        completed_at=None if is_open else setting.ended_at)


def _empty_retry(setting: _Setting, at: datetime) -> Row:
    ended_at = at + timedelta(seconds=2)
    return _task_row(
        setting, TaskType.RETRY_BATCH, TaskStatus.COMPLETED, at, ended_at, current_step="completed", error_message=None,
        failed_concepts=None, execution_summary=_summary(0, 0, 2.0), completed_at=ended_at)


def _task_row(
    setting: _Setting, task_type: TaskType, status: TaskStatus, begun_at: datetime, updated_at: datetime, **rest: Any,
) -> Row:
    roadmap = setting.roadmap
    return {
        "task_id": f"task-{task_type}-{roadmap.roadmap_id}", "user_id": setting.user_id, "status": status.value,
        "task_type": task_type.value, "concept_id": None, "content_type": None, "roadmap_id": roadmap.roadmap_id,
        "novel_id": None, "user_request": {"topic": roadmap.title, "language": roadmap.language}, "job_id": None,
        "created_at": begun_at, "updated_at": updated_at, **rest,
    }


def _summary(total: int, failed: int, duration_seconds: float) -> Row:
    return {"total": total, "completed": total - failed, "failed": failed, "skipped": 0, "duration_seconds": duration_seconds}


def _cover_rows(setting: _Setting) -> list[Row]:
    roadmap_id = setting.roadmap.roadmap_id
    fault = next((fault for fault in COVER_FAULTS if fault.roadmap_id == roadmap_id), None)
    status = fault.generation_status if fault else CoverStatus.SUCCESS.value
    if status is None:
        return []
    return [{
        "roadmap_id": roadmap_id,
        "cover_image_url": f"https://example.org/covers/{roadmap_id}.png" if status == CoverStatus.SUCCESS else None,
        "generation_status": status,
        "error_message": _numbered(fault.error_message, roadmap_id) if fault else None,
        "retry_count": 2 if status == CoverStatus.FAILED else 0,
        "created_at": setting.begun_at,
        "updated_at": setting.ended_at,
    }]


def _numbered(message: str | None, seed: str) -> str | None:
    """The message with a number of its own, as real ones have: causes must be found in spite of it."""
    return message and message.replace("<n>", str(10_000 + crc32(seed.encode()) % 90_000))
