"""Chapters: generate, regenerate as a draft, accept, reject, roll back."""

from dataclasses import dataclass

from backend.actions.actors import Actor
from backend.content.chapters import Route
from backend.redrive import Redrive


class ChapterRefused(Exception):
    """It cannot be done as things stand; str() says why and what to do first."""


class ChoiceMissing(ChapterRefused):
    """The chapter before has no reader's choice; str() names it."""


class TextMovedOn(ChapterRefused):
    """Somebody else changed the text in the meantime; str() says when."""


@dataclass(frozen=True, slots=True)
class Generation:
    route: Route
    chapter_id: str       # of the row to watch
    chapter_number: int
    operation_id: str = ""  # "": nothing was begun

    @property
    def is_refused(self) -> bool:
        return self.route is Route.COMPLETED


@dataclass(frozen=True, slots=True)
class Regeneration:
    draft_id: str  # watch it with views.chapter_stream
    operation_id: str


@dataclass(frozen=True, slots=True)
class Published:
    chapter_id: str
    version: str
    options_kept: bool     # readers have chosen one of them already
    later_chapters: tuple[int, ...]  # completed ones, now written for an older text


def generate(redrive: Redrive, actor: Actor, novel_id: str, chapter_number: int = 0) -> Generation:
    """Begin or join the writing of a chapter; 0 is the latest. Raises NotAllowed, ChapterRefused, ChoiceMissing.

    A completed chapter is answered with Route.COMPLETED and nothing is begun.
    """
    raise NotImplementedError


def regenerate(
    redrive: Redrive, actor: Actor, chapter_id: str, *, note: str = "", model: str | None = None, temperature: float | None = None,
) -> Regeneration:
    """Write a completed chapter anew, as a draft beside the published text. Raises NotAllowed, ChapterRefused."""
    raise NotImplementedError


def accept(redrive: Redrive, actor: Actor, draft_id: str, *, expected_version: str) -> Published:
    """Publish a draft in one transaction. `expected_version`: views.chapters.ChapterView.version that the editor saw.

    Raises NotAllowed, ChapterRefused, TextMovedOn.
    """
    raise NotImplementedError


def reject(redrive: Redrive, actor: Actor, draft_id: str, *, reason: str) -> None:
    """Raises NotAllowed, ReasonNeeded, ChapterRefused when it is decided already."""
    raise NotImplementedError


def roll_back(redrive: Redrive, actor: Actor, chapter_id: str, draft_id: str, *, expected_version: str) -> Published:
    """Publish an earlier version again; `draft_id` is that of a version. Raises as accept."""
    raise NotImplementedError
