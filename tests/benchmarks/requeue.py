"""(r) 10,000 failed items: "Requeue All" of rq-dashboard, and a retry of Redrive that is accepted and queued, on the same machine."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

from redis import Redis
from rq import Queue
from rq.job import JobStatus
from sqlalchemy import text

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.limits import OperationLimits
from backend.content.scopes import Scope
from backend.content.status import Priority
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage import problems
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, process, wait_until
from tests.benchmarks.table import Figure, median
from tests.ports import free_port

ITEMS, ROUNDS, TIMES_FASTER = 10_000, 3, 10
PLATFORM = Platform(4_000, broken_share=0.1)  # 36,000 problems: another 10,000 for each round
OPERATOR = Actor("benchmark", Role.ADMIN)
THEIR_DATABASE = 1  # of the same Valkey
THEIR_QUEUE = "failed-by-the-thousand"


def run() -> Iterator[Figure]:
    with Stand() as stand:
        settings = stand.settings(stand.database("requeue"))
        theirs = median([*_their_rounds(stand, settings)])
        accepted, queued = (median(seconds) for seconds in zip(*_our_rounds(stand, settings), strict=True))
    name = f"rq-dashboard {version('rq-dashboard')}"
    yield Figure(f"(r) {name}: Requeue All of {ITEMS:,} jobs answered", theirs, "s")
    yield Figure(f"(r) Redrive: {ITEMS:,} items accepted", accepted, "s", 1)
    yield Figure(f"(r) Redrive: {ITEMS:,} items queued and their jobs sent", queued, "s")
    yield Figure(f"(r) times faster than {name} until the click is answered", theirs / accepted, "", TIMES_FASTER, is_at_least=True)
    yield Figure(f"(r) times faster than {name} until everything is queued", theirs / queued, "")


def _their_rounds(stand: Stand, settings: Settings) -> Iterator[float]:
    redis_url = f"{settings.redis_url.get_secret_value().partition('?')[0]}?db={THEIR_DATABASE}"
    redis, port = Redis.from_url(redis_url), free_port()
    address = f"http://127.0.0.1:{port}"
    with process(settings, "-m", "rq_dashboard", "--bind", "127.0.0.1", "--port", str(port), "--redis-url", redis_url,
                 log_path=stand.folder / "rq-dashboard.log"):
        wait_until(lambda: _answers(address), timeout_seconds=30, every_seconds=0.1)
        for _round in range(ROUNDS):
            redis.flushdb()
            _fail_jobs(redis)
            started = time.perf_counter()
            with urllib.request.urlopen(urllib.request.Request(f"{address}/requeue/{THEIR_QUEUE}", method="POST"), timeout=300) as answer:
                answer.read()
            yield time.perf_counter() - started
            if redis.llen(f"rq:queue:{THEIR_QUEUE}") != ITEMS:
                raise RuntimeError(f"{redis.llen(f'rq:queue:{THEIR_QUEUE}')} jobs are queued again, not {ITEMS}")
    redis.flushdb()


def _fail_jobs(redis: Redis) -> None:
    """As a worker leaves them behind: status failed, in the registry of their queue."""
    queue = Queue(THEIR_QUEUE, connection=redis)
    jobs = queue.enqueue_many([Queue.prepare_data("tests.benchmarks.requeue.work", (number,)) for number in range(ITEMS)])
    redis.delete(queue.key)
    with redis.pipeline() as pipeline:
        for job in jobs:
            job.set_status(JobStatus.FAILED, pipeline=pipeline)
            queue.failed_job_registry.add(job, ttl=3600, pipeline=pipeline)
        pipeline.execute()


def work(number: int) -> int:
    """What the jobs would do; no worker listens."""
    return number


def _our_rounds(stand: Stand, settings: Settings) -> Iterator[tuple[float, float]]:
    """Seconds until accepted, and until all jobs are sent. The plan is made before, as rq-dashboard's page is before its click."""
    platform.load(settings.database_url.get_secret_value(), PLATFORM)
    redrive = connect(settings)
    try:
        problems.mark_all_dirty(redrive.engine)
        problems.drain(redrive.engine, utc_now, redrive.limits)
        with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze"))
        with process(settings, "-m", "workers.maintenance", log_path=stand.folder / "maintenance.log"):
            wait_until(lambda: _is_maintained(redrive), timeout_seconds=20)
            for _round in range(ROUNDS):
                yield _our_round(redrive)
    finally:
        redrive.close()


def _our_round(redrive: Redrive) -> tuple[float, float]:
    plan = retry.plan(redrive, Scope.everything(), OPERATOR)
    chosen, jobs_before = replace(plan, included=plan.included[:ITEMS]), redrive.queue.length(Priority.BULK)
    started = time.perf_counter()
    confirmed = retry.confirm(redrive, chosen, OPERATOR, "benchmark", limits=OperationLimits())
    accepted = time.perf_counter() - started
    if confirmed.item_count != ITEMS:
        raise RuntimeError(f"{confirmed.item_count} items were accepted, not {ITEMS}")
    wait_until(lambda: _all_sent(redrive, confirmed.operation_id, jobs_before), timeout_seconds=120, every_seconds=0.1)
    return accepted, time.perf_counter() - started


def _all_sent(redrive: Redrive, operation_id: str, jobs_before: int) -> bool:
    with redrive.engine.connect() as connection:
        queued, jobs = connection.execute(text(
            "select count(*), count(distinct job_id) from ops.items where operation_id = :operation_id and state = 'queued'"),
            {"operation_id": operation_id}).one()
    return queued == ITEMS and redrive.queue.length(Priority.BULK) - jobs_before >= jobs


def _is_maintained(redrive: Redrive) -> bool:
    with redrive.engine.connect() as connection:
        return bool(connection.scalar(text("select exists (select 1 from ops.heartbeats)")))


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
