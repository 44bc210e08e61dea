"""Faults around a running item: each was found once, and none may lose, double or hide an item again."""

import socket
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta

import psutil
from redis import Redis
from sqlalchemy import select, text

from backend.actions import attempts, cancel, dispatcher, reconciler, retry, withdrawals
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.content.stopping import CancelReason, CancelScope
from backend.storage.items import StoredItem, find_item
from backend.storage.ops_tables import items
from backend.views import operations
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, add_task, ago, concept
from tests.integration.test_attempts import QUIZ, begun, item_row, queued, written
from tests.integration.test_retry_with_workers import INTERACTIVE, completed, confirmed, with_model
from tests.model_server import HELD, ModelServer
from tests.processes import MAINTENANCE, started, wait_for
from workers import maintenance
from workers.chunk import run_chunk

QUIZ_KEY = ContentKey(ContentKind.QUIZ, "r1", "a")


def without_quiz(redrive, *concept_ids: str) -> None:
    add_roadmap(redrive.engine, concepts=[concept(found) for found in concept_ids], unsaved=[(ContentKind.QUIZ, c) for c in concept_ids])


def test_maintenance_goes_on_after_a_duty_fails_and_after_it_loses_its_lock(redrive, monkeypatch):
    without_quiz(redrive, "a")
    stop = threading.Event()
    faults = [ValueError("a defect"), None]

    def failing(_redrive):
        fault = faults.pop(0) if faults else None
        if fault:
            raise fault
        return dispatcher.Dispatched()

    monkeypatch.setattr(reconciler, "take_back_lost", failing)
    monkeypatch.setattr(dispatcher, "dispatch", failing)
    loop = threading.Thread(target=maintenance.run, args=(redrive, stop))
    loop.start()
    try:
        wait_for(lambda: listed(redrive), what="the problem to be listed although a duty failed")
        with redrive.engine.begin() as connection:
            connection.execute(text(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = :lock and pid <> pg_backend_pid()"),
                {"lock": maintenance.MAINTENANCE_LOCK})
            connection.execute(text("delete from tutorial_metadata"))
        wait_for(lambda: listed(redrive) == 2, what="maintenance to lead again")
    finally:
        stop.set()
        loop.join(10)


def test_of_two_maintenance_processes_one_works_and_the_other_takes_over(redrive, settings, operator):
    without_quiz(redrive, "a")

    with started(settings, MAINTENANCE, MAINTENANCE) as both:
        leading = wait_for(lambda: leader(redrive), what="one to lead")
        wait_for(lambda: is_another_waiting(redrive), what="the other to wait for the lock")
        wait_for(lambda: listed(redrive) and heartbeats_of(redrive), what="the problem to be listed")
        beating = {row.process for row in heartbeats_of(redrive)}
        first = next(child for child in both if beating == {f"maintenance@{socket.gethostname()}:{child.pid}"})
        first.kill()
        wait_for(lambda: leader(redrive) not in (None, leading), what="the other to lead")
        wait_for(lambda: len(heartbeats_of(redrive)) == 2, what="the other to work")

    assert len(beating) == 1


def leader(redrive) -> int | None:
    """Which session of PostgreSQL holds the lock."""
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select pid from pg_locks where locktype = 'advisory' and objid = :lock and granted"),
                                 {"lock": maintenance.MAINTENANCE_LOCK})


def is_another_waiting(redrive) -> bool:
    """A session that has asked for the lock in vain last."""
    with redrive.engine.connect() as connection:
        return connection.scalar(text(
            "select exists (select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            "and query like '%pg_try_advisory_lock%' and pid not in (select pid from pg_locks where locktype = 'advisory' and granted))"))


def heartbeats_of(redrive) -> list:
    with redrive.engine.connect() as connection:
        return list(connection.execute(text("select process from ops.heartbeats where role = 'maintenance'")))


def listed(redrive) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select count(*) from ops.problems"))


def test_a_held_roadmap_does_not_make_living_items_look_dead(redrive, settings, operator):
    concept_ids = [f"c{n}" for n in range(8)]
    without_quiz(redrive, *concept_ids)
    item_ids = queued(redrive, operator, *(ContentKey(ContentKind.QUIZ, "r1", part) for part in concept_ids))
    short = settings.model_copy(update={"lease_seconds": 6.0})
    with ModelServer(latency_seconds=HELD) as server:
        working = threading.Thread(target=run_chunk, args=(with_settings(with_model(short, server)), item_ids))
        working.start()
        wait_for(lambda: operations.progress(redrive, item_row(redrive, item_ids[0]).operation_id).counts[ItemState.RUNNING] == 8,
                 what="all to run")
        with redrive.engine.begin() as connection:  # another program holds the roadmap for longer than the lease
            connection.execute(text("select 1 from roadmap_metadata for update"))
            server.latency_seconds = 0.0
            over_at = utc_now() + timedelta(seconds=short.lease_seconds)
            wait_for(lambda: min(item_row(redrive, item_id).heartbeat_at for item_id in item_ids) > over_at, what="all to live on")
            taken_back = reconciler.take_back_lost(replace(redrive, settings=short))
        working.join(120)

    assert taken_back == 0
    with redrive.engine.connect() as connection:
        assert set(connection.scalars(select(items.c.state))) == {ItemState.SUCCEEDED}


def with_settings(settings):
    from backend.bootstrap import connect
    return connect(settings, pool_size=10)


def test_redis_away_for_a_while_does_not_stop_what_is_being_written(redrive, settings, operator):
    without_quiz(redrive, "a")
    patient = settings.model_copy(update={"lease_seconds": 120})

    with ModelServer(latency_seconds=14) as server, started(with_model(patient, server), MAINTENANCE, INTERACTIVE):
        operation_id = confirmed(redrive, operator, Scope.everything())
        wait_for(lambda: server.requests, what="the model to be asked")
        valkey = psutil.Process(Redis.from_url(settings.redis_url.get_secret_value()).info("server")["process_id"])
        valkey.suspend()
        try:
            wait_for(lambda: item_row(redrive, 1).state == ItemState.SUCCEEDED, what="the text to be saved without Redis")
        finally:
            valkey.resume()
        completed(redrive, operation_id)
        calls = len(server.requests)

    assert (calls, item_row(redrive, 1).attempt) == (1, 1)


def test_an_item_that_cannot_be_begun_fails_by_name_instead_of_being_sent_for_ever(redrive, operator):
    with redrive.engine.begin() as connection:
        connection.execute(text("alter table roadmap_metadata alter column framework_data type json using framework_data::json"))
    without_quiz(redrive, "a")
    item_id, = queued(redrive, operator, QUIZ_KEY)
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set framework_data = '{\"stages\": [\"\\u0000\"]}'"))

    outcomes = run_chunk(redrive, [item_id])

    assert outcomes == {"failed": 1}
    assert item_row(redrive, item_id).state == ItemState.FAILED


def test_what_a_dead_work_horse_had_not_begun_waits_for_no_registry_of_redis(redrive, operator):
    without_quiz(redrive, "a", "b")
    begun_id, waiting_id = queued(redrive, operator, QUIZ_KEY, ContentKey(ContentKind.QUIZ, "r1", "b"))
    begun(redrive, begun_id)
    ended = subprocess.Popen(["true"])
    ended.wait()
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set worker_pid = :pid where item_id = :item_id"), {"pid": ended.pid, "item_id": begun_id})

    taken_back = reconciler.take_back_orphans(redrive)

    assert taken_back == 1
    assert [item_row(redrive, item_id).job_id for item_id in (begun_id, waiting_id)] == [None, None]


def test_an_item_that_is_cancelled_while_it_is_taken_back_does_not_wait_for_ever(redrive, operator):
    without_quiz(redrive, "a")
    item_id, = queued(redrive, operator, QUIZ_KEY)
    seen = begun(redrive, item_id).item
    cancel.cancel_items(redrive, CancelScope.of(QUIZ_KEY), operator, CancelReason.OTHER)

    first = withdrawals.take_back(redrive, seen, None)  # as it was seen before it was told to stop
    second = withdrawals.take_back(redrive, item_of(redrive, item_id), None)

    assert (first, second) == (None, ItemState.CANCELLED)


def item_of(redrive, item_id: int) -> StoredItem:
    with redrive.engine.connect() as connection:
        return find_item(connection, item_id)


def test_a_sign_of_life_saves_an_item_from_its_last_taking_back(redrive, operator):
    without_quiz(redrive, "a")
    item_id, = queued(redrive, operator, QUIZ_KEY)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set attempt = :last"), {"last": withdrawals.MAXIMUM_TAKEN_BACK + 1})
    attempt = begun(redrive, item_id)
    silent_since = item_row(redrive, item_id).heartbeat_at  # it beat at that moment: not before it

    outcome = withdrawals.take_back(redrive, attempt.item, silent_since)

    assert outcome is None
    assert attempts.save(redrive, attempt, written(QUIZ))


def test_the_outcome_does_not_call_a_deleted_roadmap_healthy(redrive, operator):
    without_quiz(redrive, "a")
    item_id, = queued(redrive, operator, QUIZ_KEY)
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set deleted_at = now()"))

    run_chunk(redrive, [item_id])
    progress = verified(redrive, item_row(redrive, item_id).operation_id)

    assert (progress.outcome_healthy, progress.outcome_gone, progress.tried) == (0, 1, 1)


def verified(redrive, operation_id: str) -> operations.Progress:
    for _ in range(3):
        dispatcher.complete_operations(redrive)
        counts_and_problems(redrive)
    return operations.progress(redrive, operation_id)


def test_a_key_that_is_being_written_is_excluded_as_running_not_as_mended(redrive, operator):
    without_quiz(redrive, "a")
    queued(redrive, operator, QUIZ_KEY)
    counts_and_problems(redrive)

    plan = retry.plan(redrive, Scope.of(QUIZ_KEY), operator)

    assert [left_out.rule for left_out in plan.excluded] == [ExclusionRule.ALREADY_RUNNING]


def test_a_key_that_the_platform_works_on_is_excluded_as_running(redrive, operator):
    without_quiz(redrive, "a")
    add_task(redrive.engine, status="processing", task_type="retry_quiz", roadmap_id="r1", concept_id="a", content_type="quiz",
             updated_at=ago(seconds=1))
    counts_and_problems(redrive)

    plan = retry.plan(redrive, Scope.of(QUIZ_KEY), operator)

    assert [left_out.rule for left_out in plan.excluded] == [ExclusionRule.ALREADY_RUNNING]


def test_a_tutorial_of_a_concept_with_a_long_chinese_id_can_be_saved(redrive, operator):
    long_id = "缓存" * 70
    add_roadmap(redrive.engine, concepts=[concept(long_id)], unsaved=[(ContentKind.TUTORIAL, long_id)])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.TUTORIAL, "r1", long_id))

    outcomes = run_chunk(redrive, [item_id])

    assert outcomes == {"succeeded": 1}


def test_a_failure_is_recorded_although_the_framework_cannot_be_read_any_more(redrive, operator):
    with redrive.engine.begin() as connection:
        connection.execute(text("alter table roadmap_metadata alter column framework_data type json using framework_data::json"))
    without_quiz(redrive, "a")
    item_id, = queued(redrive, operator, QUIZ_KEY)
    attempt = begun(redrive, item_id)
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set framework_data = '{\"stages\": [\"\\u0000\"]}'"))

    attempts.fail(redrive, attempt, ItemError(ErrorKind.MODEL_TIMEOUT, "timed out"))

    assert item_row(redrive, item_id).error_kind == ErrorKind.MODEL_TIMEOUT
