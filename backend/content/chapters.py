"""Words of chapters: routes of a generation, states of drafts, what a draft holds. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Route(StrEnum):
    """What `generate` met, and so did."""

    NONE = "none"              # there was no chapter: its first generation has begun
    GENERATING = "generating"  # it is being written: watch it
    FAILED = "failed"          # the failed try was archived, a new one has begun
    COMPLETED = "completed"    # refused: regenerate it instead


class DraftKind(StrEnum):
    FAILED_TRY = "failed_try"  # partial text of a try that failed or was cancelled
    DRAFT = "draft"            # an editor's regeneration, beside the published text
    VERSION = "version"        # a text that was published before


class DraftState(StrEnum):
    GENERATING = "generating"  # written by regenerate
    READY = "ready"            # generating -> ready, by a worker
    FAILED = "failed"          # generating -> failed; written with a failed try
    ACCEPTED = "accepted"      # ready -> accepted: published
    REJECTED = "rejected"      # ready | failed -> rejected, with a reason
    ARCHIVED = "archived"      # written with a version


class StripState(StrEnum):
    """A chapter in the strip of its novel."""

    COMPLETED = "completed"
    GENERATING = "generating"
    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class ChapterOption:
    text: str
    impact: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft, an earlier version, or what was there of a failed try."""

    draft_id: str
    novel_id: str
    chapter_id: str         # of the row it was written for, or taken from
    chapter_number: int
    kind: DraftKind
    state: DraftState
    title: str
    content: str
    options: tuple[ChapterOption, ...]
    error_message: str
    note: str               # to the writer
    model: str
    temperature: float | None
    actor_id: str
    reason: str             # of a rejection
    base_version: str       # of the text that was published then
    item_id: int | None     # that writes it
    created_at: datetime
    settled_at: datetime | None

    def is_outdated(self, version: str) -> bool:
        """Written against a text that is not published any more; `version` is that of the one that is."""
        return self.kind is DraftKind.DRAFT and self.base_version != version


def version_of(title: str, content: str) -> str:
    """Names a text: whoever changes it must say which one was seen."""
    return hashlib.sha256(f"{title}\0{content}".encode("utf-8", "replace")).hexdigest()[:16]
