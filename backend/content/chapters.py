"""Words of chapters: routes of a generation, states of drafts, what a draft holds. Pure."""

import hashlib
from dataclasses import dataclass
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


def version_of(title: str, content: str) -> str:
    """Names a text: whoever changes it must say which one was seen."""
    return hashlib.sha256(f"{title}\0{content}".encode("utf-8", "replace")).hexdigest()[:16]
