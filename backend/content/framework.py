"""Reading framework_data: stages -> modules -> concepts, leniently, with the path of every fault.

A fault in one module never hides the concepts of the others.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend.content.keys import ContentKind

# What a concept calls the status of each kind of content.
STATUS_FIELDS = {
    ContentKind.TUTORIAL: "content_status",
    ContentKind.RESOURCES: "resources_status",
    ContentKind.QUIZ: "quiz_status",
}


@dataclass(frozen=True, slots=True)
class Concept:
    concept_id: str
    name: str
    stage_name: str
    module_name: str
    path: tuple[int, int, int]  # positions of stage, module and concept
    fields: Mapping[str, object]

    def declared(self, kind: ContentKind) -> str | None:
        """The status in words, None when there is none. What is no text is given as JSON, as SQL gives it."""
        value = self.fields.get(STATUS_FIELDS[kind])
        if value is None or value == "":
            return None
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    @property
    def json_path(self) -> tuple[str, ...]:
        """The path that jsonb_set and #> take."""
        stage, module, concept = self.path
        return ("stages", str(stage), "modules", str(module), "concepts", str(concept))


@dataclass(frozen=True, slots=True)
class Framework:
    concepts: tuple[Concept, ...]
    faults: tuple[str, ...]  # "$.stages[1].modules: a list was expected, an object is there"

    def concept(self, concept_id: str) -> Concept | None:
        return next((concept for concept in self.concepts if concept.concept_id == concept_id), None)


def read_framework(data: object) -> Framework:
    """Every concept that can be read, in order, and every fault with its path."""
    faults: list[str] = []
    concepts: dict[str, Concept] = {}
    for concept in _concepts(data, faults):
        if concept.concept_id in concepts:
            stage, module, position = concept.path
            faults.append(f"$.stages[{stage}].modules[{module}].concepts[{position}].concept_id: "
                          f"{concept.concept_id!r} occurs twice")
        else:
            concepts[concept.concept_id] = concept
    return Framework(tuple(concepts.values()), tuple(faults))


def _concepts(data: object, faults: list[str]) -> Iterator[Concept]:
    for stage_at, stage in _members(data, "$", "stages", faults):
        for module_at, module in _members(stage, f"$.stages[{stage_at}]", "modules", faults):
            parent = f"$.stages[{stage_at}].modules[{module_at}]"
            for concept_at, concept in _members(module, parent, "concepts", faults):
                concept_id = concept.get("concept_id")
                if not isinstance(concept_id, str) or not concept_id:
                    faults.append(f"{parent}.concepts[{concept_at}].concept_id: a text was expected, "
                                  f"{_named(concept_id)} is there")
                    continue
                yield Concept(
                    concept_id, _text(concept.get("name")) or concept_id, _text(stage.get("name")),
                    _text(module.get("name")), (stage_at, module_at, concept_at), concept)


def _members(parent: object, path: str, name: str, faults: list[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    if not isinstance(parent, Mapping):
        faults.append(f"{path}: an object was expected, {_named(parent)} is there")
        return
    children = parent.get(name)
    if not isinstance(children, list):
        faults.append(f"{path}.{name}: a list was expected, {_named(children)} is there")
        return
    for position, child in enumerate(children):
        if isinstance(child, Mapping):
            yield position, child
        else:
            faults.append(f"{path}.{name}[{position}]: an object was expected, {_named(child)} is there")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _named(value: object) -> str:
    if value is None:
        return "nothing"
    if value == "":
        return "an empty text"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
