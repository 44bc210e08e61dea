"""A platform for faults: roadmaps in English and Chinese whose concepts all lack content, each concept with a name of its own."""

from dataclasses import dataclass

from sqlalchemy import Engine

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from tests.factories import add_roadmap, concept

_NAMES = (("Backpressure", "背压"), ("Vector search", "向量检索"), ("Cache invalidation", "缓存失效"), ("Consensus", "共识"))


@dataclass(frozen=True)
class Platform:
    """What was made: the owner of each concept and the key that a request of the model means."""

    owner_of: dict[str, str]    # concept_id -> roadmap_id
    concept_of: dict[str, str]  # concept's name, as prompts tell it -> concept_id

    @property
    def keys(self) -> frozenset[ContentKey]:
        return frozenset(ContentKey(kind, owner_id, part) for part, owner_id in self.owner_of.items() for kind in CONCEPT_KINDS)

    def key_of(self, schema_name: str, concept_name: str) -> ContentKey:
        """The key that a request asked for. The schema is named after the class of the content."""
        part = self.concept_of[concept_name]
        return ContentKey(ContentKind(schema_name), self.owner_of[part], part)


def make_platform(engine: Engine, *, roadmaps: int = 6, concepts: int = 20) -> Platform:
    """Every second roadmap is Chinese; every third concept is declared failed, the others not yet written."""
    owner_of, concept_of = {}, {}
    for number in range(roadmaps):
        is_chinese, made = number % 2 == 1, []
        for place in range(concepts):
            part = f"c-{number}-{place:02}"
            name = f"{_NAMES[place % len(_NAMES)][is_chinese]} {number}-{place:02}"
            made.append(concept(part, status="failed" if place % 3 == 2 else None, name=name))
            owner_of[part], concept_of[name] = f"roadmap-{number}", part
        add_roadmap(engine, f"roadmap-{number}", concepts=made, saved=(),
                    title=f"路线 {number}" if is_chinese else f"Roadmap {number}")
    return Platform(owner_of, concept_of)
