"""Watchers of a chapter: late ones, ones that leave and come back, a Redis that forgets, many at once."""

import asyncio
import random
import time
from collections.abc import Coroutine

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis
from redis import asyncio as async_redis
from sqlalchemy import text

from backend.content.written import Chapter, Choosable
from backend.jobs.chapter_feed import Feed, key_of
from backend.views.chapter_stream import EventKind, StreamEvent, chapter_stream
from tests.factories import add_item, add_novel
from workers.chapter_telling import ChapterTelling

CHAPTER_ID = "n1-1"


async def never_kept(title: str, content: str) -> None:
    """Nothing is to be kept."""


def telling(redrive, chapter_id: str = CHAPTER_ID, keep=never_kept) -> ChapterTelling:
    return ChapterTelling(Feed(redrive.settings.redis_url.get_secret_value(), chapter_id), keep)


def chapter(content: str) -> Chapter:
    return Chapter(title="T", content=content, options=[Choosable(text="Go", impact="")])


def being_written(redrive) -> None:
    """Chapter 1 of n1 has a row and a running item."""
    add_novel(redrive.engine, chapters=[{"status": "generating", "content": "", "has_options": False}])
    add_item(redrive.engine, part="1", kind="chapter", owner_id="n1", state="running")


class Screen:
    """What somebody sees who follows the events."""

    def __init__(self) -> None:
        self.text, self.last_id, self.title = "", None, ""
        self.end: StreamEvent | None = None
        self.restarts = 0
        self.seen_at: dict[int, float] = {}

    def show(self, event: StreamEvent) -> None:
        if event.kind is EventKind.RESTART:
            self.text, self.restarts = "", self.restarts + 1
        elif event.kind is EventKind.SUMMARY:
            self.title = str(event.data["title"])
        elif event.kind is EventKind.CONTENT:
            assert event.data["offset"] == len(self.text)
            self.text += str(event.data["text"])
            self.seen_at[len(self.text)] = time.monotonic()
        else:
            self.end = event
        self.last_id = event.event_id

    async def watch(self, redrive, chapter_id: str = CHAPTER_ID, events: int | None = None) -> None:
        """Until the end, or until so many events were seen."""
        stream = chapter_stream(redrive, chapter_id, self.last_id)
        try:
            async for event in stream:
                self.show(event)
                if events is not None:
                    events -= 1
                    if not events:
                        return
        finally:
            await stream.aclose()


async def write_pieces(redrive, pieces: list[str], pause_seconds: float, restarts_at: int = -1) -> None:
    writer = telling(redrive)
    writer.begin()
    for at, piece in enumerate(pieces):
        if at == restarts_at:
            writer.begin()
            for earlier in pieces[:at]:
                writer.tell("T", earlier)
        writer.tell("T", piece)
        await asyncio.sleep(pause_seconds)
    await writer.complete(chapter("".join(pieces)))


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), restarts_at=st.sampled_from([-1, 10, 30]))
def test_whoever_leaves_and_comes_back_loses_and_repeats_nothing(redrive, seed, restarts_at):
    chance = random.Random(seed)
    pieces = [chance.choice(["the ", "海", "🙂", "\n\n", "word "]) * chance.randint(1, 4) for _piece in range(40)]
    Redis.from_url(redrive.settings.redis_url.get_secret_value()).delete(key_of(CHAPTER_ID))

    async def watch_in_visits(screen: Screen) -> None:
        await asyncio.sleep(chance.uniform(0, 0.4))
        while screen.end is None:
            await screen.watch(redrive, events=chance.randint(1, 3))
            await asyncio.sleep(chance.uniform(0, 0.1))

    async def story() -> list[Screen]:
        screens = [Screen() for _screen in range(4)]
        writing = asyncio.create_task(write_pieces(redrive, pieces, 0.01, restarts_at))
        await asyncio.gather(writing, *map(watch_in_visits, screens))
        return screens

    for screen in asyncio.run(story()):
        assert (screen.text, screen.title) == ("".join(pieces), "T")
        assert screen.end.kind is EventKind.COMPLETE


def test_a_late_watcher_gets_all_of_it_in_one_piece(redrive):
    async def story() -> list[StreamEvent]:
        await write_pieces(redrive, ["one ", "two ", "three"], 0.15)
        return [event async for event in chapter_stream(redrive, CHAPTER_ID)]

    events = asyncio.run(story())

    assert [event.kind for event in events] == [EventKind.SUMMARY, EventKind.CONTENT, EventKind.COMPLETE]
    assert events[1].data == {"text": "one two three", "offset": 0}
    assert 0 < Redis.from_url(redrive.settings.redis_url.get_secret_value()).ttl(key_of(CHAPTER_ID)) <= 3600


def test_whoever_has_seen_the_end_gets_nothing_more(redrive):
    async def story() -> list[StreamEvent]:
        await write_pieces(redrive, ["one"], 0)
        events = [event async for event in chapter_stream(redrive, CHAPTER_ID)]
        return [event async for event in chapter_stream(redrive, CHAPTER_ID, events[-1].event_id)]

    assert asyncio.run(story()) == []


def test_redis_is_flushed_after_the_end_and_postgresql_tells_the_text(redrive):
    add_novel(redrive.engine, chapters=[{}])

    async def story() -> list[StreamEvent]:
        return [event async for event in chapter_stream(redrive, CHAPTER_ID)]

    events = asyncio.run(story())

    assert [event.kind for event in events] == [EventKind.RESTART, EventKind.SUMMARY, EventKind.CONTENT, EventKind.COMPLETE]
    assert events[2].data["text"] == "Once upon a time."
    assert events[3].data["options"] == [{"text": "Go on", "impact": ""}] * 2


@pytest.mark.parametrize("status", ["failed", "gone"])
def test_without_a_stream_and_without_a_text_there_is_an_error(redrive, status):
    if status == "failed":
        add_novel(redrive.engine, chapters=[{"status": "failed", "error_message": "It broke."}])

    async def story() -> list[StreamEvent]:
        return [event async for event in chapter_stream(redrive, CHAPTER_ID)]

    events = asyncio.run(story())

    assert [event.kind for event in events] == [EventKind.ERROR]
    assert status == "gone" or events[0].data["message"] == "It broke."


def test_redis_is_flushed_in_the_middle_and_nobody_sees_two_halves_glued_together(redrive):
    being_written(redrive)

    async def story() -> Screen:
        screen = Screen()
        watching = asyncio.create_task(screen.watch(redrive))
        writer = telling(redrive)
        writer.begin()
        for number in range(12):
            writer.tell("T", f"{number} ")
            await asyncio.sleep(0.1)
            if number == 5:
                Redis.from_url(redrive.settings.redis_url.get_secret_value()).flushall()
        await writer.complete(chapter("".join(f"{number} " for number in range(12))))
        await asyncio.wait_for(watching, 60)
        return screen

    screen = asyncio.run(story())

    assert screen.text == "".join(f"{number} " for number in range(12))
    assert screen.end.kind is EventKind.COMPLETE
    assert screen.restarts >= 1


def test_redis_is_flushed_and_the_writer_is_gone_too(redrive):
    being_written(redrive)

    async def story() -> Screen:
        screen = Screen()
        writer = telling(redrive)
        writer.begin()
        writer.tell("T", "half")
        watching = asyncio.create_task(screen.watch(redrive))
        await asyncio.sleep(0.4)
        await writer.close()
        Redis.from_url(redrive.settings.redis_url.get_secret_value()).flushall()
        with redrive.engine.begin() as connection:
            connection.execute(text("update ops.items set state = 'failed'"))
        await asyncio.wait_for(watching, 60)
        return screen

    assert asyncio.run(story()).end.kind is EventKind.ERROR


async def read_to_the_end(redrive) -> None:
    """The least that a watcher has to do."""
    key, last, is_over = key_of(CHAPTER_ID), "0-0", False
    async with async_redis.Redis.from_url(redrive.settings.redis_url.get_secret_value()) as client:
        while not is_over:
            for _key, entries in await client.xread({key: last}, block=1000):
                last, is_over = entries[-1][0], entries[-1][1][b"kind"] == b"complete"


def test_fifty_watchers_slow_the_writer_no_more_than_their_reading_does(redrive):
    pieces = ["piece of the text "] * 150
    screens = [Screen() for _screen in range(50)]
    redis = Redis.from_url(redrive.settings.redis_url.get_secret_value())

    async def measure(watchers: list[Coroutine[None, None, None]]) -> tuple[float, float]:
        """Seconds of CPU for each look at the stream, and looks for each entry in it.

        They share a loop, so what the watchers take is what the writer waits; other programs do not count.
        """
        redis.flushall()
        redis.config_resetstat()
        watching = [asyncio.create_task(watcher) for watcher in watchers]
        started = time.process_time()
        await write_pieces(redrive, pieces, 0.01)
        await asyncio.wait_for(asyncio.gather(*watching), 60)
        seconds, looks = time.process_time() - started, redis.info("commandstats")["cmdstat_xread"]["calls"]
        return seconds / looks, looks / len(watchers) / redis.xlen(key_of(CHAPTER_ID))

    being_written(redrive)
    least, _looks = asyncio.run(measure([read_to_the_end(redrive) for _screen in screens]))
    seconds, looks = asyncio.run(measure([screen.watch(redrive) for screen in screens]))

    assert {screen.text for screen in screens} == {"".join(pieces)}
    assert seconds < 2.5 * least, (seconds, least)
    assert looks < 2


def test_a_watcher_whose_process_is_busy_for_seconds_still_reaches_a_redis_that_is_there(redrive):
    being_written(redrive)

    async def story() -> Screen:
        screen = Screen()
        watching = asyncio.create_task(screen.watch(redrive))
        await asyncio.sleep(0)  # it begins to connect
        time.sleep(2.5)  # as if others had the cores
        await write_pieces(redrive, ["one ", "two"], 0)
        await asyncio.wait_for(watching, 60)
        return screen

    screen = asyncio.run(story())

    assert (screen.text, screen.end.kind) == ("one two", EventKind.COMPLETE)


def test_what_is_there_is_kept_at_a_linear_price(redrive):
    kept: list[int] = []

    async def story() -> None:
        async def keep(title: str, content: str) -> None:
            kept.append(len(content))

        writer = telling(redrive, keep=keep)
        writer.begin()
        writer.tell("T", "so far")
        await writer.keep()
        await writer.keep()
        await writer.close()

    asyncio.run(story())

    assert kept == [6]
