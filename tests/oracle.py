"""What the detector must find, told slowly: DESIGN section 4 in plain loops over whole tables.

It shares the words (keys, kinds of problem) with the product and not one rule: it never imports the detector,
the facts or the framework reader. A test that compares the two compares two readings of the same text.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from backend.content.facts import Limits
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind

Row = Mapping[str, Any]
TABLES = (
    "public.roadmap_metadata", "public.tutorial_metadata", "public.resource_recommendation_metadata", "public.quiz_metadata",
    "public.roadmap_cover_images", "public.novels", "public.chapters", "public.options", "public.user_choices", "public.tasks", "ops.items",
)
LONG_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


def expected_problems(connection: Connection, now: datetime, limits: Limits) -> dict[ContentKey, ProblemKind]:
    """Every content key that is not as it should be at `now`, and how."""
    tables = {
        name.partition(".")[2]: [dict(row._mapping) for row in connection.execute(text(f"select * from {name}"))]
        for name in TABLES
    }
    grace, silence = timedelta(seconds=limits.grace_seconds), timedelta(seconds=limits.silence_seconds)
    return _Oracle(tables, now, grace, silence).problems()


@dataclass(frozen=True)
class _Oracle:
    tables: dict[str, list[Row]]
    now: datetime
    grace: timedelta
    silence: timedelta

    def problems(self) -> dict[ContentKey, ProblemKind]:
        found = {}
        for roadmap in self.tables["roadmap_metadata"]:
            if roadmap["deleted_at"] is None:
                found.update(self.of_roadmap(roadmap))
        for novel in self.tables["novels"]:
            found.update(self.of_novel(novel))
        return {key: kind for key, kind in found.items() if kind is not None}

    def of_roadmap(self, roadmap: Row) -> Iterator[tuple[ContentKey, ProblemKind | None]]:
        roadmap_id = roadmap["roadmap_id"]
        if not _may_be_stored(roadmap["framework_data"]):  # then nothing else can be told of this roadmap
            yield ContentKey(ContentKind.FRAMEWORK, roadmap_id), ProblemKind.UNREADABLE
            return
        concepts, is_faulty = read_concepts(roadmap["framework_data"])
        if is_faulty and not self.is_live(ContentKey(ContentKind.FRAMEWORK, roadmap_id)):
            yield ContentKey(ContentKind.FRAMEWORK, roadmap_id), ProblemKind.UNREADABLE
        for concept_id, concept in concepts.items():
            for judge in (self.tutorial, self.resources, self.quiz):
                yield judge(roadmap, concept_id, concept)
        yield self.cover(roadmap)

    def tutorial(self, roadmap: Row, concept_id: str, concept: Row) -> tuple[ContentKey, ProblemKind | None]:
        key = ContentKey(ContentKind.TUTORIAL, roadmap["roadmap_id"], concept_id)
        rows = [row for row in self.rows_of("tutorial_metadata", roadmap, concept_id) if row["is_latest"]]
        rows.sort(key=lambda row: (
            _saved_tutorial(row) == "valid", row["content_version"], row["generated_at"] or LONG_BEFORE, row["tutorial_id"]))
        declared = concept.get("content_status")
        if not rows:
            return key, self.answer(key, "nothing", declared, roadmap["created_at"])
        best = rows[-1]
        if declared in (None, "") and _saved_tutorial(best) != "valid":
            declared = best["content_status"]
        return key, self.answer(key, _saved_tutorial(best), declared, roadmap["created_at"])

    def resources(self, roadmap: Row, concept_id: str, concept: Row) -> tuple[ContentKey, ProblemKind | None]:
        key = ContentKey(ContentKind.RESOURCES, roadmap["roadmap_id"], concept_id)
        rows = self.rows_of("resource_recommendation_metadata", roadmap, concept_id)
        saved = _saved_list([row["resources"] for row in rows])
        return key, self.answer(key, saved, concept.get("resources_status"), roadmap["created_at"])

    def quiz(self, roadmap: Row, concept_id: str, concept: Row) -> tuple[ContentKey, ProblemKind | None]:
        key = ContentKey(ContentKind.QUIZ, roadmap["roadmap_id"], concept_id)
        saved = _saved_list([row["questions"] for row in self.rows_of("quiz_metadata", roadmap, concept_id)])
        return key, self.answer(key, saved, concept.get("quiz_status"), roadmap["created_at"])

    def cover(self, roadmap: Row) -> tuple[ContentKey, ProblemKind | None]:
        key = ContentKey(ContentKind.COVER, roadmap["roadmap_id"])
        for row in self.tables["roadmap_cover_images"]:
            if row["roadmap_id"] == roadmap["roadmap_id"]:
                status = row["generation_status"]
                if status == "success":
                    return key, self.answer(key, "broken" if _is_blank(row["cover_image_url"]) else "valid", "completed", self.now)
                return key, self.answer(key, "failed" if status == "failed" else "nothing", status, row["updated_at"])
        return key, self.answer(key, "nothing", None, roadmap["created_at"])

    def of_novel(self, novel: Row) -> Iterator[tuple[ContentKey, ProblemKind | None]]:
        chapters = {row["chapter_number"]: row for row in self.tables["chapters"] if row["novel_id"] == novel["id"]}
        for number, chapter in chapters.items():
            key = ContentKey(ContentKind.CHAPTER, novel["id"], str(number))
            yield key, self.answer(key, self.saved_chapter(chapter), chapter["status"], chapter["created_at"])
            choices = [row["created_at"] for row in self.tables["user_choices"] if row["chapter_id"] == chapter["id"]]
            if choices and number + 1 not in chapters:
                key = ContentKey(ContentKind.CHAPTER, novel["id"], str(number + 1))
                yield key, self.answer(key, "nothing", None, min(choices))
        if not chapters:
            key = ContentKey(ContentKind.CHAPTER, novel["id"], "1")
            yield key, self.answer(key, "nothing", None, novel["created_at"])

    def saved_chapter(self, chapter: Row) -> str:
        if chapter["status"] == "failed":
            return "failed"
        if chapter["status"] != "completed":
            return "nothing"
        options = [row for row in self.tables["options"] if row["chapter_id"] == chapter["id"]]
        return "broken" if _is_blank(chapter["content"]) or not options else "valid"

    def rows_of(self, table: str, roadmap: Row, concept_id: str) -> list[Row]:
        return [row for row in self.tables[table] if (row["roadmap_id"], row["concept_id"]) == (roadmap["roadmap_id"], concept_id)]

    def answer(self, key: ContentKey, saved: str, declared: Any, since: datetime) -> ProblemKind | None:
        """The table of DESIGN section 4, row by row."""
        if self.is_live(key):
            return None
        if saved == "valid":
            return None if declared == "completed" else ProblemKind.DRIFTED
        if saved == "broken":
            return ProblemKind.INVALID
        if saved == "failed":
            return ProblemKind.FAILED
        if self.was_cancelled(key):
            return ProblemKind.CANCELLED
        if declared == "failed":
            return ProblemKind.FAILED
        if declared == "completed":
            return ProblemKind.MISSING
        if declared in ("generating", "processing"):
            return ProblemKind.STALE if since + self.silence <= self.now else None
        return ProblemKind.MISSING if since + self.grace <= self.now else None

    def is_live(self, key: ContentKey) -> bool:
        if any(item["state"] in ("queued", "running") and item["action"] != "draft" for item in self.items_of(key)):
            return True
        return any(
            task["status"] in ("pending", "processing") and task["updated_at"] + self.silence > self.now
            for task in self.platform_tasks_of(key))

    def was_cancelled(self, key: ContentKey) -> bool:
        tasks = self.platform_tasks_of(key)
        cancelled_at = [task["updated_at"] for task in tasks if task["status"] == "cancelled" and task["task_type"] in ("creation", None)]
        if not cancelled_at:
            return False
        tried_at = [task["updated_at"] for task in tasks if task["status"] != "cancelled"]
        tried_at += [
            item["settled_at"] or item["created_at"] for item in self.items_of(key)
            if item["action"] == "generate" and item["state"] in ("succeeded", "failed", "queued", "running")]
        return not any(at > max(cancelled_at) for at in tried_at)

    def items_of(self, key: ContentKey) -> list[Row]:
        wanted = (key.kind, key.owner_id, key.part)
        return [item for item in self.tables["items"] if (item["kind"], item["owner_id"], item["part"]) == wanted]

    def platform_tasks_of(self, key: ContentKey) -> list[Row]:
        """Tasks that work on the key and are the platform's own: Redrive's have items, and those tell more."""
        ours = {item["task_id"] for item in self.tables["items"]}
        return [task for task in self.tables["tasks"] if task["task_id"] not in ours and covers(task, key)]


def covers(task: Row, key: ContentKey) -> bool:
    """A task without a concept or a kind works on all of them; chapters are told apart by nothing but their novel."""
    if key.kind is ContentKind.CHAPTER:
        return task["novel_id"] == key.owner_id and task["task_type"] != "cover"
    if task["roadmap_id"] != key.owner_id or task["task_type"] == "chapter":
        return False
    if task["task_type"] in ("creation", None):
        return True
    if key.kind is ContentKind.FRAMEWORK:
        return False
    if key.kind is ContentKind.COVER or task["task_type"] == "cover":
        return key.kind is ContentKind.COVER and task["task_type"] == "cover"
    of_type = {"retry_tutorial": "tutorial", "retry_resources": "resources", "retry_quiz": "quiz"}
    kind = task["content_type"] or of_type.get(task["task_type"])
    return (kind is None or kind == key.kind) and (task["concept_id"] is None or task["concept_id"] == key.part)


def read_concepts(data: Any) -> tuple[dict[str, Row], bool]:
    """(concept_id -> concept, is there a fault). A concept in a faulty place is not there; the others are."""
    concepts: dict[str, Row] = {}
    is_faulty = False
    level = [data]
    for name in ("stages", "modules", "concepts"):
        below = []
        for parent in level:
            if isinstance(parent, dict) and isinstance(parent.get(name), list):
                below += parent[name]
            else:
                is_faulty = True
        level = below
    for concept in level:
        concept_id = concept.get("concept_id") if isinstance(concept, dict) else None
        if not isinstance(concept_id, str) or concept_id == "" or concept_id in concepts:
            is_faulty = True
        else:
            concepts[concept_id] = concept
    return concepts, is_faulty


def _may_be_stored(data: Any) -> bool:
    """What jsonb cannot hold cannot be read at all: NUL and half a surrogate pair (a json column keeps them)."""
    if isinstance(data, str):
        return "\x00" not in data and not any("\ud800" <= character <= "\udfff" for character in data)
    if isinstance(data, dict):
        return all(_may_be_stored(name) and _may_be_stored(value) for name, value in data.items())
    return all(map(_may_be_stored, data)) if isinstance(data, list) else True


def _saved_tutorial(row: Row) -> str:
    if row["content_status"] == "failed":
        return "failed"
    if row["content_status"] not in ("completed", None):
        return "nothing"
    return "broken" if _is_blank(row["content_url"]) else "valid"


def _saved_list(rows: list[Any]) -> str:
    """Of the rows for one key a good one counts."""
    if not rows:
        return "nothing"
    return "valid" if any(isinstance(row, list) and row for row in rows) else "broken"


def _is_blank(words: str | None) -> bool:
    return not (words or "").strip()
