"""A platform for faults, in English and Chinese, that lacks content of every kind; each concept, roadmap and novel has its own name."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, Owner
from tests.factories import add_novel, add_roadmap, concept
from tests.model_wire import Request

_NAMES = (("Backpressure", "背压"), ("Vector search", "向量检索"), ("Cache invalidation", "缓存失效"), ("Consensus", "共识"))


@dataclass(frozen=True)
class Platform:
    """What was made: the key that is meant by a kind of request and the name that its prompt tells."""

    named: Mapping[tuple[ContentKind, str], ContentKey]

    @property
    def keys(self) -> frozenset[ContentKey]:
        return frozenset(self.named.values())

    @property
    def owners(self) -> frozenset[Owner]:
        return frozenset(Owner(key.kind.owner_kind, key.owner_id) for key in self.keys)

    def key_of(self, request: Request) -> ContentKey:
        """The key that a request of the model asked for. A schema is named after the class of the content; a picture has none."""
        return self.named[ContentKind(request.schema_name or ContentKind.COVER), request.subject]


def make_platform(engine: Engine, *, roadmaps: int = 6, concepts: int = 20, with_covers: bool = False, novels: int = 0) -> Platform:
    """Every second roadmap is Chinese; every third concept is declared failed, the others not yet written.

    `with_covers`: each roadmap lacks its cover too. Of each novel the second chapter has failed.
    """
    named: dict[tuple[ContentKind, str], ContentKey] = {}
    for number in range(roadmaps):
        is_chinese, made, roadmap_id = number % 2 == 1, [], f"roadmap-{number}"
        title = f"路线 {number}" if is_chinese else f"Roadmap {number}"
        for place in range(concepts):
            part = f"c-{number}-{place:02}"
            name = f"{_NAMES[place % len(_NAMES)][is_chinese]} {number}-{place:02}"
            made.append(concept(part, status="failed" if place % 3 == 2 else None, name=name))
            named |= {(kind, name): ContentKey(kind, roadmap_id, part) for kind in CONCEPT_KINDS}
        add_roadmap(engine, roadmap_id, concepts=made, saved=(), title=title, has_cover=not with_covers)
        if with_covers:
            named[ContentKind.COVER, title] = ContentKey(ContentKind.COVER, roadmap_id)
    for number in range(novels):
        is_chinese, novel_id = number % 2 == 1, f"novel-{number}"
        title = f"小说 {number}" if is_chinese else f"Novel {number}"
        failed = {"status": "failed", "content": None, "error_message": "Request timed out.", "has_options": False}
        add_novel(engine, novel_id, chapters=[{}, failed], title=title, language="zh" if is_chinese else "en")
        named[ContentKind.CHAPTER, title] = ContentKey(ContentKind.CHAPTER, novel_id, "2")
    return Platform(named)
