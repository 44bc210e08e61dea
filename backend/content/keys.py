"""What should exist, by name: a content key is (kind, owner_id, part)."""

from dataclasses import dataclass
from enum import StrEnum


class OwnerKind(StrEnum):
    ROADMAP = "roadmap"
    NOVEL = "novel"


class ContentKind(StrEnum):
    TUTORIAL = "tutorial"
    RESOURCES = "resources"
    QUIZ = "quiz"
    COVER = "cover"
    CHAPTER = "chapter"
    FRAMEWORK = "framework"  # framework_data itself: it should be there and be readable

    @property
    def owner_kind(self) -> OwnerKind:
        return OwnerKind.NOVEL if self is ContentKind.CHAPTER else OwnerKind.ROADMAP


CONCEPT_KINDS = (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ)


@dataclass(frozen=True, slots=True, order=True)
class ContentKey:
    kind: ContentKind
    owner_id: str
    part: str = ""  # concept_id, chapter number, or "" for a cover, a framework, and a novel as a whole

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner_id}:{self.part}"

    @property
    def chapter_number(self) -> int:
        """Of a chapter; 0 is none: the novel as a whole, that cannot be read."""
        return int(self.part or 0)

    @classmethod
    def parse(cls, text: str) -> "ContentKey":
        """The key that str() wrote. An owner_id may not hold a colon; a part may.

        Raises ValueError when the text is no content key.
        """
        kind, _, rest = text.partition(":")
        owner_id, separator, part = rest.partition(":")
        if not separator or not owner_id:
            raise ValueError(f"{text!r} is not a content key; write kind:owner_id:part")
        return cls(ContentKind(kind), owner_id, part)


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    kind: OwnerKind
    owner_id: str
