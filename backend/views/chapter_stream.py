"""What a watcher of a chapter that is being written sees, from wherever it left off."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum

from redis.exceptions import RedisError

from backend.content.chapters import DraftState
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ChapterStatus
from backend.i18n import _
from backend.jobs.chapter_feed import Entry, Watcher
from backend.redrive import Redrive
from backend.storage import chapters, drafts, items
from backend.views.availability import DATABASE_ERRORS

SAVED_ID = "saved"           # event id of what was read from PostgreSQL: nothing follows it
_MENDING_ROUNDS = 3          # a writer that finds its stream gone writes all of it anew, within as many seconds
_SILENT_ROUNDS = 10          # seconds after which a stream may have lost its writer: PostgreSQL is asked whether it is written still
_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}\Z")


class EventKind(StrEnum):
    SUMMARY = "summary"    # {"title"}
    CONTENT = "content"    # {"text", "offset"}: what follows; the first one of a late watcher is all that is there
    RESTART = "restart"    # {}: forget the text, it begins anew
    COMPLETE = "complete"  # {"title", "options": [{"text", "impact"}], "characters"}; the last event
    ERROR = "error"        # {"message"}; the last event


@dataclass(frozen=True, slots=True)
class StreamEvent:
    event_id: str
    kind: EventKind
    data: dict[str, object]

    @property
    def is_final(self) -> bool:
        return self.kind in (EventKind.COMPLETE, EventKind.ERROR)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What PostgreSQL says of it."""

    is_completed: bool
    is_generating: bool     # by what its row says
    is_being_written: bool  # by an item of ours too
    title: str
    content: str
    options: list[dict[str, str]]
    error_message: str


async def chapter_stream(redrive: Redrive, chapter_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
    """Events after the given event id; ends with complete or error. `chapter_id` may be a draft_id.

    Leaving it (aclose, or the task cancelled) is harmless. Each watcher holds one Redis connection.
    """
    if after == SAVED_ID:
        return
    after = after if after and _ENTRY_ID.match(after) else None
    url = redrive.settings.redis_url
    watcher = Watcher(url.get_secret_value() if url else "", chapter_id)
    try:
        async with aclosing(_watch(redrive, watcher, chapter_id, after)) as events:
            async for event in events:
                yield event
    except (RedisError, OSError):
        for event in await _from_postgres(redrive, chapter_id, _gone()):
            yield event
    finally:
        await watcher.close()


async def _watch(redrive: Redrive, watcher: Watcher, chapter_id: str, after: str | None) -> AsyncIterator[StreamEvent]:
    entries = await watcher.backlog()
    shown = _after(entries, after)
    for event in shown:
        yield event
    if entries and entries[-1].is_final:
        return
    last = entries[-1].entry_id if entries else after or "0-0"
    gone_rounds = silent_rounds = 0
    async with aclosing(watcher.follow(last)) as rounds:
        async for found in rounds:
            for entry in found:
                yield _event(entry)
                if entry.is_final:
                    return
            if found:
                gone_rounds = silent_rounds = 0
                continue
            silent_rounds += 1
            if await watcher.exists():
                gone_rounds = 0
                ended = [] if silent_rounds % _SILENT_ROUNDS else await _left_behind(redrive, chapter_id)
            else:
                gone_rounds += 1
                ended = await _ended(redrive, chapter_id, is_begun=bool(entries) or after is not None, gone_rounds=gone_rounds)
            for event in ended:
                yield event
            if ended:
                return


async def _ended(redrive: Redrive, chapter_id: str, *, is_begun: bool, gone_rounds: int) -> list[StreamEvent]:
    """There is no stream: what PostgreSQL has instead. Empty: it is still to begin, or its writer is about to write it anew."""
    saved = await asyncio.to_thread(_saved, redrive, chapter_id)
    if saved is not None and saved.is_being_written and (not is_begun or gone_rounds < _MENDING_ROUNDS):
        return []
    return _saved_events(saved, _gone())


async def _left_behind(redrive: Redrive, chapter_id: str) -> list[StreamEvent]:
    """The stream is silent: what PostgreSQL has instead, if its text was saved, or failed, and its writer left without a last event."""
    with suppress(*DATABASE_ERRORS):  # an outage ends no stream that is there
        saved = await asyncio.to_thread(_saved, redrive, chapter_id)
        if saved is None or not saved.is_generating:
            return _saved_events(saved, _gone())
    return []


async def _from_postgres(redrive: Redrive, chapter_id: str, message: str) -> list[StreamEvent]:
    return _saved_events(await asyncio.to_thread(_saved, redrive, chapter_id), message)


def _saved_events(saved: _Saved | None, message: str) -> list[StreamEvent]:
    if saved is None or not saved.is_completed:
        return [StreamEvent(SAVED_ID, EventKind.ERROR, {"message": (saved and saved.error_message) or message})]
    return [
        StreamEvent(SAVED_ID, EventKind.RESTART, {}),
        StreamEvent(SAVED_ID, EventKind.SUMMARY, {"title": saved.title}),
        StreamEvent(SAVED_ID, EventKind.CONTENT, {"text": saved.content, "offset": 0}),
        StreamEvent(SAVED_ID, EventKind.COMPLETE, {"title": saved.title, "options": saved.options, "characters": len(saved.content)}),
    ]


def _gone() -> str:
    return _("The live text was lost. What is saved can be read on the chapter's page.")


def _saved(redrive: Redrive, chapter_id: str) -> _Saved | None:
    with redrive.engine.connect() as connection:
        row = chapters.chapter_by_id(connection, chapter_id)
        if row is not None:
            key = ContentKey(ContentKind.CHAPTER, row.novel_id, str(row.chapter_number))
            is_generating = row.status == ChapterStatus.GENERATING
            is_live = is_generating and bool(items.keys_in_work(connection, [key]))
            options = [asdict(option) for option in chapters.options_of(connection, chapter_id)]
            return _Saved(row.status == ChapterStatus.COMPLETED, is_generating, is_live, row.title, row.content, options, row.error_message)
        draft = drafts.find(connection, chapter_id)
    if draft is None:
        return None
    is_generating = draft.state is DraftState.GENERATING
    return _Saved(not is_generating and draft.state is not DraftState.FAILED, is_generating, is_generating, draft.title, draft.content,
                  [asdict(option) for option in draft.options], draft.error_message)


def _after(entries: Sequence[Entry], after: str | None) -> list[StreamEvent]:
    """A late watcher gets the text of the last try in one piece; one that comes back gets what it has not seen."""
    if after is not None:
        seen = _number(after)
        left = [entry for entry in entries if _number(entry.entry_id) > seen]
        if not entries or _number(entries[0].entry_id) <= seen:
            return [_event(entry) for entry in left]
    restarts = [at for at, entry in enumerate(entries) if entry.kind == EventKind.RESTART]
    told = entries[restarts[-1] + 1 if restarts else 0:]
    events = [_event(entry) for entry in told if entry.kind == EventKind.SUMMARY]
    texts = [entry for entry in told if entry.kind == EventKind.CONTENT]
    if texts:
        whole = "".join(str(entry.data["text"]) for entry in texts)
        events.append(StreamEvent(texts[-1].entry_id, EventKind.CONTENT, {"text": whole, "offset": 0}))
    events += [_event(entry) for entry in told if entry.is_final]
    if after is not None:  # the stream it came from is not this one
        first = entries[restarts[-1] if restarts else 0]
        events.insert(0, StreamEvent(first.entry_id, EventKind.RESTART, {}))
    return events


def _number(entry_id: str) -> tuple[int, int]:
    milliseconds, _dash, place = entry_id.partition("-")
    return int(milliseconds), int(place)


def _event(entry: Entry) -> StreamEvent:
    return StreamEvent(entry.entry_id, EventKind(entry.kind), entry.data)
