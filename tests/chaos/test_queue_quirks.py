"""What RQ and Redis do that a queue should not do. Each was seen; none may lose or double an item."""

import psutil
import pytest
from rq import Queue
from rq.registry import FailedJobRegistry

from backend.actions import cancel, dispatcher, reconciler
from backend.actions.force_stop import force_stop
from backend.content.status import ItemState, Priority
from backend.content.stopping import CancelReason, CancelScope
from backend.jobs.queue import queue_name
from backend.views.detection import counts_and_problems
from tests.chaos.conftest import IS_LONG
from tests.chaos.evidence import key_of
from tests.chaos.stack import Stack, is_alive, mark_of
from tests.chaos.story import ADMIN, retry_all, with_model
from tests.model_server import HELD, ModelServer, held_but
from tests.processes import frozen

REDIS_AWAY_SECONDS = 40.0 if IS_LONG else 3.0  # RQ's own worker exits after 13 to 19 s when it is busy
QUEUE_KEY = f"rq:queue:{queue_name(Priority.INTERACTIVE)}"


def test_a_job_that_is_lost_after_it_was_dequeued_is_sent_again(servers, settings):
    with ModelServer() as server:
        stack = Stack(servers, with_model(settings, server), interactive=1)
        story = retry_all(stack, server, concepts=6)  # 18 items, 3 jobs
        dispatcher.dispatch(stack.redrive)
        redis = stack.redrive.redis
        redis.lmove(QUEUE_KEY, f"{QUEUE_KEY}:intermediate", "RIGHT", "LEFT")  # where BLMOVE puts it when the worker dies then
        redis.rpop(QUEUE_KEY)                                                 # what BLPOP leaves of it: nothing
        with stack:
            progress = story.wait_until_done()
            found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 18


def test_a_job_that_two_workers_get_is_done_once(servers, settings):
    with ModelServer(latency_seconds=0.2) as server:
        stack = Stack(servers, with_model(settings, server), interactive=2, maintenance=0)
        story = retry_all(stack, server, concepts=5)
        dispatcher.dispatch(stack.redrive)
        stack.redrive.redis.flushall()
        item_ids = [item.item_id for item in story.item_rows()]
        with stack:
            stack.wait_for(lambda: len(stack.redrive.queue.workers()) == 2, what="both workers")
            stack.redrive.queue.send(Priority.INTERACTIVE, {"once": item_ids, "again": item_ids})  # both begin at the same moment
            progress = stack.wait_for(lambda: mended(stack) and story.done(), what="the operation to complete")
            found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 15


def test_an_orphan_that_finishes_after_another_began_changes_nothing(servers, settings):
    with ModelServer(latency_seconds=HELD) as server:
        live = with_model(settings, server, lease_seconds=8)
        with Stack(servers, live, interactive=1) as stack:
            story = retry_all(stack, server, concepts=1)
            server.wait_for(lambda requests: len(requests) == 3)
            orphan, = stack.work_horses()
            # Silent for longer than its lease: it is taken for dead.
            with frozen(live.database_url.get_secret_value(), psutil.Process(orphan)), Stack(servers, live, interactive=1, maintenance=0):
                server.latency_seconds = 0.0
                progress = story.wait_until_done()
            stack.wait_for(lambda: orphan not in stack.work_horses(), what="the orphan to end")
            found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == 3
    assert {item.attempt for item in found.items} == {2}


@pytest.mark.timeout(300)
def test_a_job_that_ends_while_redis_is_away_is_not_run_again(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), bulk=2) as stack:
        story = retry_all(stack, server, concepts=10)
        story.wait_until_running(8)
        stack.stop_servers(stack.valkey_pid, away_seconds=600)
        server.latency_seconds = 0.2
        progress = story.wait_until_done()  # PostgreSQL is all that a work-horse needs
        stack.watch_for(REDIS_AWAY_SECONDS)
        stack.let_servers_back()
        stack.wait_for(lambda: len(stack.redrive.queue.workers()) >= 2, what="both workers, or others in their place")
        stack.wait_for(lambda: not stack.work_horses() and not stack.redrive.queue.length(Priority.BULK), what="RQ to come to rest")
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 30


@pytest.mark.timeout(300)
def test_a_worker_that_is_busy_outlasts_a_redis_that_is_away(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=1)
        story.wait_until_running(3)
        before = stack.pids("worker")
        stack.stop_servers(stack.valkey_pid, away_seconds=REDIS_AWAY_SECONDS)
        stack.watch_for(REDIS_AWAY_SECONDS)
        stack.wait_for(stack.redrive.redis.ping, what="Redis to be back")
        server.latency_seconds = 0.0
        progress = story.wait_until_done()
        after = stack.pids("worker")
        found = story.evidence()

    assert after == before
    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 3


def test_a_worker_that_exits_while_redis_is_away_is_replaced(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=1)
        story.wait_until_running(3)
        stack.stop_servers(stack.valkey_pid, away_seconds=4)
        horse, = stack.work_horses()
        stack.kill(stack.pids("worker")[0])
        stack.wait_for(lambda: not is_alive(horse), what="its work-horse to end too")
        server.latency_seconds = 0.0
        progress = story.wait_until_done()
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == 3
    assert {item.attempt for item in found.items} == {2}


def test_redis_emptied_in_the_middle_of_a_bulk_loses_and_doubles_nothing(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), bulk=2) as stack:
        story = retry_all(stack, server, roadmaps=2, concepts=15)
        for done in (5, 15):
            server.latency_seconds = held_but(done)
            stack.wait_for(lambda done=done: story.counts()[ItemState.SUCCEEDED] >= done, what=f"{done} items to be done")
            stack.redrive.redis.flushall()
        server.latency_seconds = 0.0
        progress = story.wait_until_done()
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 90


def test_requeuing_all_failed_jobs_brings_no_stopped_item_back(servers, settings, tmp_path):
    failpoint, mark = mark_of(tmp_path, "after_claim")  # a work-horse that does not react

    with ModelServer() as server, \
            Stack(servers, with_model(settings, server), failpoint=failpoint, interactive=1, maintenance=0) as stack:
        story = retry_all(stack, server, concepts=1)
        dispatcher.dispatch(stack.redrive)
        stack.wait_for(mark.exists, what="a work-horse that hangs")
        hung = story.wait_until_running()[0]
        cancel.cancel_items(stack.redrive, CancelScope.of(key_of(hung)), ADMIN, CancelReason.STUCK)
        stack.watch_for(settings.force_stop_seconds + 0.1)
        force_stop(stack.redrive, [hung.item_id], ADMIN, "it hangs")
        failed = FailedJobRegistry(queue=Queue(queue_name(Priority.INTERACTIVE), connection=stack.redrive.redis, serializer="json"))
        stopped = stack.wait_for(lambda: failed.get_job_ids(cleanup=False), what="RQ to file the job under failed")
        for job_id in stopped:
            failed.requeue(job_id)
        stack.wait_for(lambda: mended(stack) and story.counts()[ItemState.SUCCEEDED] == 2, what="the innocent items")
        stack.wait_for(lambda: not stack.redrive.queue.length(Priority.INTERACTIVE) and not stack.work_horses(), what="all jobs to end")
        stack.wait_for(lambda: mended(stack) and story.done(), what="the operation to complete")
        found = story.evidence()

    assert stopped == [hung.job_id]
    assert story_of(found, hung.item_id) == ItemState.CANCELLED
    assert key_of(hung) not in {call.key for call in found.calls}
    assert all(item.attempt - item.returned_count == 1 for item in found.items)


def mended(stack: Stack) -> bool:
    """What maintenance does, once."""
    reconciler.take_back_orphans(stack.redrive)
    reconciler.resend_lost(stack.redrive)
    dispatcher.complete_operations(stack.redrive)
    counts_and_problems(stack.redrive)
    return True


def story_of(found, item_id: int) -> str:
    return next(item.state for item in found.items if item.item_id == item_id)
