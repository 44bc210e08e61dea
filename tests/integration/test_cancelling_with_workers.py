"""Cancelling what real worker processes write: the model call is broken off, the others of the same job go on."""

import signal
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from sqlalchemy import select

from backend.actions import cancel
from backend.actions.force_stop import force_stop
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, Priority
from backend.content.stopping import CancelReason, CancelScope
from backend.jobs.queue import queue_name
from backend.storage.ops_tables import items
from tests.factories import add_roadmap, concept
from tests.integration.test_retry_with_workers import INTERACTIVE, completed, confirmed, with_model
from tests.model_server import HELD, ModelServer, held_but
from tests.model_wire import CLIENT_GONE
from tests.processes import MAINTENANCE, frozen, started, wait_for

KEYS = [ContentKey(ContentKind.TUTORIAL, "r1", f"c{number}") for number in range(6)]
REASON = CancelReason.NOT_NEEDED


def states(redrive) -> dict[str, ItemState]:
    with redrive.engine.connect() as connection:
        return {row.part: ItemState(row.state) for row in connection.execute(select(items))}


def add_broken(redrive) -> None:
    concepts = [concept(key.part, content_status="failed") for key in KEYS]
    add_roadmap(redrive.engine, concepts=concepts, unsaved=[(key.kind, key.part) for key in KEYS])


def all_running(redrive) -> bool:
    return set(states(redrive).values()) == {ItemState.RUNNING}


def horse_of(worker: psutil.Process) -> psutil.Process:
    return wait_for(lambda: next(iter(worker.children()), None), what="a work-horse")


def test_a_cancelled_item_stops_at_the_model_and_the_others_of_its_job_go_on(redrive, settings, operator):
    add_broken(redrive)
    with ModelServer(piece_seconds=HELD) as server, started(with_model(settings, server), MAINTENANCE, INTERACTIVE):
        operation_id = confirmed(redrive, operator, Scope.everything())
        wait_for(lambda: all_running(redrive), what="all to run")
        server.wait_for(lambda found: len(found) == len(KEYS))
        began = time.monotonic()
        done = cancel.cancel_items(redrive, CancelScope.of(*KEYS[:2]), operator, REASON)
        wait_for(lambda: list(states(redrive).values()).count(ItemState.CANCELLED) == 2, what="both to be confirmed")
        seconds = time.monotonic() - began
        requests = server.wait_for(lambda found: sum(request.status == CLIENT_GONE for request in found) == 2)
        server.piece_seconds = 0.0
        progress = completed(redrive, operation_id)

    assert done.cancelling_count == 2
    assert seconds < 30  # the target of 2 s is measured by `make bench`
    assert {request.subject for request in requests if request.status == CLIENT_GONE} == {f"Concept {key.part}" for key in KEYS[:2]}
    assert progress.counts[ItemState.SUCCEEDED] == 4


@pytest.mark.parametrize("is_redis_emptied", [False, True])
def test_a_work_horse_that_hangs_is_stopped_by_force_and_nothing_brings_its_job_back(redrive, settings, operator, is_redis_emptied):
    add_broken(redrive)
    with ModelServer(piece_seconds=HELD) as server, started(with_model(settings, server), MAINTENANCE, INTERACTIVE) as children:
        operation_id = confirmed(redrive, operator, Scope.everything())
        wait_for(lambda: all_running(redrive), what="all to run")
        horse = horse_of(psutil.Process(children[1].pid))
        with redrive.engine.connect() as connection:
            guilty = connection.execute(select(items).where(items.c.part == KEYS[0].part)).one()
        with frozen(settings.database_url.get_secret_value(), horse):  # it neither beats nor listens
            cancel.cancel_items(redrive, CancelScope.of(KEYS[0]), operator, REASON)
            if is_redis_emptied:  # nobody knows any more whose job it is
                redrive.redis.flushall()
            impatient = replace(redrive, settings=redrive.settings.model_copy(update={"force_stop_seconds": 0.0}))
            done = force_stop(impatient, [guilty.item_id], operator, "it hangs")
            psutil.wait_procs([horse], timeout=60)
        server.piece_seconds = 0.0
        failed = Queue(queue_name(Priority.INTERACTIVE), connection=Redis.from_url(
            settings.redis_url.get_secret_value()), serializer="json").failed_job_registry
        for job_id in failed.get_job_ids(cleanup=False):  # what "requeue all failed" of other dashboards does
            with suppress(NoSuchJobError, InvalidJobOperation):  # dropped just now
                failed.requeue(job_id)
        progress = completed(redrive, operation_id)

    assert (done.cancelled_count, done.is_complete) == (1, True)
    assert not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE
    assert states(redrive) == {KEYS[0].part: ItemState.CANCELLED, **{key.part: ItemState.SUCCEEDED for key in KEYS[1:]}}
    assert progress.counts[ItemState.SUCCEEDED] == 5
    with redrive.engine.connect() as connection:
        assert {row.attempt - row.returned_count for row in connection.execute(select(items))} == {1}


def test_a_worker_that_is_told_to_end_saves_what_is_nearly_done_and_gives_the_rest_back(redrive, settings, operator):
    add_broken(redrive)
    with ModelServer(latency_seconds=600, slow_seconds=600, script=["ok", "ok", "ok", "slow", "slow", "slow"]) as server:
        given = with_model(settings, server).model_copy(update={"stop_seconds": 10.0})
        with started(given, MAINTENANCE, INTERACTIVE) as children:
            operation_id = confirmed(redrive, operator, Scope.everything())
            wait_for(lambda: all_running(redrive), what="all to run")
            children[1].send_signal(signal.SIGTERM)
            server.latency_seconds = 0.2  # three of them are answered now
            exit_code = children[1].wait(60)
            counts = list(states(redrive).values())
            with started(given, INTERACTIVE):
                progress = completed(redrive, operation_id)

    assert exit_code == 0
    assert (counts.count(ItemState.SUCCEEDED), counts.count(ItemState.QUEUED)) == (3, 3)
    assert progress.counts[ItemState.SUCCEEDED] == 6
    with redrive.engine.connect() as connection:
        assert {row.attempt - row.returned_count for row in connection.execute(select(items))} == {1}


@pytest.mark.parametrize("moment", ["before_fork", "before_chunk"])
def test_a_worker_that_is_told_to_end_before_its_job_has_begun_gives_it_back(redrive, settings, operator, moment):
    add_broken(redrive)
    with ModelServer(latency_seconds=600) as server:
        given = with_model(settings, server).model_copy(update={"stop_seconds": 2.0})
        with started(given, MAINTENANCE, ("tests.early_sigterm", moment, "--queue", "interactive")) as (_maintenance, worker):
            operation_id = confirmed(redrive, operator, Scope.everything())
            exit_code = worker.wait(60)
            given_back = wait_for(lambda: set(states(redrive).values()) == {ItemState.QUEUED}, what="all items to be queued again")
            server.latency_seconds = 0.0
            started_at = time.monotonic()
            with started(given, INTERACTIVE):
                progress = completed(redrive, operation_id)

    assert (exit_code, given_back) == (0, True)
    assert progress.counts[ItemState.SUCCEEDED] == 6
    assert time.monotonic() - started_at < 300  # not as long as the model was to take
    with redrive.engine.connect() as connection:
        assert {row.attempt - row.returned_count for row in connection.execute(select(items))} == {1}


def test_a_pause_outlasts_a_restart_of_everything_and_the_rest_goes_on_when_it_is_resumed(redrive, settings, operator):
    add_broken(redrive)
    with ModelServer(latency_seconds=held_but(1)) as server:
        given = with_model(settings, server).model_copy(update={"concurrency": 1, "stop_seconds": 2.0})
        with started(given, MAINTENANCE, INTERACTIVE):
            operation_id = confirmed(redrive, operator, Scope.everything())
            wait_for(lambda: ItemState.SUCCEEDED in states(redrive).values(), what="the first item to be done")
            cancel.pause(redrive, operation_id, operator)
            server.latency_seconds = 0.0
            wait_for(lambda: ItemState.RUNNING not in states(redrive).values(), what="what runs to finish")
        done, asked = list(states(redrive).values()).count(ItemState.SUCCEEDED), len(server.requests)
        redrive.redis.flushall()
        with started(given, MAINTENANCE, INTERACTIVE):
            wait_for(lambda: redrive.queue.workers(), what="the worker to be back")
            other_id = retry_of_another(redrive, operator)  # has its turn, although it came later
            completed(redrive, other_id)
            still, still_asked = list(states(redrive).values()).count(ItemState.SUCCEEDED), len(server.requests)
            cancel.resume(redrive, operation_id, operator)
            progress = completed(redrive, operation_id)

    assert 1 <= done < 6
    assert (still, still_asked) == (done + 1, asked + 1)
    assert progress.counts[ItemState.SUCCEEDED] == 6


def retry_of_another(redrive, operator) -> str:
    add_roadmap(redrive.engine, "r2", concepts=[concept("other", content_status="failed")], unsaved=[(ContentKind.TUTORIAL, "other")])
    return confirmed(redrive, operator, Scope.of(ContentKey(ContentKind.TUTORIAL, "r2", "other")))
