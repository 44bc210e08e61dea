"""The only client of RQ: sends chunks of item ids, and knows which jobs still stand somewhere.

Redis knows only what is running now. Nothing is decided from it but whether to send again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker

from backend.clock import utc_now
from backend.content.status import Priority

RUN_ITEMS = "workers.jobs.run_items"  # the one function that workers accept
JOB_TIMEOUT_SECONDS = 4 * 3600        # a chunk may wait long on a slow model; silence of an item is found by its lease
RESULT_TTL_SECONDS = 60
FAILURE_TTL_SECONDS = 24 * 3600
WORKER_SILENCE = timedelta(seconds=20)  # a worker beats every 5 s, busy or idle


class QueueDown(Exception):
    """Redis does not answer; what should be sent stays parked in PostgreSQL."""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    name: str
    queue: str
    is_busy: bool
    last_heartbeat_at: datetime | None


def queue_name(priority: Priority) -> str:
    return f"redrive-{priority}"


class JobQueue:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def _queue(self, priority: Priority) -> Queue:
        return Queue(queue_name(priority), connection=self._redis, serializer="json")

    def is_up(self) -> bool:
        try:
            return bool(self._redis.ping())
        except (RedisError, OSError):
            return False

    def send(self, priority: Priority, chunks: dict[str, Sequence[int]]) -> None:
        """Enqueue a job for each job id with its item ids. Raises QueueDown; sending again is harmless."""
        if not chunks:
            return
        queue = self._queue(priority)
        jobs = [
            Queue.prepare_data(
                RUN_ITEMS, (list(item_ids),), job_id=job_id, timeout=JOB_TIMEOUT_SECONDS, result_ttl=RESULT_TTL_SECONDS,
                failure_ttl=FAILURE_TTL_SECONDS)
            for job_id, item_ids in chunks.items()]
        try:
            queue.enqueue_many(jobs)
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def standing(self, priority: Priority) -> set[str]:
        """Job ids of this queue that wait or run. Raises QueueDown.

        Read in the order that a job moves, so that none slips through. A job that a dead worker had taken and not
        yet begun is in neither list: its items are sent again.
        """
        queue = self._queue(priority)
        try:
            waiting = set(queue.get_job_ids())
            started = queue.started_job_registry
            alive = self._redis.zrangebyscore(started.key, time.time(), "+inf")  # the score is when a silent job expires
            return waiting | {started.parse_job_id(entry) for entry in alive}
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def length(self, priority: Priority) -> int:
        try:
            return self._queue(priority).count
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def workers(self) -> tuple[WorkerSeen, ...]:
        """Worker processes that showed life lately. Raises QueueDown."""
        try:
            found = Worker.all(connection=self._redis)
            ours = [worker for worker in found if any(name.startswith("redrive-") for name in worker.queue_names())]
            return tuple(
                WorkerSeen(worker.name, ", ".join(worker.queue_names()), worker.get_state() == "busy", worker.last_heartbeat)
                for worker in ours if worker.last_heartbeat and utc_now() - worker.last_heartbeat < WORKER_SILENCE)
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
