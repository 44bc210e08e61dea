"""(m) A chapter at 50 tokens/s: from the model's chunk to what a watcher is told, with 1 watcher and with 50."""

import asyncio
import time
from collections.abc import Iterator

from backend.bootstrap import connect
from backend.content.written import Chapter, Choosable
from backend.jobs.chapter_feed import Feed
from backend.redrive import Redrive
from backend.views.chapter_stream import EventKind, chapter_stream
from tests.benchmarks.stand import Stand
from tests.benchmarks.table import Figure, percentile
from workers.chapter_telling import ChapterTelling

CHUNKS, CHUNK, CHUNK_SECONDS = 500, "four ", 0.02
TARGET_MILLISECONDS = {1: 400, 50: 1000}


def run() -> Iterator[Figure]:
    with Stand() as stand:
        redrive = connect(stand.settings(stand.database("watchers")))
        try:
            for count, target in TARGET_MILLISECONDS.items():
                delays, seconds = asyncio.run(_measure(redrive, f"bench-{count}", count))
                yield Figure(f"(m) delay from the model's chunk to {count} watchers, p95", 1000 * percentile(delays, 0.95), "ms", target)
                yield Figure(f"(m) {CHUNKS} chunks with {count} watchers (ideal {CHUNKS * CHUNK_SECONDS:.0f} s)", seconds, "s")
        finally:
            redrive.close()


async def _measure(redrive: Redrive, chapter_id: str, count: int) -> tuple[list[float], float]:
    told_at: list[float] = []
    delays: list[float] = []

    async def watch() -> None:
        seen = 0
        async for event in chapter_stream(redrive, chapter_id):
            if event.kind is EventKind.CONTENT:
                now, until = time.monotonic(), (int(event.data["offset"]) + len(str(event.data["text"]))) // len(CHUNK)
                delays.extend(now - told_at[at] for at in range(seen, until))
                seen = until

    telling = ChapterTelling(Feed(redrive.settings.redis_url.get_secret_value(), chapter_id), _keep)
    telling.begin()
    await asyncio.sleep(0.3)
    watching = [asyncio.create_task(watch()) for _watcher in range(count)]
    await asyncio.sleep(1)
    started = time.monotonic()
    for _chunk in range(CHUNKS):
        told_at.append(time.monotonic())
        telling.tell("T", CHUNK)
        await asyncio.sleep(CHUNK_SECONDS)
    seconds = time.monotonic() - started
    await telling.complete(Chapter(title="T", content=CHUNK * CHUNKS, options=[Choosable(text="Go", impact="")]))
    await asyncio.gather(*watching)
    return delays, seconds


async def _keep(_title: str, _content: str) -> None:
    """Not measured here."""
