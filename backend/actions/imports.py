"""Importing roadmaps and finished novels from JSON files: every file of a call, or none of them.

A roadmap file holds stages -> modules -> concepts, a novel file holds chapters. Nothing is generated here: an imported
roadmap's concepts are pending, an imported novel is complete.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection, insert
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from backend.actions.actors import Actor, Permission, require
from backend.clock import utc_now
from backend.content.checks import check_storable, texts_in
from backend.content.errors import ItemError
from backend.content.framework import read_framework
from backend.content.status import ChapterStatus, ContentStatus
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit
from backend.storage.platform_tables import chapters, novels, options, roadmap_metadata, user_choices

MAXIMUM_FILE_BYTES = 50_000_000  # a file is read into memory as a whole; the largest curriculum seen has 0.1 MB

# Object paths and content keys are made of it: no colon, no slash, no leading dot.
OwnerId = Annotated[str, AfterValidator(lambda text: _accept(text, re.fullmatch(r"\w[\w.-]{0,199}", text), _(
    "up to 200 letters, digits, dots, hyphens and underscores were expected, with no dot or hyphen in front")))]
NotBlank = Annotated[str, AfterValidator(lambda text: _accept(text, text.strip(), _("it is blank")))]

NOT_WRITTEN_YET = {
    "content_status": ContentStatus.PENDING.value, "content_ref": None, "content_summary": None, "content_version": None,
    "resources_status": ContentStatus.PENDING.value, "resources_id": None, "resources_count": None,
    "quiz_status": ContentStatus.PENDING.value, "quiz_id": None, "quiz_questions_count": None,
}
# The one option that ends an imported chapter, in the language of the novel: to the next chapter, and after the last.
READ_ON = {"en": ("Read on: {title}", "The end"), "zh": ("继续：{title}", "全书完")}


class _FromFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")  # unknown keys are kept as they are


class ConceptFile(_FromFile):
    concept_id: NotBlank
    name: NotBlank
    description: str = ""
    estimated_hours: Annotated[float, Field(ge=0, le=100_000)] | None = None
    difficulty: str | None = None
    prerequisites: list[str] = []
    keywords: list[str] = []


class ModuleFile(_FromFile):
    name: NotBlank
    concepts: list[ConceptFile]


class StageFile(_FromFile):
    name: NotBlank
    modules: list[ModuleFile]


class RoadmapFile(_FromFile):
    roadmap_id: OwnerId
    title: NotBlank
    recommended_completion_weeks: Annotated[int, Field(ge=0, le=10_000)] | None = None
    stages: list[StageFile]

    @property
    def owner_id(self) -> str:
        return self.roadmap_id

    @property
    def concepts(self) -> list[ConceptFile]:
        return [concept for stage in self.stages for module in stage.modules for concept in module.concepts]


class ChapterFile(_FromFile):
    chapter_number: int
    title: NotBlank
    content: NotBlank


class NovelFile(_FromFile):
    novel: OwnerId
    title: NotBlank
    author: str = ""
    language: str = "en"
    setting: str | None = None
    chapters: list[ChapterFile]

    @property
    def owner_id(self) -> str:
        return self.novel


class ImportRefused(Exception):
    """Nothing was imported. Each line of str() names a file, the place in it, and what is wrong there."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class ImportedCounts:
    roadmaps: int
    novels: int
    concepts: int
    chapters: int


@dataclass(frozen=True, slots=True)
class _Source:
    file_name: str
    content: RoadmapFile | NovelFile


def import_files(redrive: Redrive, actor: Actor, paths: Iterable[Path]) -> ImportedCounts:
    """Insert every roadmap and novel of the files in one transaction.

    Raises NotAllowed; ImportRefused when a file cannot be read, is laid out otherwise, or names an id that exists.
    """
    require(actor, Permission.IMPORT)
    sources = _read_all([Path(path) for path in paths])
    faults: list[str] = []
    with redrive.engine.begin() as connection:
        now = utc_now()
        for source in sources:
            insert_owner = _insert_roadmap if isinstance(source.content, RoadmapFile) else _insert_novel
            if not insert_owner(connection, source.content, actor, now):
                faults.append(_("{file}: {owner} exists already; nothing was imported").format(
                    file=source.file_name, owner=source.content.owner_id))
        if faults:
            raise ImportRefused(faults)
        counts = _count(sources)
        audit.record(
            connection, actor, action="import", scope=", ".join(source.content.owner_id for source in sources),
            result=_("{roadmaps} roadmaps with {concepts} concepts, {novels} novels with {chapters} chapters").format(
                roadmaps=counts.roadmaps, concepts=counts.concepts, novels=counts.novels, chapters=counts.chapters))
    return counts


def _count(sources: Sequence[_Source]) -> ImportedCounts:
    roadmaps = [source.content for source in sources if isinstance(source.content, RoadmapFile)]
    books = [source.content for source in sources if isinstance(source.content, NovelFile)]
    concepts, written = (len(roadmap.concepts) for roadmap in roadmaps), (len(book.chapters) for book in books)
    return ImportedCounts(len(roadmaps), len(books), sum(concepts), sum(written))


def _read_all(paths: Sequence[Path]) -> list[_Source]:
    """Every file, checked. Raises ImportRefused with the faults of all files at once."""
    if not paths:
        raise ImportRefused([_("No file was named. Name at least one JSON file.")])
    sources: dict[tuple[type, str], _Source] = {}
    faults: list[str] = []
    for path in paths:
        try:
            source = _Source(path.name, _read(path))
        except ImportRefused as refused:
            faults += refused.faults
            continue
        owner_id = source.content.owner_id
        earlier = sources.setdefault((type(source.content), owner_id), source)
        if earlier is not source:
            faults.append(_("{file}: {owner} is already in {other}").format(
                file=path.name, owner=owner_id, other=earlier.file_name))
    if faults:
        raise ImportRefused(faults)
    return list(sources.values())


def _read(path: Path) -> RoadmapFile | NovelFile:
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ValueError(_("larger than {megabytes} MB").format(megabytes=MAXIMUM_FILE_BYTES // 1_000_000))
        document = json.loads(
            path.read_text(encoding="utf-8-sig"),
            object_pairs_hook=_read_object, parse_float=_read_float, parse_constant=_read_float)
        for where, found in texts_in(document):
            check_storable(found, where)
        content = _model(document).model_validate(document)
    except ValidationError as exc:
        raise ImportRefused([f"{path.name}: {_path(error['loc'])}: {error['msg'][:1].lower()}{error['msg'][1:]}"
                             for error in exc.errors(include_url=False)]) from exc
    except RecursionError as exc:
        raise ImportRefused([_("{file}: nested too deeply").format(file=path.name)]) from exc
    except (OSError, ValueError, ItemError) as exc:
        raise ImportRefused([f"{path.name}: {getattr(exc, 'strerror', None) or exc}"]) from exc
    if faults := _roadmap_faults(document) if isinstance(content, RoadmapFile) else _novel_faults(content):
        raise ImportRefused([f"{path.name}: {fault}" for fault in faults])
    return content


def _model(document: object) -> type[RoadmapFile] | type[NovelFile]:
    is_object = isinstance(document, dict)
    if is_object and "stages" in document:
        return RoadmapFile
    if is_object and "chapters" in document:
        return NovelFile
    raise ValueError(_("neither a roadmap (an object with stages) nor a novel (an object with chapters)"))


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, _value in pairs:
        check_storable(name, repr(name))
    return dict(pairs)


def _read_float(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(_("{number} is no number that can be stored").format(number=number))
    return value


def _path(location: Sequence[int | str]) -> str:
    """("chapters", 3, "content") as chapters[3].content."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).removeprefix(".")


def _accept(text: str, is_right: object, fault: str) -> str:
    if not is_right:
        raise PydanticCustomError("text", "{fault}", {"fault": fault})
    return text


def _roadmap_faults(document: dict[str, Any]) -> list[str]:
    framework = read_framework(document)
    none = [] if framework.concepts else [_("stages: there is no concept in them")]
    return none + [fault.removeprefix("$.") for fault in framework.faults]


def _novel_faults(novel: NovelFile) -> list[str]:
    if not novel.chapters:
        return [_("chapters: there is none")]
    return [
        _("chapters[{position}].chapter_number: {number} is there, {expected} was expected").format(
            position=position, number=chapter.chapter_number, expected=position + 1)
        for position, chapter in enumerate(novel.chapters) if chapter.chapter_number != position + 1]


def _insert_roadmap(connection: Connection, roadmap: RoadmapFile, actor: Actor, now: datetime) -> bool:
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
            roadmap_id=roadmap.roadmap_id, user_id=actor.actor_id, title=roadmap.title,
            total_estimated_hours=total_estimated_hours, recommended_completion_weeks=roadmap.recommended_completion_weeks,
            framework_data=framework, created_at=now, updated_at=now).returning(roadmap_metadata.c.roadmap_id))
    return inserted_id is not None


def _insert_novel(connection: Connection, novel: NovelFile, actor: Actor, now: datetime) -> bool:
    """True when the novel was inserted with its chapters, False when its id exists."""
    setting = novel.setting or (f"{novel.title} ({novel.author})" if novel.author else novel.title)
    inserted_id = connection.scalar(
        insert_or_skip(novels).on_conflict_do_nothing(index_elements=["id"]).values(
            id=novel.novel, user_id=actor.actor_id, title=novel.title, setting=setting, language=novel.language, created_at=now,
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
        {"id": str(uuid4()), "user_id": actor.actor_id, "chapter_id": chapter_id, "option_id": option_id, "created_at": now}
        for chapter_id, option_id in zip(chapter_ids[:-1], option_ids[:-1], strict=True)]
    if choices:
        connection.execute(insert(user_choices), choices)
    return True


def _option_texts(novel: NovelFile) -> list[str]:
    read_on, the_end = READ_ON["zh" if novel.language.lower().startswith("zh") else "en"]
    return [*(read_on.format(title=chapter.title) for chapter in novel.chapters[1:]), the_end]
