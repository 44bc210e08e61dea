"""The event stream of a chapter over HTTP: who may watch, resuming by event id, heartbeats, ends, many at once."""

import asyncio
import json
import threading
from functools import partial

import httpx2
import pytest
import uvicorn
from redis import Redis
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from backend.jobs.chapter_feed import key_of
from backend.views.chapter_stream import EventKind, StreamEvent, chapter_stream
from dashboard import stream_tokens
from dashboard.chapter_route import ChapterEvents
from dashboard.stream_tokens import stream_token
from tests.factories import add_novel
from tests.integration.test_chapter_stream import CHAPTER_ID, being_written, chapter, telling, write_pieces


def watching(redrive):
    return partial(chapter_stream, redrive)


def address(text_id: str = CHAPTER_ID, token: str | None = None, after: str = "") -> str:
    return f"/chapters/{text_id}/events?token={stream_token(text_id) if token is None else token}" + (f"&after={after}" if after else "")


class Served:
    """The route on a real socket: an in-process transport would hold back what is streamed."""

    def __init__(self, events: ChapterEvents) -> None:
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=[events.route]), port=0, log_level="error", lifespan="off"))

    async def __aenter__(self) -> httpx2.AsyncClient:
        self._running = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self._client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=20, limits=httpx2.Limits(max_connections=None), trust_env=False)
        return self._client

    async def __aexit__(self, *_exc: object) -> None:
        await self._client.aclose()
        self._server.should_exit = True
        await asyncio.wait_for(self._running, 60)


async def lines_of(client: httpx2.AsyncClient, url: str, **headers: str) -> list[str]:
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [line async for line in answer.aiter_lines()]


async def accepted(events: ChapterEvents, count: int) -> None:
    """So many watchers are there."""
    while events._count < count:
        await asyncio.sleep(0.01)


def told(lines: list[str]) -> list[tuple[str, dict]]:
    """(event id, message) of each."""
    found, event_id = [], ""
    for line in lines:
        if line.startswith("id: "):
            event_id = line.removeprefix("id: ")
        elif line.startswith("data: "):
            found.append((event_id, json.loads(line.removeprefix("data: "))))
    return found


def text_of(messages: list[tuple[str, dict]]) -> str:
    return "".join(message["text"] for _id, message in messages if message["kind"] == EventKind.CONTENT)


def run(story, events: ChapterEvents):
    async def served():
        async with Served(events) as client:
            return await story(client)
    return asyncio.run(served())


def test_a_written_chapter_comes_with_ids_and_ends_by_itself(redrive):
    async def story(client):
        await write_pieces(redrive, ["One ", "海🙂 ", "\n\nthree"], 0.12)
        answer = await client.get(address())
        return answer, await lines_of(client, address())

    answer, lines = run(story, ChapterEvents(watching(redrive)))

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["x-accel-buffering"], answer.headers["cache-control"]) == ("no", "no-store")
    assert lines[0].startswith("retry: ")
    messages = told(lines)
    assert [message["kind"] for _id, message in messages] == ["summary", "content", "complete"]
    assert text_of(messages) == "One 海🙂 \n\nthree"
    assert all(event_id for event_id, _message in messages)


def test_whoever_comes_back_gets_only_what_follows_by_header_or_by_parameter(redrive):
    async def story(client):
        await write_pieces(redrive, ["one ", "two ", "three"], 0.15)
        entries = told(await lines_of(client, address()))
        first = first_increment(redrive)
        return entries, told(await lines_of(client, address(), **{"Last-Event-ID": first})), told(
            await lines_of(client, address(after=first))), told(
            await lines_of(client, address(after="0-1"), **{"Last-Event-ID": entries[-1][0]}))

    whole, by_header, by_parameter, newer_header = run(story, ChapterEvents(watching(redrive)))

    assert text_of(whole) == "one two three"
    assert by_header == by_parameter
    assert text_of(by_header) == "two three"
    assert newer_header == []  # the header is newer than the address, which a browser repeats


def first_increment(redrive) -> str:
    """Event id of the first piece as it was written; a late watcher gets all of them as one."""
    rows = Redis.from_url(redrive.settings.redis_url.get_secret_value()).xrange(key_of(CHAPTER_ID))
    return next(row_id.decode() for row_id, fields in rows if fields[b"kind"] == b"content")


@pytest.mark.parametrize("token", ["", "forged", stream_token("another-chapter")], ids=["none", "forged", "of another chapter"])
def test_without_a_token_of_this_chapter_nothing_is_told(redrive, token):
    async def story(client):
        return (await client.get(address(token=token))).status_code

    assert run(story, ChapterEvents(watching(redrive))) == 403


def test_a_token_ends_after_two_minutes(redrive, monkeypatch):
    add_novel(redrive.engine, chapters=[{}])
    monkeypatch.setattr(stream_tokens, "TOKEN_SECONDS", -1)

    async def story(client):
        return (await client.get(address())).status_code

    assert run(story, ChapterEvents(watching(redrive))) == 403


def test_silence_is_filled_with_heartbeats_and_one_who_leaves_frees_the_place(redrive):
    being_written(redrive)
    events = ChapterEvents(watching(redrive), most=1, heartbeat_seconds=0.1)

    async def story(client):
        async with client.stream("GET", address()) as answer:
            beats = 0
            async for line in answer.aiter_lines():
                beats += line == ": alive"
                if beats == 3:
                    break
            busy = (await client.get(address())).status_code
        writer = telling(redrive)
        writer.begin()
        writer.tell("T", "text")
        await writer.complete(chapter("text"))
        again = await client.get(address())
        while again.status_code != 200:
            await asyncio.sleep(0.1)
            again = await client.get(address())
        return busy, again

    busy, again = run(lambda client: asyncio.wait_for(story(client), 60), events)

    assert busy == 503
    assert "complete" in again.text


def test_postgresql_away_is_told_as_unavailable_and_not_as_an_end(redrive):
    async def away(_text_id: str, _after: str | None):
        yield StreamEvent("1-1", EventKind.SUMMARY, {"title": "T"})
        raise OperationalError("select", {}, Exception("gone"))

    async def story(client):
        return told(await lines_of(client, address()))

    messages = run(story, ChapterEvents(away))

    assert [(event_id, message["kind"]) for event_id, message in messages] == [("1-1", "summary"), ("1-1", "unavailable")]


def test_fifty_watch_at_once_without_a_thread_each(redrive):
    being_written(redrive)
    pieces = ["piece of the text "] * 60
    threads: list[int] = []
    events = ChapterEvents(watching(redrive))

    async def story(client):
        before = threading.active_count()
        watchers = [asyncio.create_task(lines_of(client, address())) for _watcher in range(50)]
        await accepted(events, 50)
        threads.append(threading.active_count() - before)
        writing = asyncio.create_task(write_pieces(redrive, pieces, 0.01))
        found = await asyncio.wait_for(asyncio.gather(*watchers), 120)
        await writing
        return [told(lines) for lines in found]

    for messages in run(story, events):
        assert text_of(messages) == "".join(pieces)
        assert messages[-1][1]["kind"] == "complete"
    assert threads[0] < 12, threads


def test_the_end_of_the_process_ends_every_stream(redrive):
    being_written(redrive)
    events = ChapterEvents(watching(redrive), heartbeat_seconds=0.1)

    async def story(client):
        writer = telling(redrive)
        writer.begin()
        writer.tell("T", "text")
        async with client.stream("GET", address()) as answer:
            lines = answer.aiter_lines()
            while "text" not in await anext(lines):
                pass
            events.stop()
            async with asyncio.timeout(30):
                async for _line in lines:
                    pass
        await writer.close()
        return (await client.get(address())).status_code

    assert run(story, events) == 503


def test_the_end_of_the_process_ends_a_stream_that_has_just_begun(redrive):
    being_written(redrive)
    events = ChapterEvents(watching(redrive), heartbeat_seconds=0.1)

    async def story(client):
        watcher = asyncio.create_task(lines_of(client, address()))
        await accepted(events, 1)
        events.stop()  # it is about to connect to Redis
        return await asyncio.wait_for(watcher, 30)

    assert told(run(story, events)) == []
