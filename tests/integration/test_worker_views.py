"""Queues, workers and what was mended as the Workers page reads them; Redis away is told as such, and hides nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis
from rq import Worker
from rq.executions import Execution
from rq.job import Job

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.status import BreakerState, FindingKind, OperationState, Priority
from backend.jobs.queue import JobQueue, WorkerSeen, queue_name
from backend.storage import breakers, findings, heartbeats, objects
from backend.views import operations, overview, workers
from tests.factories import add_item, add_operation, ago


def without_redis(redrive):
    return replace(redrive, queue=JobQueue(Redis.from_url("redis://127.0.0.1:9/0", socket_connect_timeout=0.2)))


def queue_of(found: workers.WorkersView, priority: Priority) -> workers.QueueSeen:
    return next(queue for queue in found.queues if queue.priority is priority)


def test_a_queue_tells_jobs_and_items_and_how_long_the_oldest_waits(redrive):
    add_operation(redrive.engine)
    add_operation(redrive.engine, "o2", state="paused")
    add_item(redrive.engine, "a", state="queued", created_at=ago(minutes=7), queued_at=ago(seconds=1))  # sent again just now
    add_item(redrive.engine, "b", state="queued", created_at=ago(minutes=2))
    add_item(redrive.engine, "c", created_at=ago(hours=1))
    add_item(redrive.engine, "d", operation_id="o2")
    add_item(redrive.engine, "e", state="running", job_id="j", cancel_requested_at=ago(seconds=1))
    add_item(redrive.engine, "f", state="queued", attempt=2, cancel_requested_at=ago(seconds=1))
    redrive.queue.send(Priority.INTERACTIVE, {"job": [1], "other": [2]})

    found = workers.workers(redrive)

    queue = queue_of(found, Priority.INTERACTIVE)
    assert (queue.jobs_waiting, queue.planned, queue.held_by_pause, queue.queued, queue.running, queue.cancelling) == (2, 2, 1, 3, 1, 2)
    assert timedelta(minutes=6) < found.as_of - queue.oldest_planned_at < timedelta(minutes=8)
    assert queue_of(found, Priority.BULK).oldest_planned_at is None
    assert found.unsettled_count == 6


def test_keys_of_a_large_plan_that_are_not_items_yet_are_planned(redrive):
    add_operation(redrive.engine, state="armed", planned_count=7000, priority="bulk")
    add_item(redrive.engine, "a")
    add_item(redrive.engine, "b", state="cancelled")
    add_operation(redrive.engine, "o2", state="armed", planned_count=9, starts_at=ago(seconds=-5))  # all written, waits to be undone
    add_operation(redrive.engine, "o3", state="completed", planned_count=9)

    found = workers.workers(redrive)

    queue = queue_of(found, Priority.BULK)
    assert (queue.planned, queue.unwritten) == (6999, 6998)
    assert found.unsettled_count == 6999


def test_a_worker_counts_all_of_its_items_however_many_run(redrive, monkeypatch):
    add_operation(redrive.engine)
    for number in range(230):
        add_item(redrive.engine, f"c{number}", state="running", job_id="large", started_at=ago(minutes=5), heartbeat_at=ago(seconds=2))
    for number in range(4):
        add_item(redrive.engine, f"d{number}", state="running", job_id="late", worker_host="box/1f", started_at=ago(seconds=4 - number),
                 heartbeat_at=ago(seconds=number), cancel_requested_at=ago(seconds=1) if number else None)
    seen = (WorkerSeen("w1", "redrive-bulk", True, utc_now(), "box", 7, "large"),
            WorkerSeen("w2", "redrive-bulk", True, utc_now(), "box", 8, "late"))
    monkeypatch.setattr(JobQueue, "workers", lambda self: seen)

    large, late = (worker.work for worker in workers.workers(redrive).workers)

    assert (large.count, len(large.first)) == (230, 3)
    assert (late.host, late.count, late.cancelling) == ("box", 4, 3)
    assert [row.key.part for row in late.first] == ["d0", "d1", "d2"]
    assert late.heartbeat_at < ago(seconds=2)


def test_a_worker_tells_host_pid_and_the_items_of_its_job(redrive, monkeypatch):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a", state="running", job_id="mine", worker_host="box/1f", heartbeat_at=ago(seconds=2))
    add_item(redrive.engine, "b", state="running", job_id="lost", worker_host="other/2f", heartbeat_at=ago(seconds=40))
    seen = WorkerSeen("w1", "redrive-bulk", True, utc_now(), "box", 7, "mine")
    monkeypatch.setattr(JobQueue, "workers", lambda self: (seen,))

    found = workers.workers(redrive)

    (at_work,) = found.workers
    assert (at_work.seen.host, at_work.seen.pid, at_work.work.count, at_work.work.first[0].title) == ("box", 7, 1, "Concept a")
    assert [(work.host, work.job_id) for work in found.unclaimed_work] == [("other", "lost")]


def test_the_queue_gives_host_pid_and_current_job_of_a_worker(redrive):
    worker = Worker([queue_name(Priority.BULK)], connection=redrive.redis, serializer="json")
    worker.register_birth()
    redrive.queue.send(Priority.BULK, {"j1": [1]})
    with redrive.redis.pipeline() as pipeline:
        job = Job.fetch("j1", connection=redrive.redis, serializer="json")
        Execution.create(job, ttl=60, pipeline=pipeline, worker_name=worker.name)
        pipeline.execute()
    try:
        (seen,) = redrive.queue.workers()
    finally:
        worker.register_death()

    assert (seen.host, seen.pid, seen.job_id, seen.queue) == (worker.hostname, worker.pid, "j1", "redrive-bulk")


def test_with_redis_away_nothing_of_it_is_called_zero_and_postgresql_is_still_told(redrive):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a", state="running", job_id="j", worker_host="box/1f", heartbeat_at=ago(seconds=2))

    found = workers.workers(without_redis(redrive))

    assert (found.workers, found.dead_letters) == (None, None)
    assert {queue.jobs_waiting for queue in found.queues} == {None}
    assert queue_of(found, Priority.INTERACTIVE).running == 1
    assert [work.host for work in found.unclaimed_work] == ["box"]


def test_findings_are_summed_up_by_kind_over_a_day_and_the_last_ones_named(redrive):
    with redrive.engine.begin() as connection:
        for count, moment in ((2, ago(hours=1)), (3, ago(hours=2)), (50, ago(hours=30))):
            findings.record(connection, FindingKind.QUEUED_WITHOUT_JOB, count, "quiz:r1:a", moment)

    found = workers.workers(redrive)

    assert found.finding_totals[FindingKind.QUEUED_WITHOUT_JOB] == 5
    assert set(found.finding_totals) == set(FindingKind)
    assert [(row.count, row.detail) for row in found.findings] == [(2, "quiz:r1:a"), (3, "quiz:r1:a"), (50, "quiz:r1:a")]


def test_items_given_up_with_their_workers_are_named(redrive):
    add_item(redrive.engine, "a", state="failed", error_kind="worker_lost", error_message="lost 3 times", settled_at=ago(hours=1))
    add_item(redrive.engine, "b", state="failed", error_kind="worker_lost", settled_at=ago(hours=25))
    add_item(redrive.engine, "c", state="failed", error_kind="model_refused", settled_at=ago(hours=1))

    assert [row.key.part for row in workers.workers(redrive).lost_items] == ["a"]


def test_the_breaker_in_use_comes_first_and_its_error_holds_no_secret(redrive):
    with redrive.engine.begin() as connection:
        for provider in ("a-other", redrive.settings.provider):
            breakers.note_failure(connection, provider, ErrorKind.MODEL_UNREACHABLE, "Bearer abcdefghijkl", utc_now(), most_failures=1,
                                  pause_seconds=30)

    found = workers.workers(redrive).breakers

    assert [(breaker.provider, breaker.state) for breaker in found] == [
        (redrive.settings.provider, BreakerState.OPEN), ("a-other", BreakerState.OPEN)]
    assert "abcdefghijkl" not in found[0].error_message


def test_the_crew_tells_that_the_model_is_held_back_since_when_and_who_waits(redrive):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a")
    add_item(redrive.engine, "b", action="repair")
    assert overview.crew(redrive).held == ()
    with redrive.engine.begin() as connection:
        breakers.note_failure(connection, redrive.settings.provider, ErrorKind.MODEL_TIMEOUT, "timed out", utc_now(), most_failures=1,
                              pause_seconds=30)

    held, = overview.crew(redrive).held

    assert (held.waiting_count, held.error_kind, held.is_being_tried) == (1, ErrorKind.MODEL_TIMEOUT, False)
    assert held.next_try_at > held.since_at


def test_the_crew_tells_that_painters_are_held_back_and_only_covers_wait_for_them(redrive):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a")
    add_item(redrive.engine, "", kind="cover")
    with redrive.engine.begin() as connection:
        breakers.note_failure(connection, breakers.COVERS, ErrorKind.MODEL_TIMEOUT, "timed out", utc_now(), most_failures=1,
                              pause_seconds=30)

    held, = overview.crew(redrive).held

    assert (held.is_of_covers, held.waiting_count) == (True, 1)


def test_maintenance_processes_are_named_while_they_beat(redrive):
    with redrive.engine.begin() as connection:
        heartbeats.beat(connection, "maintenance@box:1", role="maintenance", now=utc_now())
        heartbeats.beat(connection, "maintenance@box:2", role="maintenance", now=ago(hours=1))

    assert [seen.process for seen in workers.workers(redrive).maintenance] == ["maintenance@box:1"]


def test_unsaved_texts_are_counted_and_a_silent_store_is_not_called_empty(redrive, monkeypatch):
    redrive.objects.put("spills/1-1.json", b"{}")
    redrive.objects.put("spills-set-aside/2-1.json", b"{}")
    redrive.objects.put("spills-set-aside/3-1.json", b"{}")
    assert workers.unsaved_texts(redrive) == workers.UnsavedTexts(waiting=1, set_aside=2)

    def away(self, prefix):
        raise objects.StoreUnreachable("away")
    monkeypatch.setattr(objects.Objects, "paths", away)

    assert workers.unsaved_texts(redrive) is None


@pytest.mark.parametrize(("state", "is_active"), [("running", True), ("cancelled", True), ("completed", False)])
def test_an_operation_is_active_until_its_last_item_has_stopped(redrive, state, is_active):
    add_operation(redrive.engine, state=state, settled_at=ago(hours=1), state_by="ann", state_reason="wrong")
    item_id = add_item(redrive.engine, "a", state="running" if is_active else "succeeded", cancel_requested_at=ago(seconds=1))
    add_item(redrive.engine, "b", state="cancelled")

    found = operations.active_operations(redrive)

    assert [progress.is_active for progress in found] == ([True] if is_active else [])
    if state == "cancelled":
        assert (found[0].cancelling_count, found[0].state_by, found[0].state_reason) == (1, "ann", "wrong")
        with redrive.engine.begin() as connection:
            connection.exec_driver_sql(f"update ops.items set state = 'cancelled' where item_id = {item_id}")
        assert not operations.progress(redrive, "o1").is_active


def test_a_paused_operation_stays_in_sight_behind_many_that_ended(redrive):
    add_operation(redrive.engine, "old", state="paused", created_at=ago(days=3))
    add_item(redrive.engine, "a", operation_id="old")
    for number in range(12):
        add_operation(redrive.engine, f"o{number}", state="completed", settled_at=ago(minutes=1))

    found = operations.active_operations(redrive)

    assert found[0].operation_id == "old"
    assert found[0].state is OperationState.PAUSED
