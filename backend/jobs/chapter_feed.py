"""The Redis Stream of a chapter that is being written: chapter:{chapter_id}:stream. Writers append, watchers read by event id.

An entry is {kind, data (JSON)}. The text is in increments with their place in characters, so that a watcher knows when one is lost.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis
from redis import asyncio as async_redis
from redis.exceptions import RedisError

KEPT_SECONDS = 3600     # after the end; while it is written each entry starts it anew
BLOCK_MILLISECONDS = 1000
_FINAL = ("complete", "error")
_PAGE_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    entry_id: str
    kind: str
    data: dict[str, object]

    @property
    def is_final(self) -> bool:
        return self.kind in _FINAL


def key_of(chapter_id: str) -> str:
    return f"chapter:{chapter_id}:stream"


def forget(redis: Redis, chapter_id: str) -> None:
    """Leftovers of an earlier try. That there are none, or no Redis, is fine."""
    try:
        redis.delete(key_of(chapter_id))
    except RedisError:
        return


def told(redis: Redis, chapter_id: str) -> tuple[str, str]:
    """(title, text) of the last try as far as its writer told them: at most 100 ms behind it. ("", ""): nothing, or no Redis."""
    title, text = "", ""
    try:
        rows = redis.xrange(key_of(chapter_id))
    except RedisError:
        return title, text
    for entry in map(_entry, rows):
        if entry.kind == "restart":
            title, text = "", ""
        elif entry.kind == "summary":
            title = str(entry.data["title"])
        elif entry.kind == "content":
            text += str(entry.data["text"])
    return title, text


class Feed:
    """The writer's end. Redis that is away never stops the writing: `append` then says False."""

    def __init__(self, redis_url: str, chapter_id: str) -> None:
        self._redis = async_redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)
        self._key = key_of(chapter_id)
        self._is_begun = False

    async def append(self, *entries: tuple[str, dict[str, object]]) -> bool:
        """False: the stream vanished, or Redis is away; whoever watches it has lost what was in it. Then `rewrite`."""
        return await self._write(entries, is_anew=False)

    async def rewrite(self, *entries: tuple[str, dict[str, object]]) -> bool:
        """Everything from the beginning. False: Redis is away."""
        return await self._write(entries, is_anew=True)

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _write(self, entries: Sequence[tuple[str, dict[str, object]]], *, is_anew: bool) -> bool:
        continues = self._is_begun and not is_anew  # a stream that vanished is not continued: its beginning is lost
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                if is_anew:
                    pipe.delete(self._key)
                for kind, data in entries:
                    pipe.xadd(self._key, {"kind": kind, "data": json.dumps(data, ensure_ascii=False)}, nomkstream=continues)
                pipe.expire(self._key, KEPT_SECONDS)
                told = await pipe.execute()
        except (RedisError, OSError):
            return False
        self._is_begun = True
        return told[-2] is not None


class Watcher:
    """The reader's end; holds one connection until `close`."""

    def __init__(self, redis_url: str, chapter_id: str) -> None:
        # Five seconds to connect too: in a process that is busy for two, a Redis that is there would look away and the text lost.
        self._redis = async_redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5, single_connection_client=True)
        self._key = key_of(chapter_id)

    async def backlog(self) -> list[Entry]:
        """Everything that is there."""
        found: list[Entry] = []
        start = "-"
        while True:
            page = await self._redis.xrange(self._key, min=start, count=_PAGE_ENTRIES)
            found += map(_entry, page)
            if len(page) < _PAGE_ENTRIES:
                return found
            start = f"({found[-1].entry_id}"

    async def follow(self, after: str) -> AsyncIterator[list[Entry]]:
        """What comes after that entry; an empty list when nothing came for a second."""
        while True:
            told = await self._redis.xread({self._key: after}, block=BLOCK_MILLISECONDS, count=_PAGE_ENTRIES)
            entries = [_entry(entry) for _key, page in _pages(told) for entry in page]
            if entries:
                after = entries[-1].entry_id
            yield entries

    async def exists(self) -> bool:
        return bool(await self._redis.exists(self._key))

    async def close(self) -> None:
        await self._redis.aclose()


def _pages(told) -> list[tuple[object, list]]:
    """RESP3 answers with a map whose values are lists of pages, RESP2 with pairs."""
    if isinstance(told, dict):
        return [(key, page) for key, pages in told.items() for page in (pages if pages and isinstance(pages[0], list) and (
            not pages[0] or isinstance(pages[0][0], (list, tuple))) else [pages])]
    return list(told or ())


def _entry(row) -> Entry:
    entry_id, fields = row
    return Entry(entry_id.decode(), fields[b"kind"].decode(), json.loads(fields[b"data"]))
