"""What goes wrong around one item of a chunk stays with that item, and a chunk that stops does so in time."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.actions import attempts, breaker, cancel, spills, withdrawals
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ItemState
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage.engine import make_engine
from backend.storage.objects import StoreUnreachable
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import QUIZ, concept_fields, item_row, queued, written
from tests.processes import wait_for
from workers.chunk import Chunk, run_chunk

KEYS = [ContentKey(ContentKind.QUIZ, "r1", part) for part in "abcd"]


class Slow:
    """A generator that writes for so long."""

    name, is_sample = "slow", True

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    async def write_quiz(self, _brief, _spent):
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return written(QUIZ)

    async def close(self) -> None:
        pass


class Held(Slow):
    """A generator that writes until it is let go."""

    def __init__(self) -> None:
        super().__init__(0)
        self.let_go = threading.Event()

    async def write_quiz(self, brief, spent):
        await asyncio.to_thread(self.let_go.wait, 120)
        return await super().write_quiz(brief, spent)


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    add_roadmap(redrive.engine, concepts=[concept(key.part, quiz_status="failed") for key in KEYS],
                unsaved=[(key.kind, key.part) for key in KEYS])
    return redrive


def away(*_arguments, **_named):
    raise OperationalError("", {}, Exception("the server closed the connection unexpectedly"))


def test_an_item_that_can_be_neither_begun_nor_refused_leaves_the_others_alone(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, *KEYS)
    begin = attempts.begin

    def failing(redrive, item_id):
        if item_id == item_ids[1]:
            raise LookupError("a defect")
        return begin(redrive, item_id)

    monkeypatch.setattr(attempts, "begin", failing)
    monkeypatch.setattr(attempts, "refuse", away)
    hasty = replace(broken, settings=broken.settings.model_copy(update={"save_patience_seconds": 0.1, "offline_delay_seconds": 0.5}))

    outcomes = run_chunk(hasty, item_ids)

    assert outcomes["succeeded"] == 3
    assert Counter(item_row(broken, item_id).state for item_id in item_ids) == {ItemState.SUCCEEDED: 3, ItemState.QUEUED: 1}


def test_an_item_whose_failure_meets_a_defect_leaves_the_others_alone(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, *KEYS)
    save = attempts.save

    def failing(redrive, attempt, content):
        if attempt.item.item_id == item_ids[1]:
            raise LookupError("a defect")
        return save(redrive, attempt, content)

    def defect(*_arguments):
        raise KeyError("another defect")

    monkeypatch.setattr(attempts, "save", failing)
    monkeypatch.setattr(attempts, "fail", defect)
    slow = replace(broken, settings=broken.settings.model_copy(update={"offline_delay_seconds": 0.5, "concurrency": 1}))

    assert run_chunk(slow, item_ids)["succeeded"] == 3


def stopped(chunk: Chunk, item_ids: list[int], *, after: threading.Event) -> dict[str, int]:
    """Run them; SIGTERM comes once `after` is set."""
    async def run() -> dict[str, int]:
        working = asyncio.create_task(chunk.run(item_ids))
        while not after.is_set():
            await asyncio.sleep(0.01)
        chunk._stop_softly()
        return await working

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_an_item_that_begins_after_the_others_were_broken_off_is_given_back_too(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, KEYS[0])
    begin, is_beginning = attempts.begin, threading.Event()

    def slow(redrive, item_id):
        is_beginning.set()
        wait_for(lambda: chunk._is_broken_off, what="half the time to stop to be over")
        return begin(redrive, item_id)

    monkeypatch.setattr(attempts, "begin", slow)
    short = replace(broken, settings=broken.settings.model_copy(update={"stop_seconds": 0.4}))
    generator = Slow(60)
    chunk = Chunk(short, generator)

    assert stopped(chunk, item_ids, after=is_beginning) == {"given_back": 1}
    assert (generator.asked, item_row(broken, item_ids[0]).state) == (0, ItemState.QUEUED)


def test_items_that_begin_leave_threads_to_those_that_are_saved(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, *KEYS)
    begin, save, is_saving = attempts.begin, attempts.save, threading.Event()

    def begin_once_one_is_saved(redrive, item_id):
        assert item_id == item_ids[0] or is_saving.wait(60)
        return begin(redrive, item_id)

    def tell_and_save(redrive, attempt, content):
        is_saving.set()
        return save(redrive, attempt, content)

    monkeypatch.setattr(attempts, "begin", begin_once_one_is_saved)
    monkeypatch.setattr(attempts, "save", tell_and_save)
    two_threads = replace(broken, settings=broken.settings.model_copy(update={"concurrency": 2}))

    assert asyncio.run(Chunk(two_threads, Slow(0)).run(item_ids)) == {"succeeded": 4}


def test_a_text_that_finds_neither_server_is_not_tried_without_a_pause(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, KEYS[0])
    save, tried, is_saving = attempts.save, [], threading.Event()

    def failing(redrive, attempt, content):
        tried.append(attempt)
        is_saving.set()
        return save(redrive, attempt, content) if len(tried) > 1000 or time.monotonic() > deadline else away()

    def no_store(*_arguments):
        raise StoreUnreachable("away")

    monkeypatch.setattr(attempts, "save", failing)
    monkeypatch.setattr(spills, "spill", no_store)
    deadline = time.monotonic() + 3

    assert stopped(Chunk(broken, Slow(0)), item_ids, after=is_saving) == {"succeeded": 1}
    assert len(tried) < 20


def test_an_item_that_is_given_back_after_a_person_cancelled_it_is_cancelled(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    attempt = attempts.begin(broken, item_id)
    cancel.cancel_items(broken, CancelScope.of(KEYS[0]), operator, CancelReason.NOT_NEEDED)

    withdrawals.give_back(broken, attempt.item)

    assert item_row(broken, item_id).state == ItemState.CANCELLED
    assert concept_fields(broken)["quiz_status"] == "failed"


def test_a_probe_that_meets_a_defect_lets_the_next_one_go(broken, operator):
    item_ids = queued(broken, operator, *KEYS[:2])
    quick = replace(broken, settings=broken.settings.model_copy(update={"breaker_failures": 1, "breaker_seconds": 0.0}))
    breaker.note_failure(quick, ItemError(ErrorKind.MODEL_UNREACHABLE, "away"))

    class Broken(Slow):
        async def write_quiz(self, _brief, _spent):
            raise LookupError("a defect")

    asyncio.run(Chunk(quick, Broken(0)).run(item_ids[:1]))

    assert isinstance(attempts.begin(quick, item_ids[1]), attempts.Attempt)


def test_a_text_is_spilled_when_postgresql_turned_read_only(broken, operator):
    item_ids = queued(broken, operator, KEYS[0])
    attempt = attempts.begin(broken, item_ids[0])
    with broken.engine.begin() as connection:
        connection.execute(text(f"alter database {broken.engine.url.database} set default_transaction_read_only = on"))
    broken.engine.dispose()

    with pytest.raises(ItemError) as raised:
        attempts.save(broken, attempt, written(QUIZ))

    assert raised.value.is_outage


class Dear(Slow):
    """Each text costs three calls; what is asked for beside the first fails, or is written for ever."""

    def __init__(self, then: ErrorKind | None) -> None:
        super().__init__(0)
        self.then = then

    async def write_quiz(self, brief, spent):
        self.asked += 1
        spent.calls, spent.prompt_tokens, spent.completion_tokens = 3, 100, 20
        if self.then is None:
            await asyncio.sleep(3600)
        raise ItemError(self.then, "no")


def costs(row) -> tuple[int | None, int | None, int | None]:
    return row.calls, row.prompt_tokens, row.completion_tokens


def test_an_item_that_failed_tells_what_it_cost(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])

    asyncio.run(Chunk(broken, Dear(ErrorKind.MODEL_REFUSED)).run([item_id]))

    assert (item_row(broken, item_id).state, costs(item_row(broken, item_id))) == (ItemState.FAILED, (3, 100, 20))


def test_what_the_attempts_of_an_item_cost_is_added_up(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    strict = replace(broken, settings=broken.settings.model_copy(update={"breaker_failures": 1, "breaker_seconds": 0.0}))

    asyncio.run(Chunk(strict, Dear(ErrorKind.MODEL_RATE_LIMITED)).run([item_id]))
    held = item_row(broken, item_id)
    asyncio.run(Chunk(strict, Slow(0)).run([item_id]))

    assert (held.state, held.attempt - held.returned_count, costs(held)) == (ItemState.QUEUED, 1, (3, 100, 20))
    assert costs(item_row(broken, item_id)) == (3 + 1, 100 + 10, 20 + 20)


def test_an_item_that_was_cancelled_tells_what_it_cost(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    generator = Dear(None)

    async def cancelled() -> None:
        working = asyncio.create_task(Chunk(broken, generator).run([item_id]))
        while not generator.asked:
            await asyncio.sleep(0.01)
        cancel.cancel_items(broken, CancelScope.of(KEYS[0]), operator, CancelReason.TOO_EXPENSIVE)
        await working

    asyncio.run(asyncio.wait_for(cancelled(), 60))

    assert (item_row(broken, item_id).state, costs(item_row(broken, item_id))) == (ItemState.CANCELLED, (3, 100, 20))


def test_a_worker_that_was_frozen_for_long_looks_before_it_asks_the_model(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, KEYS[0])
    begin, generator = attempts.begin, Slow(0)
    chunk = Chunk(broken, generator)

    def frozen(redrive, claimed_id):  # after the claim; meanwhile its lease ran out
        begun = begin(redrive, claimed_id)
        withdrawals.take_back(redrive, begun.item, None)
        chunk._watch._looked_at -= broken.settings.lease_seconds
        return begun

    monkeypatch.setattr(attempts, "begin", frozen)

    asyncio.run(chunk.run([item_id]))

    assert generator.asked == 0
    assert (item_row(broken, item_id).state, item_row(broken, item_id).attempt) == (ItemState.QUEUED, 2)


def test_a_text_whose_saving_takes_long_is_spilled_and_forgotten_once_it_is_saved(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    generator = Held()

    with ThreadPoolExecutor(1) as beside, broken.engine.connect() as holder:
        working = beside.submit(lambda: asyncio.run(Chunk(broken, generator).run([item_id])))
        wait_for(lambda: item_row(broken, item_id).state == ItemState.RUNNING, what="the item to run")
        holder.execute(text("select 1 from roadmap_metadata for update"))
        generator.let_go.set()
        wait_for(lambda: broken.objects.paths("spills/"), what="the text to be spilled")
        assert spills.save_spilled(broken) == []  # the row is held: it is left alone, and nobody waits for it
        holder.rollback()
        outcomes = working.result(60)

    assert outcomes == {"succeeded": 1}
    assert (broken.objects.paths("spills/"), broken.objects.paths("spills-set-aside/")) == ([], [])


def test_a_text_that_came_too_late_spares_the_next_attempt_its_call(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])

    class Overtaken(Slow):
        async def write_quiz(self, brief, spent):
            with broken.engine.begin() as connection:
                connection.execute(text("update ops.items set state = 'queued', attempt = attempt + 1"))
            return await super().write_quiz(brief, spent)

    assert asyncio.run(Chunk(broken, Overtaken(0)).run([item_id])) == {"late": 1}

    assert spills.save_spilled(broken) == [KEYS[0]]
    assert item_row(broken, item_id).state == ItemState.SUCCEEDED


def test_a_spill_that_its_worker_had_no_time_to_forget_is_deleted(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    attempt = attempts.begin(broken, item_id)
    spills.spill(broken, attempt.item, written(QUIZ))
    attempts.save(broken, attempt, written(QUIZ))

    assert spills.save_spilled(broken) == []

    assert (broken.objects.paths("spills/"), broken.objects.paths("spills-set-aside/")) == ([], [])


def test_a_text_that_finds_the_pool_dry_is_saved_later_without_the_model(broken, operator):
    item_id, = queued(broken, operator, KEYS[0])
    url = broken.settings.database_url.get_secret_value()
    narrow = replace(broken, engine=make_engine(url, pool_size=1, pool_timeout_seconds=0.1),
                     settings=broken.settings.model_copy(update={"save_patience_seconds": 0.5}))
    generator = Held()

    def only_connection() -> Connection | None:
        with suppress(PoolTimeout):  # the worker looks whether it is to stop
            return narrow.engine.connect()

    with ThreadPoolExecutor(1) as beside:
        working = beside.submit(lambda: asyncio.run(Chunk(narrow, generator).run([item_id])))
        wait_for(lambda: item_row(broken, item_id).state == ItemState.RUNNING, what="the item to run")
        with wait_for(only_connection, what="the only connection"):
            generator.let_go.set()
            outcomes = working.result(60)
    narrow.engine.dispose()

    assert outcomes == {"spilled": 1}
    assert spills.save_spilled(broken) == [KEYS[0]]
    assert (item_row(broken, item_id).state, generator.asked) == (ItemState.SUCCEEDED, 1)


def test_a_save_that_finds_the_pool_dry_for_a_moment_is_tried_again(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, KEYS[0])
    save, faults = attempts.save, [PoolTimeout("QueuePool limit"), PoolTimeout("QueuePool limit")]

    def failing(redrive, attempt, content):
        if faults:
            raise faults.pop()
        return save(redrive, attempt, content)

    monkeypatch.setattr(attempts, "save", failing)

    assert asyncio.run(Chunk(broken, Slow(0)).run([item_id])) == {"succeeded": 1}
    assert faults == []
