"""The layout of files that can be imported: roadmaps (stages -> modules -> concepts) and finished novels. Pure."""

import json
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from backend.content.checks import check_storable, texts_in
from backend.content.framework import read_framework
from backend.i18n import _

# Object paths and content keys are made of it: no colon, no slash, no leading dot.
OwnerId = Annotated[str, AfterValidator(lambda text: _accept(text, re.fullmatch(r"\w[\w.-]{0,199}", text), _(
    "up to 200 letters, digits, dots, hyphens and underscores were expected, with no dot or hyphen in front")))]
NotBlank = Annotated[str, AfterValidator(lambda text: _accept(text, text.strip(), _("it is blank")))]



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


def parse_document(text: str) -> RoadmapFile | NovelFile:
    """The roadmap or novel that the text of a file holds.

    Raises pydantic.ValidationError with the places that are wrong; ValueError or ItemError for what is no JSON or cannot
    be stored; RecursionError when it is nested too deeply.
    """
    document = json.loads(text, object_pairs_hook=_read_object, parse_float=_read_float, parse_constant=_read_float)
    for where, found in texts_in(document):
        check_storable(found, where)
    return _model(document).model_validate(document)


def layout_faults(content: RoadmapFile | NovelFile) -> list[str]:
    """What the types cannot say: concepts that occur twice, chapters out of order."""
    return _roadmap_faults(content) if isinstance(content, RoadmapFile) else _novel_faults(content)


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


def _accept(text: str, is_right: object, fault: str) -> str:
    if not is_right:
        raise PydanticCustomError("text", "{fault}", {"fault": fault})
    return text


def _roadmap_faults(roadmap: RoadmapFile) -> list[str]:
    framework = read_framework(roadmap.model_dump(exclude_unset=True))
    none = [] if framework.concepts else [_("stages: there is no concept in them")]
    return none + [fault.removeprefix("$.") for fault in framework.faults]


def _novel_faults(novel: NovelFile) -> list[str]:
    if not novel.chapters:
        return [_("chapters: there is none")]
    return [
        _("chapters[{position}].chapter_number: {number} is there, {expected} was expected").format(
            position=position, number=chapter.chapter_number, expected=position + 1)
        for position, chapter in enumerate(novel.chapters) if chapter.chapter_number != position + 1]
