"""(m) A chapter at 50 tokens/s: from the model's chunk to the watcher's screen, with 1 watcher and with 50.

One watcher is a browser on the page of the chapter, served by the web process; the others follow the same event stream over HTTP.
"""

import asyncio
import time
from collections.abc import Iterator

import httpx2
from playwright.async_api import Page, async_playwright

from backend.bootstrap import connect
from backend.content.written import Chapter, Choosable
from backend.host.commands import web_command
from backend.host.web_address import is_healthy
from backend.jobs.chapter_feed import Feed
from backend.redrive import Redrive
from backend.settings import Settings
from tests.benchmarks.stand import Stand, process, wait_until
from tests.benchmarks.table import Figure, percentile
from tests.factories import add_item, add_novel
from tests.journeys.browser import FLAGS, executable
from tests.ports import free_port
from workers.chapter_telling import ChapterTelling

CHUNKS, CHUNK, CHUNK_SECONDS = 500, "four ", 0.02
TARGET_MILLISECONDS = {1: 400, 50: 1000}
# When so many letters stood on the screen, in seconds since 1970: [seconds, letters] for every change.
OBSERVE = """() => {
  const find = (root) => root.querySelector('.live .body')
    ?? [...root.querySelectorAll('*')].filter((one) => one.shadowRoot).map((one) => find(one.shadowRoot)).find(Boolean);
  const body = find(document);
  window.seen = [];
  new MutationObserver(() => window.seen.push([Date.now() / 1000, body.textContent.length]))
    .observe(body, { childList: true, subtree: true, characterData: true });
}"""


def run() -> Iterator[Figure]:
    with Stand() as stand:
        settings = stand.settings(stand.database("watchers"), port=free_port(), log_level="error")
        redrive = connect(settings)
        try:
            _, *arguments = web_command(settings)
            with process(settings, *arguments, log_path=stand.folder / "web.log"):
                wait_until(lambda: is_healthy(settings.host, settings.port), timeout_seconds=60, every_seconds=0.1)
                for count, target in TARGET_MILLISECONDS.items():
                    delays, seconds = asyncio.run(_measure(redrive, settings, count))
                    yield Figure(f"(m) delay from the model's chunk to the screen, {count} watching, p95",
                                 1000 * percentile(delays, 0.95), "ms", target)
                    yield Figure(f"(m) {CHUNKS} chunks with {count} watchers (ideal {CHUNKS * CHUNK_SECONDS:.0f} s)", seconds, "s")
        finally:
            redrive.close()


async def _measure(redrive: Redrive, settings: Settings, count: int) -> tuple[list[float], float]:
    """(seconds from each chunk to the screen, seconds of the whole writing)."""
    novel_id, address = f"bench-{count}", f"http://{settings.host}:{settings.port}"
    add_novel(redrive.engine, novel_id, chapters=[{"status": "generating", "content": "", "has_options": False}])
    add_item(redrive.engine, part="1", kind="chapter", owner_id=novel_id, operation_id=novel_id, state="running")
    telling = ChapterTelling(Feed(redrive.settings.redis_url.get_secret_value(), f"{novel_id}-1"), _keep)
    telling.begin()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = await browser.new_page()
        async with page.expect_request(lambda request: "/events?" in request.url, timeout=60_000) as asked:
            await page.goto(f"{address}/chapter?novel={novel_id}&number=1")
        stream_url = (await asked.value).url  # with the token that the page was given
        await page.wait_for_timeout(1500)
        await page.evaluate(OBSERVE)
        others = [asyncio.create_task(_follow(stream_url)) for _watcher in range(count - 1)]
        await asyncio.sleep(1)
        told_at, seconds = await _write(telling)
        seen = await _seen(page)
        await telling.complete(Chapter(title="T", content=CHUNK * CHUNKS, options=[Choosable(text="Go", impact="")]))
        await asyncio.gather(*others)
        await browser.close()
    return [next(at for at, letters in seen if letters >= len(CHUNK) * chunk) - told for chunk, told in enumerate(told_at, 1)], seconds


async def _write(telling: ChapterTelling) -> tuple[list[float], float]:
    told_at, started = [], time.monotonic()
    for _chunk in range(CHUNKS):
        told_at.append(time.time())
        telling.tell("T", CHUNK)
        await asyncio.sleep(CHUNK_SECONDS)
    return told_at, time.monotonic() - started


async def _seen(page: Page) -> list[list[float]]:
    """What the browser wrote down, when all of it stands there."""
    await page.wait_for_function("(letters) => window.seen.at(-1)?.[1] >= letters", arg=len(CHUNK) * CHUNKS, timeout=20_000)
    return await page.evaluate("window.seen")


async def _follow(stream_url: str) -> None:
    """Another watcher, to the end."""
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client, client.stream("GET", stream_url) as answer:
        answer.raise_for_status()
        async for _line in answer.aiter_lines():
            pass


async def _keep(_title: str, _content: str) -> None:
    """Not measured here."""
