"""A chapter that is broken off: by the model, by a person, by force."""

import asyncio
import json
import threading
from dataclasses import replace

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from backend.actions import attempts, chapter_attempts, chapters, dispatcher, withdrawals
from backend.actions.cancel import cancel_operation
from backend.actions.force_stop import force_stop
from backend.bootstrap import connect
from backend.content.chapters import DraftState, StripState
from backend.content.errors import ErrorKind
from backend.content.hints import HINTS
from backend.content.status import ItemState
from backend.content.stopping import CancelReason
from backend.jobs.chapter_feed import key_of, told
from backend.storage.ops_tables import items
from backend.views.chapter_stream import EventKind, chapter_stream
from tests.factories import add_novel
from tests.integration.test_chapters import CHAPTER, FAILED, begun, queued, view, written
from tests.model_server import ModelServer
from tests.processes import MAINTENANCE, frozen, started, wait_for, worker
from workers.chunk import run_chunk


def with_model(settings, server: ModelServer, **values):
    return connect(settings.model_copy(update={
        "openai_base_url": server.base_url, "openai_api_key": SecretStr("key"), "model_retries": 1, **values}))


def kinds_in_stream(redrive, chapter_id: str) -> list[str]:
    return [fields[b"kind"].decode() for _entry, fields in redrive.redis.xrange(key_of(chapter_id))]


def test_a_cut_stream_begins_anew_and_nothing_is_glued_together(settings, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    generation = chapters.generate(redrive, operator, "n1")
    events = []

    async def watch() -> None:
        async for event in chapter_stream(redrive, generation.chapter_id):
            events.append(event)

    with ModelServer(script=["cut", "ok"], piece_seconds=0.05) as server:
        writing = with_model(settings, server)
        working = threading.Thread(target=run_chunk, args=(writing, queued(redrive)))
        working.start()
        asyncio.run(asyncio.wait_for(watch(), 120))
        working.join(120)
        writing.close()

    assert [event.kind for event in events].count(EventKind.RESTART) >= 1
    after = max(at for at, event in enumerate(events) if event.kind is EventKind.RESTART)
    told = "".join(str(event.data["text"]) for event in events[after:] if event.kind is EventKind.CONTENT)
    assert events[-1].kind is EventKind.COMPLETE
    assert told == view(redrive, 2).content


def test_a_cancel_in_the_middle_keeps_the_partial_text(settings, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    generation = chapters.generate(redrive, operator, "n1")

    with ModelServer(script=["stalled"], piece_seconds=0.02) as server:
        writing = with_model(settings, server)
        working = threading.Thread(target=run_chunk, args=(writing, queued(redrive)))
        working.start()
        wait_for(lambda: "content" in kinds_in_stream(redrive, generation.chapter_id), what="the first words")
        cancel_operation(redrive, generation.operation_id, operator, CancelReason.NOT_NEEDED)
        working.join(120)
        writing.close()

    found = view(redrive, 2)
    assert found.state is StripState.FAILED
    assert found.content
    assert found.choice is not None
    assert kinds_in_stream(redrive, generation.chapter_id)[-1] == "error"


def test_redis_that_is_away_does_not_stop_the_writing(settings, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    chapters.generate(redrive, operator, "n1")
    item_ids = queued(redrive)
    deaf = connect(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))

    assert run_chunk(deaf, item_ids) == {"succeeded": 1}

    deaf.close()
    dispatcher.complete_operations(redrive)
    assert view(redrive, 2).state is StripState.COMPLETED


def test_a_lost_workers_text_is_archived_and_the_next_attempt_begins_anew(settings, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    chapters.generate(redrive, operator, "n1")
    item_id = queued(redrive)[0]
    lost = attempts.begin(redrive, item_id)
    chapter_attempts.keep_partial(redrive, lost.item, lost.stream_id, "T", "Lost words")

    withdrawals.take_back(redrive, lost.item, None)
    again = attempts.begin(redrive, item_id)
    chapter_attempts.keep_partial(redrive, lost.item, lost.stream_id, "T", "A late write")

    assert again.stream_id == lost.stream_id
    found = view(redrive, 2)
    assert found.content == ""
    assert "Lost words" in [draft.content for draft in found.failed_tries]




@pytest.mark.parametrize("with_options", [True, False])
def test_a_text_that_another_program_published_meanwhile_is_never_lost_and_neither_is_ours(redrive, operator, with_options):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    generation = chapters.generate(redrive, operator, "n1")
    attempt = begun(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(text("update chapters set status = 'completed', title = 'Theirs', content = 'Their text.' where id = :id"),
                           {"id": generation.chapter_id})
        if with_options:
            connection.execute(text("insert into options values ('o', :id, 1, 'Their way')"), {"id": generation.chapter_id})

    assert attempts.save(redrive, attempt, written())

    found = view(redrive, 2)
    assert found.state is StripState.COMPLETED
    if with_options:  # whole: readers keep it
        assert (found.content, [option.text for option in found.options]) == ("Their text.", ["Their way"])
        assert [(draft.content, draft.state, draft.options[0].text) for draft in found.drafts] == [
            (CHAPTER.content, DraftState.READY, "Go")]
        chapters.accept(redrive, operator, found.drafts[0].draft_id, expected_version=found.version)
        found = view(redrive, 2)
    assert found.content == CHAPTER.content
    assert [version.content for version in found.versions] == ["Their text."]


def test_a_text_that_is_saved_twice_is_one_text(redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    generation = chapters.generate(redrive, operator, "n1")
    attempt = begun(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(text("update chapters set status = 'completed', title = :title, content = :content where id = :id"),
                           {"id": generation.chapter_id, "title": CHAPTER.title, "content": CHAPTER.content})

    assert attempts.save(redrive, attempt, written())

    found = view(redrive, 2)
    assert (found.content, found.drafts, found.versions, len(found.options)) == (CHAPTER.content, (), (), 2)


def test_a_choice_that_was_removed_after_the_plan_is_an_error_with_a_name_and_a_hint(redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    chapters.generate(redrive, operator, "n1")
    item_id = queued(redrive)[0]
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from user_choices"))

    assert run_chunk(redrive, [item_id]) == {"failed": 1}

    with redrive.engine.connect() as connection:
        item = connection.execute(select(items).where(items.c.item_id == item_id)).one()
    assert item.error_kind == ErrorKind.CHOICE_MISSING
    assert "end of chapter 1" in item.error_message
    assert "chapter n - 1" in HINTS[ErrorKind.CHOICE_MISSING]
    assert view(redrive, 2).state is StripState.FAILED


def test_a_chapter_that_is_stopped_by_force_keeps_what_its_watchers_saw(settings, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    generation = chapters.generate(redrive, operator, "n1")
    long = json.dumps({"title": "T", "content": "It rained on the town by the sea. " * 200, "options": [{"text": "Go", "impact": ""}]})
    with ModelServer(piece_seconds=0.05, texts=lambda _prompt: long) as server:
        given = settings.model_copy(update={"openai_base_url": server.base_url, "openai_api_key": SecretStr("key")})
        with started(given, MAINTENANCE, worker("interactive")) as children:
            wait_for(lambda: len(told(redrive.redis, generation.chapter_id)[1]) > 40, what="some text to be told")
            horse = psutil.Process(children[1].pid).children()[0]
            with frozen(settings.database_url.get_secret_value(), horse):  # it neither listens nor writes on
                _title, seen = told(redrive.redis, generation.chapter_id)
                cancel_operation(redrive, generation.operation_id, operator, CancelReason.NOT_NEEDED)
                with redrive.engine.connect() as connection:
                    item_id = connection.scalar(select(items.c.item_id).where(items.c.state == ItemState.RUNNING))
                impatient = replace(redrive, settings=redrive.settings.model_copy(update={"force_stop_seconds": 0.0}))
                done = force_stop(impatient, [item_id], operator, "it hangs")
                psutil.wait_procs([horse], timeout=60)

    assert (done.cancelled_count, done.is_complete) == (1, True)
    assert not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE
    found = view(redrive, 2)
    assert (found.state, found.content) == (StripState.FAILED, seen)
    assert found.choice is not None


def test_what_watchers_saw_of_a_lost_workers_text_is_archived(redrive, operator):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    chapters.generate(redrive, operator, "n1")
    item_id = queued(redrive)[0]
    lost = attempts.begin(redrive, item_id)
    for kind, data in (("restart", "{}"), ("summary", '{"title": "T"}'), ("content", '{"text": "Seen ", "offset": 0}'),
                       ("content", '{"text": "words", "offset": 5}')):
        redrive.redis.xadd(key_of(lost.stream_id), {"kind": kind, "data": data})

    assert withdrawals.take_back(redrive, lost.item, None) is ItemState.QUEUED
    attempts.begin(redrive, item_id)

    assert "Seen words" in [draft.content for draft in view(redrive, 2).failed_tries]
