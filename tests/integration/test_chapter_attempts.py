"""A chapter that is broken off: by the model, by a person, by force."""

import asyncio
import threading

from pydantic import SecretStr

from backend.actions import chapters, dispatcher
from backend.actions.cancel import cancel_operation
from backend.bootstrap import connect
from backend.content.chapters import StripState
from backend.content.stopping import CancelReason
from backend.jobs.chapter_feed import key_of
from backend.views.chapter_stream import EventKind, chapter_stream
from tests.factories import add_novel
from tests.integration.test_chapters import FAILED, queued, view
from tests.model_server import ModelServer
from tests.processes import wait_for
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
        asyncio.run(asyncio.wait_for(watch(), 20))
        working.join(20)
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
        wait_for(lambda: "content" in kinds_in_stream(redrive, generation.chapter_id), seconds=10, what="the first words")
        cancel_operation(redrive, generation.operation_id, operator, CancelReason.NOT_NEEDED)
        working.join(20)
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
    from backend.actions import attempts, chapter_attempts, withdrawals

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


