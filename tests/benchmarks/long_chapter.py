"""(n) A chapter of 200,000 characters: what a KB costs at its end, compared with what it costs at its start."""

import asyncio
import json
import time
from collections.abc import Iterator

from backend.bootstrap import connect
from backend.jobs.chapter_feed import Feed
from backend.redrive import Redrive
from tests.benchmarks.stand import Stand
from tests.benchmarks.table import Figure, median
from workers.chapter_telling import ChapterTelling
from workers.generators.partial import PartialChapter

CHARACTERS = 200_000
CHUNK_CHARACTERS = 20
CHUNKS_AT_ONCE = 50  # 1 KB, then the stream gets its turn
TEXT = 'She said: "Go on." 她说：“继续。”\n\n'


def run() -> Iterator[Figure]:
    with Stand() as stand:
        redrive = connect(stand.settings(stand.database("long")))
        try:
            costs = asyncio.run(_measure(redrive))
        finally:
            redrive.close()
        tenth = len(costs) // 10
        start, end = median(costs[tenth:2 * tenth]), median(costs[-tenth:])
        yield Figure(f"(n) {CHARACTERS:,} characters, CPU of the worker for 1 KB at the start", 1000 * start, "ms")
        yield Figure(f"(n) {CHARACTERS:,} characters, 1 KB at the end / 1 KB at the start", end / start, "", 1.5)


async def _measure(redrive: Redrive) -> list[float]:
    """CPU seconds for each KB, the share of telling Redis of it included."""
    document = json.dumps({"title": "T", "content": (TEXT * (CHARACTERS // len(TEXT) + 1))[:CHARACTERS], "options": []})
    telling = ChapterTelling(Feed(redrive.settings.redis_url.get_secret_value(), "bench-long"), _keep)
    partial = PartialChapter()
    telling.begin()
    costs: list[float] = []
    step = CHUNK_CHARACTERS * CHUNKS_AT_ONCE
    for start in range(0, len(document), step):
        before = time.process_time()
        for at in range(start, min(start + step, len(document)), CHUNK_CHARACTERS):
            partial.feed(document[at:at + CHUNK_CHARACTERS])
            text = partial.take()
            if text:
                telling.tell(partial.title, text)
        await asyncio.sleep(0.02)
        costs.append(time.process_time() - before)
    await telling.close()
    return costs


async def _keep(_title: str, _content: str) -> None:
    """Copies grow by a tenth each: what they cost together is a few whole texts."""
