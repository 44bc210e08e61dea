"""Watchers of a chapter whose stream is silent: its writer is slow, or left without a last event."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from backend.views import chapter_stream
from backend.views.chapter_stream import EventKind
from tests.integration.test_chapter_stream import Screen, being_written, chapter, telling


@pytest.mark.parametrize(("saved", "last"), [
    ("status = 'completed', title = 'T', content = 'half, whole'", EventKind.COMPLETE),  # from the object store, while its worker waited
    ("status = 'failed', error_message = 'Its worker was lost.'", EventKind.ERROR)])
def test_a_writer_that_left_without_a_last_word_keeps_nobody_waiting(redrive, monkeypatch, saved, last):
    monkeypatch.setattr(chapter_stream, "_SILENT_ROUNDS", 2)
    being_written(redrive)

    async def story() -> Screen:
        screen = Screen()
        writer = telling(redrive)
        writer.begin()
        writer.tell("T", "half")
        watching = asyncio.create_task(screen.watch(redrive))
        with pytest.raises(TimeoutError):  # it is being written, silent for long
            await asyncio.wait_for(asyncio.shield(watching), 3.5)
        await writer.close()
        with redrive.engine.begin() as connection:
            connection.execute(text(f"update chapters set {saved}"))
        await asyncio.wait_for(watching, 60)
        return screen

    screen = asyncio.run(story())

    assert (screen.end.kind, screen.text) == (last, "half, whole" if last is EventKind.COMPLETE else "half")


def test_an_outage_of_postgresql_ends_no_silent_stream(redrive, monkeypatch):
    monkeypatch.setattr(chapter_stream, "_SILENT_ROUNDS", 1)
    being_written(redrive)
    cut_off = replace(redrive, engine=create_engine("postgresql+psycopg://127.0.0.1:1/none"))

    async def story() -> Screen:
        screen = Screen()
        writer = telling(redrive)
        writer.begin()
        writer.tell("T", "half")
        watching = asyncio.create_task(screen.watch(cut_off))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(watching), 3.5)
        await writer.complete(chapter("half, whole"))
        await asyncio.wait_for(watching, 60)
        return screen

    screen = asyncio.run(story())

    assert (screen.end.kind, screen.text) == (EventKind.COMPLETE, "half, whole")
