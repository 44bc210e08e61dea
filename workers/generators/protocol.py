"""What every generator can do. Importing this loads no client library; `choose.py` does."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from backend.content.keys import ContentKind
from backend.content.written import Chapter, ChapterBrief, ConceptBrief, Cover, Quiz, Resources, Spent, Tutorial, Written

WrittenConcept = Written[Tutorial] | Written[Resources] | Written[Quiz]
WrittenContent = WrittenConcept | Written[Chapter] | Written[Cover]


class Telling(Protocol):
    """Who is told of a chapter while it is written. Never waits, never raises."""

    def begin(self) -> None:
        """The text begins, or begins anew: what was told before is void."""

    def tell(self, title: str, text: str) -> None:
        """The title, and what is new of the text."""


class Generator(Protocol):
    """Writes one text for one concept, or raises ItemError. Each lives in one event loop, until `close`.

    What it costs is added to `spent` as it arises.
    """

    name: str
    is_sample: bool

    async def write_tutorial(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Tutorial]: ...
    async def write_resources(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Resources]: ...
    async def write_quiz(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Quiz]: ...
    async def write_chapter(self, brief: ChapterBrief, spent: Spent | None = None, telling: Telling | None = None) -> Written[Chapter]: ...
    async def close(self) -> None: ...


# Exactly keys.CONCEPT_KINDS; a test holds the two together.
WRITERS: Mapping[ContentKind, Callable[[Generator, ConceptBrief, Spent], Awaitable[WrittenConcept]]] = MappingProxyType({
    ContentKind.TUTORIAL: lambda generator, brief, spent: generator.write_tutorial(brief, spent),
    ContentKind.RESOURCES: lambda generator, brief, spent: generator.write_resources(brief, spent),
    ContentKind.QUIZ: lambda generator, brief, spent: generator.write_quiz(brief, spent),
})


async def write(
    generator: Generator, kind: ContentKind, *, brief: ConceptBrief | ChapterBrief, spent: Spent | None = None,
    telling: Telling | None = None,
) -> WrittenContent:
    """The content of that kind for the concept or the novel. What it costs is added to `spent`, also when it fails or is broken off.

    Raises ItemError, and ValueError for a kind that a concept does not have.
    """
    if isinstance(brief, ChapterBrief):
        return await generator.write_chapter(brief, spent or Spent(), telling)
    if kind not in WRITERS:
        raise ValueError(f"a concept has no {kind}; it has {', '.join(WRITERS)}")
    return await WRITERS[kind](generator, brief, spent or Spent())
