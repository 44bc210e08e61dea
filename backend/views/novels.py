"""Novels with their chapters as a strip of states."""

from dataclasses import dataclass
from datetime import datetime

from backend.content.chapters import StripState
from backend.redrive import Redrive


@dataclass(frozen=True, slots=True)
class StripCell:
    chapter_number: int
    state: StripState
    chapter_id: str  # "": no row
    title: str = ""


@dataclass(frozen=True, slots=True)
class NovelRow:
    novel_id: str
    title: str
    language: str
    created_at: datetime
    problem_count: int
    strip: tuple[StripCell, ...]  # by number


@dataclass(frozen=True, slots=True)
class NovelPage:
    as_of: datetime
    rows: tuple[NovelRow, ...]
    total: int


def novel_page(
    redrive: Redrive, *, search: str = "", state: StripState | None = None, language: str = "", page: int = 1, page_size: int = 25,
) -> NovelPage:
    """Novels, those with most problems first. `search` in titles and texts; `state`: with at least one such chapter."""
    raise NotImplementedError


def novel_row(redrive: Redrive, novel_id: str) -> NovelRow | None:
    raise NotImplementedError


def languages(redrive: Redrive) -> tuple[str, ...]:
    """Languages of novels, for the filter."""
    raise NotImplementedError
