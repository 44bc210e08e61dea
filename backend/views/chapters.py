"""One chapter: what readers see, how it came about, its drafts and versions; and the comparison of two texts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.content.chapters import ChapterOption, DraftKind, DraftState, StripState
from backend.content.status import ItemState
from backend.redrive import Redrive


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft, an earlier version, or what was there of a failed try."""

    draft_id: str
    kind: DraftKind
    state: DraftState
    title: str
    content: str
    options: tuple[ChapterOption, ...]
    error_message: str
    note: str
    model: str
    temperature: float | None
    actor_id: str
    reason: str  # of a rejection
    created_at: datetime
    settled_at: datetime | None
    is_outdated: bool = False  # written against a text that is not published any more


@dataclass(frozen=True, slots=True)
class TryRow:
    item_id: int
    operation_id: str
    state: ItemState
    attempt: int
    error_message: str
    generator: str
    started_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Choice:
    """That of the readers which led here."""

    chapter_number: int
    text: str
    impact: str


@dataclass(frozen=True, slots=True)
class ChapterView:
    as_of: datetime
    novel_id: str
    novel_title: str
    language: str
    chapter_id: str       # "": no row
    chapter_number: int
    state: StripState
    reason: str           # in words, "" when nothing is wrong
    title: str
    content: str          # of a failed one: what was there of it
    version: str
    options: tuple[ChapterOption, ...]
    chosen: tuple[int, ...]       # positions of options that readers chose, from 0
    choice: Choice | None
    is_choice_missing: bool       # chapter n > 1 without a choice in n - 1
    error_message: str
    operation_id: str             # that works on it now, "" if none
    item_id: int | None           # to cancel it
    tries: tuple[TryRow, ...]     # newest first
    failed_tries: tuple[Draft, ...]
    drafts: tuple[Draft, ...]     # newest first
    versions: tuple[Draft, ...]   # newest first
    older_text: tuple[int, ...]   # chapters before it whose text was changed after this one was written
    last_chapter_number: int
    created_at: datetime | None = None
    completed_at: datetime | None = None


class PieceKind(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Piece:
    kind: PieceKind
    text: str


@dataclass(frozen=True, slots=True)
class Statistics:
    characters: int
    words: int
    added: int    # words
    removed: int
    similarity_ratio: float  # 0.0 to 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    published_title: str
    published: str
    draft: Draft
    title_pieces: tuple[Piece, ...]
    pieces: tuple[Piece, ...]  # inline: removed and added words in the order of reading
    published_options: tuple[ChapterOption, ...]
    option_pieces: tuple[tuple[Piece, ...], ...]
    published_statistics: Statistics
    draft_statistics: Statistics
    version: str               # of the published text, for accept
    chosen: tuple[int, ...]    # published options that readers chose: they stay


def chapter(redrive: Redrive, novel_id: str, chapter_number: int) -> ChapterView | None:
    """None: no such novel, or neither a chapter nor anything that should become one."""
    raise NotImplementedError


def chapter_number_of(redrive: Redrive, chapter_id: str) -> tuple[str, int] | None:
    """(novel_id, chapter_number) of a row."""
    raise NotImplementedError


def compare(redrive: Redrive, draft_id: str) -> Comparison | None:
    """A draft or version against what is published now. None: no such draft or chapter."""
    raise NotImplementedError
