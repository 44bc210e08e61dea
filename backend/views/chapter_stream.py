"""What a watcher of a chapter that is being written sees, from wherever it left off."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from backend.redrive import Redrive


class EventKind(StrEnum):
    SUMMARY = "summary"    # {"title"}
    CONTENT = "content"    # {"text"}: what follows; the first one of a late watcher is all that is there
    RESTART = "restart"    # {}: forget the text, it begins anew
    COMPLETE = "complete"  # {"title", "options": [{"text", "impact"}], "characters"}; the last event
    ERROR = "error"        # {"message"}; the last event


@dataclass(frozen=True, slots=True)
class StreamEvent:
    event_id: str
    kind: EventKind
    data: dict[str, object]


async def chapter_stream(redrive: Redrive, chapter_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
    """Events after the given event id; ends with complete or error. `chapter_id` may be a draft_id.

    Leaving it (aclose, or the task cancelled) is harmless. Each watcher holds one Redis connection.
    """
    raise NotImplementedError
    yield
