"""Tells watchers of a chapter while it is written, and keeps what is there of it in PostgreSQL."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from backend.content.written import Chapter
from backend.jobs.chapter_feed import Feed
from backend.storage.recorded import in_one_line

TELL_SECONDS = 0.1     # between two entries of the stream
AWAY_SECONDS = 1.0     # until a Redis that did not answer is told everything anew
KEEP_SECONDS = 2.0     # between two copies in PostgreSQL,
KEEP_GROWTH = 1.1      # each so much longer than the one before: all of them together cost what one long text costs

Keep = Callable[[str, str], Awaitable[None]]  # title, text
log = structlog.get_logger()


class ChapterTelling:
    """Implements generators.protocol.Telling: what it is told is sent in the background, never faster than every 100 ms."""

    def __init__(self, feed: Feed, keep: Keep) -> None:
        self._feed = feed
        self._keep = keep
        self._title = ""
        self._pieces: list[str] = []
        self._length = 0
        self._sent_pieces, self._sent_length = 0, 0
        self._is_title_sent = False
        self._is_anew = True           # the stream is to be written from the beginning
        self._kept_length, self._kept_at = 0, time.monotonic()
        self._is_due = asyncio.Event()
        self._is_closed = False
        self._in_order = asyncio.Lock()
        self._sending = asyncio.create_task(self._send_on())

    def begin(self) -> None:
        self._title, self._pieces, self._length = "", [], 0
        self._kept_length, self._is_anew = 0, True
        self._is_due.set()

    def tell(self, title: str, text: str) -> None:
        self._title = title
        self._pieces.append(text)
        self._length += len(text)
        self._is_due.set()

    async def keep(self) -> None:
        """Keep what is there: the attempt ends without a text."""
        if self._length > self._kept_length:
            await self._keep_now()

    async def complete(self, chapter: Chapter) -> None:
        """It is saved. The last event."""
        rest = chapter.content[self._length:] if chapter.content.startswith("".join(self._pieces)) else None
        if rest is None:  # what was told is not what was saved
            self.begin()
            rest = chapter.content
        if rest:
            self.tell(chapter.title, rest)
        self._title = chapter.title
        options = [{"text": option.text, "impact": option.impact} for option in chapter.options]
        await self._end("complete", {"title": chapter.title, "options": options, "characters": len(chapter.content)})

    async def fail(self, message: str) -> None:
        await self._end("error", {"message": message})

    async def close(self) -> None:
        """Without a last event: another attempt follows, or one was told already."""
        if not self._is_closed:
            self._is_closed = True
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending
            await self._feed.close()

    async def _end(self, kind: str, data: dict[str, object]) -> None:
        self._sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sending
        if not await self._send((kind, data)):
            await self._send((kind, data))  # the stream had vanished: everything anew
        await self.close()

    async def _send_on(self) -> None:
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            is_told = await asyncio.shield(self._send())
            if not is_told:
                self._is_due.set()
            if time.monotonic() - self._kept_at >= KEEP_SECONDS and self._length >= KEEP_GROWTH * self._kept_length:
                await self._keep_now()
            await asyncio.sleep(TELL_SECONDS if is_told else AWAY_SECONDS)

    async def _send(self, *last: tuple[str, dict[str, object]]) -> bool:
        """What was not sent yet, and `last`. False: it has to be sent anew."""
        async with self._in_order:
            return await self._send_next(last)

    async def _send_next(self, last: tuple[tuple[str, dict[str, object]], ...]) -> bool:
        is_anew, title, length, count = self._is_anew, self._title, self._length, len(self._pieces)
        if is_anew:
            self._sent_pieces = self._sent_length = 0
            self._is_title_sent, self._is_anew = False, False
        entries: list[tuple[str, dict[str, object]]] = [("restart", {})] if is_anew else []
        if title and not self._is_title_sent:
            entries.append(("summary", {"title": title}))
        if count > self._sent_pieces:
            entries.append(("content", {"text": "".join(self._pieces[self._sent_pieces:count]), "offset": self._sent_length}))
        entries += last
        if not entries:
            return True
        self._is_title_sent = self._is_title_sent or bool(title)
        self._sent_pieces, self._sent_length = count, length
        is_told = await (self._feed.rewrite if is_anew else self._feed.append)(*entries)
        if not is_told:
            self._is_anew = True
        return is_told

    async def _keep_now(self) -> None:
        self._kept_length, self._kept_at = self._length, time.monotonic()
        try:
            await self._keep(self._title, "".join(self._pieces))
        except Exception as exc:  # boundary: a copy that is missed is no reason to stop writing
            log.warning("partial_text_not_kept", error=in_one_line(exc))
