"""A worker that is killed, at every moment that matters: nothing is lost, nothing is saved twice, no text is paid for twice but one."""

import signal
import time

import pytest

from backend.content.status import ItemState
from tests.chaos.conftest import IS_LONG
from tests.chaos.evidence import repeated_calls
from tests.chaos.stack import Stack, is_alive, mark_of
from tests.chaos.story import retry_all, with_model
from tests.model_server import HELD, ModelServer

# (where, who is killed there, how many whole texts may be asked for again)
MOMENTS = [("before_claim", "work-horse", 0), ("after_claim", "worker", 0), ("after_model", "work-horse", 1), ("after_save", "worker", 0)]
MORE_MOMENTS = [
    ("before_claim", "worker", 0), ("after_claim", "work-horse", 0), ("after_model", "worker", 1), ("after_save", "work-horse", 0)]

STOP_SECONDS = 12  # half of it for texts that are nearly done


@pytest.mark.parametrize(("point", "victim", "most_repeated"), [*MOMENTS, *(MORE_MOMENTS if IS_LONG else [])])
def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(servers, settings, tmp_path, point, victim, most_repeated):
    failpoint, mark = mark_of(tmp_path, point)
    one_by_one = settings.model_copy(update={"concurrency": 1})  # so that no other text is on its way

    # The next one, which may have begun, gets no answer before the blow.
    with ModelServer(latency_seconds=lambda _: HELD if len(server.requests) > 1 else 0.0) as server, \
            Stack(servers, with_model(one_by_one, server), failpoint=failpoint, interactive=1) as stack:
        story = retry_all(stack, server, concepts=2)
        horse = stack.wait_for(lambda: mark.exists() and mark.read_text(), what=f"a work-horse at {point}")
        stack.kill(int(horse) if victim == "work-horse" else stack.pids("worker")[0])
        stack.wait_for(lambda: not is_alive(int(horse)), what="the work-horse to end, with its worker too")
        server.latency_seconds = 0.0
        progress = story.wait_until_done()
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == 6
    assert sum(repeated_calls(found).values()) <= most_repeated
    assert len(found.calls) <= 6 + most_repeated + 1  # the next one had begun, and had no answer yet


def test_a_worker_killed_within_the_transaction_that_saves_leaves_nothing_half_done(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=2)
        story.wait_until_running(4)
        with stack.redrive.engine.connect() as holder:
            holder.exec_driver_sql("select 1 from roadmap_metadata for update")
            server.latency_seconds = 0.0
            stack.wait_for(lambda: waiting_for_locks(stack) >= 2, what="savers to wait for the roadmap")
            stack.wait_for(lambda: len(stack.redrive.objects.paths("spills/")) == len(story.item_rows(ItemState.RUNNING)),
                           what="their texts to be spilled beside that")
            stack.kill(stack.work_horses()[0])
            stack.wait_for(lambda: not stack.work_horses() or waiting_for_locks(stack) == 0, what="the dead to let go")
        story.wait_until_done()
        found = story.evidence()

    assert len(found.saved) == 6
    assert repeated_calls(found) == {}


def waiting_for_locks(stack) -> int:
    with stack.redrive.engine.connect() as connection:
        return connection.exec_driver_sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'").scalar()


def test_a_worker_told_to_stop_saves_what_it_can_and_gives_the_rest_back_uncounted(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, \
            Stack(servers, with_model(settings, server, stop_seconds=STOP_SECONDS), interactive=1) as stack:
        story = retry_all(stack, server, concepts=4)
        story.wait_until_running(4)
        server.wait_for(lambda requests: len(requests) >= 4)
        horse = stack.work_horses()[0]
        started = time.monotonic()
        stack.kill(stack.pids("worker")[0], signal.SIGTERM)
        server.latency_seconds = lambda concept: HELD if int(concept[-1]) % 2 else 0.0
        stack.wait_for(lambda: horse not in stack.work_horses(), what="the work-horse to end")
        seconds = time.monotonic() - started
        saved, given_back = story.item_rows(ItemState.SUCCEEDED), [item for item in story.item_rows() if item.returned_count]
        server.latency_seconds = 0.0
        story.wait_until_done()
        found = story.evidence()

    assert seconds < STOP_SECONDS
    assert saved
    assert given_back
    assert all(item.attempt - item.returned_count == 1 for item in found.items)  # no try was lost
    assert len(found.saved) == 12
