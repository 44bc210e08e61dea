"""The demo's own texts, read from the JSON files beside this module. No faults and no times: see incidents."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Concept:
    concept_id: str
    name: str
    description: str
    estimated_hours: float
    difficulty: str
    prerequisites: tuple[str, ...]
    keywords: tuple[str, ...]
    stage_name: str
    module_name: str


@dataclass(frozen=True, slots=True)
class Roadmap:
    roadmap_id: str
    title: str
    language: str
    recommended_completion_weeks: int
    concepts: tuple[Concept, ...]  # in reading order
    stages: list[dict[str, Any]]   # as in the file: stages, modules, concepts

    @property
    def total_estimated_hours(self) -> float:
        return sum(concept.estimated_hours for concept in self.concepts)


@dataclass(frozen=True, slots=True)
class Option:
    text: str
    impact: str


@dataclass(frozen=True, slots=True)
class Chapter:
    chapter_number: int
    title: str
    content: str
    options: tuple[Option, ...]
    chosen: int | None  # position of the reader's choice; None: not chosen yet


@dataclass(frozen=True, slots=True)
class Novel:
    novel_id: str
    title: str
    language: str
    setting: str
    chapters: tuple[Chapter, ...]


def read_roadmap(roadmap_id: str) -> Roadmap:
    """A roadmap of the demo by name. Raises FileNotFoundError when there is none."""
    data = _read("roadmaps", roadmap_id)
    concepts = tuple(
        _concept(concept, stage, module)
        for stage in data["stages"] for module in stage["modules"] for concept in module["concepts"])
    return Roadmap(data["roadmap_id"], data["title"], data["language"],
                   data["recommended_completion_weeks"], concepts, data["stages"])


def read_novel(novel_id: str) -> Novel:
    """A novel of the demo by name. Raises FileNotFoundError when there is none."""
    data = _read("novels", novel_id)
    chapters = tuple(
        Chapter(chapter["chapter_number"], chapter["title"], "\n\n".join(chapter["paragraphs"]),
                tuple(Option(**option) for option in chapter["options"]), chapter["chosen"])
        for chapter in data["chapters"])
    return Novel(data["novel_id"], data["title"], data["language"], data["setting"], chapters)


def _read(folder: str, name: str) -> dict[str, Any]:
    return json.loads((FOLDER / folder / f"{name}.json").read_text(encoding="utf-8"))


def _concept(concept: dict[str, Any], stage: dict[str, Any], module: dict[str, Any]) -> Concept:
    return Concept(
        concept["concept_id"], concept["name"], concept["description"], concept["estimated_hours"],
        concept["difficulty"], tuple(concept["prerequisites"]), tuple(concept["keywords"]),
        stage["name"], module["name"])
