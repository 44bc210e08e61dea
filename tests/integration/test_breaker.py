"""The circuit breaker of a model: who opens it, who waits, who tries, and what closes it."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.actions import attempts, breaker, dispatcher, reconciler, withdrawals
from backend.actions.attempts import Attempt, NotBegun
from backend.actions.breaker import Flow
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import BreakerState, ItemState
from backend.redrive import Redrive
from backend.storage import breakers
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import QUIZ, begun, item_row, queued, written
from tests.integration.test_retry_with_workers import with_model
from tests.model_server import ModelServer
from tests.processes import wait_for
from workers.chunk import Chunk, run_chunk

DOWN = ItemError(ErrorKind.MODEL_UNREACHABLE, "http://127.0.0.1:1 cannot be reached.")
KEYS = [ContentKey(ContentKind.QUIZ, "r1", f"c{number:02}") for number in range(12)]


@pytest.fixture
def troubled(redrive: Redrive) -> Redrive:
    """Twelve quizzes are missing; three failures open the breaker, for a moment."""
    ids = [key.part for key in KEYS]
    add_roadmap(redrive.engine, concepts=[concept(found) for found in ids], unsaved=[(ContentKind.QUIZ, found) for found in ids])
    return with_pause(redrive, 60.0)


def with_pause(redrive: Redrive, seconds: float) -> Redrive:
    return replace(redrive, settings=redrive.settings.model_copy(update={"breaker_failures": 3, "breaker_seconds": seconds}))


def state(redrive: Redrive) -> breakers.Breaker:
    with redrive.engine.connect() as connection:
        return breaker.current(redrive, connection)


def flow(redrive: Redrive, *, later: float = 0.0) -> Flow:
    return breaker.flow(redrive, state(redrive), utc_now() + timedelta(seconds=later))


def opened(redrive: Redrive) -> None:
    assert [breaker.note_failure(redrive, DOWN) for _failure in range(3)] == [False, False, True]


def test_failures_in_a_row_open_it_and_an_answer_in_between_starts_the_count_anew(troubled):
    breaker.note_failure(troubled, DOWN)
    breaker.note_failure(troubled, DOWN)
    assert not breaker.note_success(troubled)
    opened(troubled)

    found = state(troubled)

    assert (found.state, found.error_kind, flow(troubled)) == (BreakerState.OPEN, ErrorKind.MODEL_UNREACHABLE, Flow.HELD)
    assert (found.retry_at - found.opened_at).total_seconds() == pytest.approx(60)


def test_an_answer_that_came_before_the_failures_and_is_noted_after_them_forgets_none(troubled):
    answered_at = time.monotonic()
    opened(troubled)
    before = state(troubled)

    assert not breaker.note_success(troubled, answered_at=answered_at)
    assert state(troubled) == before
    assert breaker.note_success(troubled)


class OutageWhileItIsSaved:
    """The quiz of r2 is written, slowly saved, and the model is down for all others from then on."""

    name, is_sample = "outage", True

    def __init__(self) -> None:
        self.goes_on, self.is_down = threading.Event(), threading.Event()

    async def write_quiz(self, brief, _spent):
        is_first = brief.roadmap_id == "r2"
        await asyncio.to_thread((self.goes_on if is_first else self.is_down).wait, 60)
        if is_first:
            return written(QUIZ)
        raise DOWN

    async def close(self) -> None:
        pass


def test_a_save_that_takes_longer_than_an_outage_to_begin_does_not_hide_it(troubled, operator):
    add_roadmap(troubled.engine, "r2", concepts=[concept("c")], unsaved=[(ContentKind.QUIZ, "c")])
    item_ids = queued(troubled, operator, ContentKey(ContentKind.QUIZ, "r2", "c"), *KEYS[:2])
    slow, *others = sorted(item_ids, key=lambda item_id: item_row(troubled, item_id).owner_id, reverse=True)
    model = OutageWhileItIsSaved()
    with ThreadPoolExecutor(1) as beside, troubled.engine.connect() as holder:
        working = beside.submit(lambda: asyncio.run(Chunk(troubled, model).run(item_ids)))
        wait_for(lambda: item_row(troubled, slow).state == ItemState.RUNNING, what="the first to be written")
        holder.execute(text("select 1 from roadmap_metadata where roadmap_id = 'r2' for update"))
        model.goes_on.set()
        wait_for(lambda: troubled.objects.paths("spills/"), what="its save to take long")
        model.is_down.set()
        wait_for(lambda: all(item_row(troubled, other).state == ItemState.FAILED for other in others), what="the others to fail")
        holder.rollback()
        outcomes = working.result(60)

    assert outcomes == {"succeeded": 1, "failed": 2}
    assert (state(troubled).failures, state(troubled).failed_calls) == (2, 2)


def test_one_failure_is_enough_where_the_setting_says_so(redrive):
    nervous = replace(redrive, settings=redrive.settings.model_copy(update={"breaker_failures": 1}))

    assert breaker.note_failure(nervous, DOWN)
    assert state(nervous).state is BreakerState.OPEN


def test_while_it_is_open_nothing_is_begun_sent_or_sent_again(troubled, operator):
    item_id, = queued(troubled, operator, KEYS[0])
    opened(troubled)

    assert attempts.begin(troubled, item_id) == (NotBegun.HELD, None)
    assert item_row(troubled, item_id).state == ItemState.QUEUED
    troubled.redis.flushdb()
    assert reconciler.resend_lost(troubled) == 0
    assert dispatcher.dispatch(troubled).is_held


def test_when_its_time_has_come_one_item_tries_and_the_others_wait(troubled, operator):
    first, second = queued(troubled, operator, *KEYS[:2])
    quick = with_pause(troubled, 1e-6)
    opened(quick)

    probe = attempts.begin(quick, first)

    assert isinstance(probe, Attempt)
    assert attempts.begin(quick, second)[0] is NotBegun.HELD
    assert state(quick).state is BreakerState.HALF_OPEN
    assert breaker.note_success(quick)
    assert isinstance(attempts.begin(quick, second), Attempt)


def test_a_failed_probe_waits_twice_as_long_and_at_most_five_minutes(troubled):
    opened(troubled)
    pauses = []
    for _probe in range(5):
        with troubled.engine.begin() as connection:
            breakers.begin_probe(connection, "offline", utc_now() + timedelta(hours=1), silent_since=utc_now())
        breaker.note_failure(troubled, DOWN)
        with troubled.engine.connect() as connection:
            pauses.append(connection.scalar(text("select round(extract(epoch from retry_at - changed_at)) from ops.breakers")))

    assert pauses == [120, 240, 300, 300, 300]


def test_a_probe_that_is_stopped_or_lost_lets_the_next_one_go(troubled, operator):
    first, second = queued(troubled, operator, *KEYS[:2])
    quick = with_pause(troubled, 1e-6)
    opened(quick)
    begun(quick, first)

    assert flow(quick) is Flow.HELD
    assert flow(quick, later=3600) is Flow.PROBE  # its worker was lost
    breaker.note_aborted(quick)
    assert isinstance(attempts.begin(quick, second), Attempt)


def test_content_that_only_needs_its_status_put_right_does_not_wait(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed")])
    opened(with_pause(redrive, 60))

    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    assert attempts.begin(redrive, item_id)[0] is NotBegun.REPAIRED


def test_a_model_that_is_down_costs_a_few_items_and_the_rest_goes_on_by_itself(troubled, settings, operator):
    item_ids = queued(troubled, operator, *KEYS)
    with ModelServer(script=["500"] * 100) as server:
        given = with_model(settings, server).model_copy(update={
            "model_retries": 0, "concurrency": 2, "breaker_failures": 3, "breaker_seconds": 1e-6})
        working = replace(troubled, settings=given)
        down = run_chunk(working, item_ids)
        server.script.clear()
        states = {item_id: item_row(troubled, item_id) for item_id in item_ids}
        left = [item_id for item_id in item_ids if states[item_id].state == ItemState.QUEUED]
        back = run_chunk(working, left)
        back_too = run_chunk(working, left)

    assert down["failed"] == 2
    assert all(states[item_id].attempt == states[item_id].returned_count + 1 for item_id in left)
    assert back.get("succeeded", 0) + back_too.get("succeeded", 0) == len(left) == 10


def test_a_text_of_its_own_that_fails_is_no_outage(troubled, settings, operator):
    item_ids = queued(troubled, operator, *KEYS[:6])
    with ModelServer(script=["refusal"] * 6) as server:
        working = replace(troubled, settings=with_model(settings, server).model_copy(update={"breaker_failures": 2}))
        outcomes = run_chunk(working, item_ids)

    assert outcomes == {"failed": 6}
    assert state(working).state is BreakerState.CLOSED


def test_an_item_that_is_given_back_is_not_counted_as_a_try(troubled, operator):
    item_id, = queued(troubled, operator, KEYS[0])

    withdrawals.give_back(troubled, begun(troubled, item_id).item)

    assert begun(troubled, item_id).item.tries == 1
