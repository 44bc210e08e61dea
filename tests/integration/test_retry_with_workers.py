"""A retry with real worker and maintenance processes, over real PostgreSQL and Redis, with the model server on loopback."""

import os
import signal
from collections import Counter

import psutil
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import select, text

from backend.actions import retry
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemState, OperationState
from backend.storage.ops_tables import items
from backend.views import operations
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, concept
from tests.model_server import HELD, ModelServer
from tests.processes import MAINTENANCE, started, wait_for, worker

INTERACTIVE = worker("interactive")


def confirmed(redrive, operator, scope: Scope) -> str:
    since = utc_now()
    wait_for(lambda: counts_and_problems(redrive).as_of >= since, what="maintenance to have looked, where it is looking")
    return retry.confirm(redrive, retry.plan(redrive, scope, operator), operator).operation_id


def completed(redrive, operation_id: str, *, seconds: float = 300) -> operations.Progress:
    def found():
        progress = operations.progress(redrive, operation_id)
        return progress if progress.state is OperationState.COMPLETED else None
    return wait_for(found, seconds=seconds, what=f"operation {operation_id} to complete")


def with_model(settings, server: ModelServer):
    return settings.model_copy(update={"openai_base_url": server.base_url, "openai_api_key": SecretStr("test-key"), "model_retries": 0})


def saved_counts(redrive) -> Counter:
    with redrive.engine.connect() as connection:
        return Counter(dict(connection.execute(text(
            "select 'tutorial', count(*) from tutorial_metadata union all "
            "select 'resources', count(*) from resource_recommendation_metadata union all select 'quiz', count(*) from quiz_metadata"
        )).all()))


def test_what_is_shown_is_what_is_planned_is_what_is_done(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}", status=None) for n in range(21)], saved=(ContentKind.RESOURCES,))
    shown = {problem.key for problem in counts_and_problems(redrive).problems}
    plan = retry.plan(redrive, Scope.everything(), operator)

    with started(settings, MAINTENANCE, INTERACTIVE, worker("bulk")):
        operation_id = retry.confirm(redrive, plan, operator).operation_id
        progress = completed(redrive, operation_id)
    with redrive.engine.connect() as connection:
        done = {ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in connection.execute(
            select(items).where(items.c.state == ItemState.SUCCEEDED))}

    assert shown == plan.keys == done
    assert progress.outcome_healthy == len(shown) == 63
    assert counts_and_problems(redrive).problems == ()
    assert saved_counts(redrive) == {"tutorial": 21, "resources": 21, "quiz": 21}


def test_the_model_writes_each_key_once(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}", status=None) for n in range(10)], saved=())

    with ModelServer() as server, started(with_model(settings, server), MAINTENANCE, INTERACTIVE, INTERACTIVE):
        progress = completed(redrive, confirmed(redrive, operator, Scope.everything()))
        calls = len(server.requests)

    assert progress.counts[ItemState.SUCCEEDED] == 30
    assert calls == 30


def test_one_bad_answer_fails_one_item_and_the_rest_is_saved(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}") for n in range(6)], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))

    with ModelServer(script=["ok", "nul", "refusal"]) as server, started(with_model(settings, server), MAINTENANCE, INTERACTIVE):
        progress = completed(redrive, confirmed(redrive, operator, Scope.everything()))

    assert (progress.counts[ItemState.SUCCEEDED], progress.counts[ItemState.FAILED]) == (4, 2)
    assert (progress.outcome_healthy, progress.outcome_problems) == (4, {"failed": 2})
    with redrive.engine.connect() as connection:
        task = connection.execute(text("select status, failed_concepts, execution_summary from tasks")).one()
    assert task.status == "partial_failure"
    assert len(task.failed_concepts) == 2
    assert task.execution_summary["completed"] == 4


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}", status=None) for n in range(12)], saved=(ContentKind.TUTORIAL, ContentKind.QUIZ))

    with ModelServer(latency_seconds=0.5) as server:
        configured = with_model(settings, server).model_copy(update={"concurrency": 2})
        with started(configured, MAINTENANCE, INTERACTIVE) as (_maintenance, victim):
            operation_id = confirmed(redrive, operator, Scope.matching(ProblemFilter(kinds=(ContentKind.RESOURCES,))))
            wait_for(lambda: operations.progress(redrive, operation_id).counts[ItemState.RUNNING], what="an item to run")
            horses = psutil.Process(victim.pid).children()
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait(10)
            wait_for(lambda: not any(horse.is_running() and horse.status() != psutil.STATUS_ZOMBIE for horse in horses),
                     what="the work-horse to die with its worker")
            with started(configured, INTERACTIVE):
                progress = completed(redrive, operation_id)

    assert progress.counts[ItemState.SUCCEEDED] == 12
    assert saved_counts(redrive)["resources"] == 12


def test_jobs_lost_by_redis_are_sent_again(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}") for n in range(5)], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))

    with started(settings, MAINTENANCE):
        operation_id = confirmed(redrive, operator, Scope.everything())
        wait_for(lambda: operations.progress(redrive, operation_id).counts[ItemState.QUEUED] == 5, what="all to be queued")
        wait_for(lambda: redrive.redis.keys("rq:job:*"), what="the job to be sent")
        Redis.from_url(settings.redis_url.get_secret_value()).flushall()
        with started(settings, INTERACTIVE):
            progress = completed(redrive, operation_id)

    assert progress.counts[ItemState.SUCCEEDED] == 5


def test_a_retry_confirmed_while_redis_is_down_is_parked_and_sent_later(redrive, settings, operator, tmp_path):
    add_roadmap(redrive.engine, concepts=[concept(f"c{n}") for n in range(5)], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))
    without_redis = settings.model_copy(update={"redis_url": SecretStr(f"unix://{tmp_path}/nobody.sock")})
    parked = connect(without_redis)

    with started(without_redis, MAINTENANCE):
        operation_id = confirmed(parked, operator, Scope.everything())
        wait_for(lambda: heartbeat(parked), what="maintenance to work")
        held = operations.progress(parked, operation_id)
    with started(settings, MAINTENANCE, INTERACTIVE):
        progress = completed(redrive, operation_id)
    parked.close()

    assert held.counts[ItemState.PLANNED] == 5
    assert progress.counts[ItemState.SUCCEEDED] == 5


def heartbeat(redrive):
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select max(beat_at) from ops.heartbeats"))


def test_small_retries_of_people_do_not_wait_behind_a_bulk(redrive, settings, operator):
    add_roadmap(redrive.engine, "big", concepts=[concept(f"c{n}", status=None) for n in range(60)], saved=(ContentKind.TUTORIAL,))
    add_roadmap(redrive.engine, "small", concepts=[concept("a")], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))

    with ModelServer(latency_seconds=lambda subject: 0.0 if subject == "Concept a" else HELD) as server, \
            started(with_model(settings, server), MAINTENANCE, worker("bulk"), INTERACTIVE):
        bulk = confirmed(redrive, operator, Scope.matching(ProblemFilter(owner_id="big")))
        wait_for(lambda: operations.progress(redrive, bulk).counts[ItemState.RUNNING], what="the bulk to run")
        small = confirmed(redrive, operator, Scope.matching(ProblemFilter(owner_id="small")))
        completed(redrive, small)
        behind = operations.progress(redrive, bulk)
        server.latency_seconds = 0.0

    assert behind.counts[ItemState.SUCCEEDED] < behind.total


def test_a_worker_refuses_a_function_that_is_not_on_its_list(settings, redrive, tmp_path):
    from rq import Queue
    from rq.job import Job, JobStatus

    mark = tmp_path / "ran"
    queue = Queue("redrive-interactive", connection=redrive.redis, serializer="json")
    job = queue.enqueue("os.system", f"touch {mark}")

    with started(settings, INTERACTIVE):
        wait_for(lambda: Job.fetch(job.id, connection=redrive.redis, serializer="json").get_status() is JobStatus.FAILED,
                 what="the job to be refused")

    assert not mark.exists()


@pytest.mark.parametrize("queue", ["interactive"])
def test_no_process_keeps_a_secret_in_its_log(redrive, settings, operator, queue, capfd):
    add_roadmap(redrive.engine, concepts=[concept("a")], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))

    with ModelServer(script=["401"]) as server:
        secret = settings.model_copy(update={
            "openai_base_url": server.base_url, "openai_api_key": SecretStr("sk-very-secret-0123456789"), "model_retries": 0})
        with started(secret, MAINTENANCE, worker(queue)):
            completed(redrive, confirmed(redrive, operator, Scope.everything()))
    printed = capfd.readouterr()

    assert "item_failed" in printed.out + printed.err
    assert "sk-very-secret" not in printed.out + printed.err


def test_a_job_longer_than_the_heartbeat_does_not_end_its_worker(redrive, settings, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], saved=(ContentKind.TUTORIAL, ContentKind.RESOURCES))

    with ModelServer(latency_seconds=12) as server, started(with_model(settings, server), MAINTENANCE, INTERACTIVE) as children:
        progress = completed(redrive, confirmed(redrive, operator, Scope.everything()))
        is_alive = children[1].poll() is None
        calls = len(server.requests)

    assert progress.counts[ItemState.SUCCEEDED] == 1
    assert is_alive
    assert calls == 1


def test_workers_are_seen_again_after_redis_lost_everything(redrive, settings):
    with started(settings, INTERACTIVE):
        wait_for(lambda: redrive.queue.workers(), what="the worker to be seen")
        redrive.redis.flushall()

        seen = wait_for(lambda: redrive.queue.workers(), what="the worker to be seen again")

    assert [worker.queue for worker in seen] == ["redrive-interactive"]


def test_a_worker_that_is_started_while_redis_is_away_waits_for_it(redrive, settings, tmp_path, capfd):
    socket_path = tmp_path / "redis.sock"
    without_redis = settings.model_copy(update={"redis_url": SecretStr(f"unix://{socket_path}")})

    with started(without_redis, INTERACTIVE):
        wait_for(lambda: "redis_away" in "".join(capfd.readouterr()), what="it to miss Redis")
        socket_path.symlink_to(settings.redis_url.get_secret_value().removeprefix("unix://").partition("?")[0])

        seen = wait_for(lambda: redrive.queue.workers(), what="the worker to be seen")

    assert [worker.queue for worker in seen] == ["redrive-interactive"]


def test_a_killed_worker_is_soon_not_counted_as_alive(redrive, settings):
    with started(settings, INTERACTIVE) as (victim,):
        wait_for(lambda: redrive.queue.workers(), what="the worker to be seen")
        victim.kill()

        wait_for(lambda: not redrive.queue.workers(), seconds=40, what="the worker to be gone")
