"""The only client of RQ: sends chunks of item ids, and knows which jobs still stand somewhere.

Redis knows only what is running now. Nothing is decided from it but whether to send again.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.command import PUBSUB_CHANNEL_TEMPLATE, send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job

from backend.clock import utc_now
from backend.content.status import Priority
from backend.processes import ProcessName

RUN_ITEMS = "workers.jobs.run_items"  # the one function that workers accept
JOB_TIMEOUT_SECONDS = 4 * 3600        # a chunk may wait long on a slow model; silence of an item is found by its lease
RESULT_TTL_SECONDS = 60
FAILURE_TTL_SECONDS = 24 * 3600
WORKER_SILENCE = timedelta(seconds=20)  # a worker beats every 5 s, busy or idle
TAKEN_AT_MOST = timedelta(seconds=3)    # from a job taken to a job begun: some milliseconds, more on a full machine


class QueueDown(Exception):
    """Redis does not answer; what should be sent stays parked in PostgreSQL."""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    name: str
    queue: str
    is_busy: bool
    last_heartbeat_at: datetime | None
    host: str = ""
    pid: int | None = None
    job_id: str = ""  # that it runs now


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that RQ files as failed. Its items are taken back by their leases; it is only kept to be looked at."""

    job_id: str
    priority: Priority
    function: str
    ended_at: datetime | None
    error: str  # the last line of what was raised


def queue_name(priority: Priority) -> str:
    return f"redrive-{priority}"


def worker_name(process: ProcessName) -> str:
    """What a worker is called in Redis: who finds its job there can tell whether its process is gone."""
    return f"{process.host}:{process.pid}:{uuid4().hex[:8]}"


def _process_of(name: str) -> ProcessName | None:
    host, _, rest = name.rpartition(":")[0].rpartition(":")
    return ProcessName(host, int(rest)) if rest.isdigit() else None


def _just_taken(taken: IntermediateQueue) -> set[str]:
    """Job ids between waiting and running. One that stays there for seconds has lost its worker: its items are sent again."""
    job_ids = taken.get_job_ids()
    for job_id in job_ids:
        taken.set_first_seen(job_id)  # in Redis, as RQ does; it is never put off
    since_at = utc_now() - TAKEN_AT_MOST
    return {job_id for job_id in job_ids if (first_at := taken.get_first_seen(job_id)) and first_at > since_at}


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

    def send(self, priority: Priority, chunks: dict[str, Sequence[int]], *, at_front: bool = False) -> None:
        """Enqueue a job for each job id with its item ids. Raises QueueDown; sending again is harmless.

        What has waited already goes `at_front`, before everything that waits; the first chunk is the next job.
        """
        if not chunks:
            return
        queue = self._queue(priority)
        jobs = [
            Queue.prepare_data(
                RUN_ITEMS, (list(item_ids),), job_id=job_id, timeout=JOB_TIMEOUT_SECONDS, result_ttl=RESULT_TTL_SECONDS,
                failure_ttl=FAILURE_TTL_SECONDS, at_front=at_front)
            for job_id, item_ids in (reversed(chunks.items()) if at_front else chunks.items())]
        try:
            queue.enqueue_many(jobs)
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def standing(self, priority: Priority) -> set[str]:
        """Job ids of this queue that wait or run, or were taken by a worker just now. Raises QueueDown.

        Read in the order that a job moves, so that none slips through.
        """
        queue = self._queue(priority)
        try:
            waiting = set(queue.get_job_ids())
            taken = _just_taken(queue.intermediate_queue)
            started = queue.started_job_registry
            alive = self._redis.zrangebyscore(started.key, time.time(), "+inf")  # the score is when a silent job expires
            return waiting | taken | {started.parse_job_id(entry) for entry in alive}
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def abandoned(self, is_gone: Callable[[ProcessName], bool]) -> list[str]:
        """Job ids that RQ still lists as running and whose worker's process is gone. Raises QueueDown."""
        found: list[str] = []
        try:
            for priority in Priority:
                for entry in self._redis.zrange(self._queue(priority).started_job_registry.key, 0, -1):
                    execution = Execution.from_composite_key(entry.decode(), self._redis)
                    name = self._redis.hget(execution.key, "worker_name")
                    process = _process_of(name.decode()) if name else None
                    if process is not None and is_gone(process):
                        found.append(execution.job_id)
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
        return found

    def stop(self, job_id: str) -> bool:
        """Tell the worker of a job to kill its work-horse. False: Redis does not know who runs it (any more). Raises QueueDown.

        RQ files a killed job under failed; it is dropped there, and nothing is ever sent again from that registry. When Redis has
        lost its data every worker is told: those that do not run that job pay no heed.
        """
        try:
            try:
                send_stop_job_command(self._redis, job_id, serializer="json")
            except (NoSuchJobError, InvalidJobOperation):
                for channel in self._redis.pubsub_channels(PUBSUB_CHANNEL_TEMPLATE % "*"):
                    self._redis.publish(channel, json.dumps({"command": "stop-job", "job_id": job_id}))
                return False
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
        return True

    def waiting(self, priority: Priority) -> list[str]:
        """Job ids that wait in this queue, the next one first. Raises QueueDown."""
        try:
            return self._queue(priority).get_job_ids()
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def killed(self, priority: Priority) -> list[str]:
        """Jobs whose work-horse was stopped on purpose, as RQ files them under failed. Raises QueueDown."""
        try:
            failed = self._queue(priority).failed_job_registry.get_job_ids(cleanup=False)
            return [job_id for job_id in failed if self._redis.hget(Job.key_for(job_id), "status") == b"stopped"]
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc

    def dead_letters(self, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Jobs that RQ files as failed, newest first. Raises QueueDown."""
        found: list[DeadLetter] = []
        try:
            for priority in Priority:
                registry = self._queue(priority).failed_job_registry
                for job_id in registry.get_job_ids(cleanup=False, desc=True)[:limit]:
                    found.append(self._dead_letter(priority, job_id))
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
        return tuple(found)

    def _dead_letter(self, priority: Priority, job_id: str) -> DeadLetter:
        try:
            job = Job.fetch(job_id, connection=self._redis, serializer="json")
        except NoSuchJobError:
            return DeadLetter(job_id, priority, "", None, "")
        result = job.latest_result()
        words = (result.exc_string or "") if result else ""
        return DeadLetter(job_id, priority, job.func_name or "", job.ended_at, words.strip().splitlines()[-1] if words.strip() else "")

    def drop(self, priority: Priority, job_ids: Sequence[str]) -> int:
        """Take jobs out of the queue and out of the failed ones, whatever they are. Returns how many were there. Raises QueueDown."""
        queue, dropped = self._queue(priority), 0
        try:
            for job_id in job_ids:
                was_waiting = bool(self._redis.lrem(queue.key, 0, job_id))
                was_failed = bool(self._redis.zrem(queue.failed_job_registry.key, job_id))
                if was_waiting or was_failed:
                    dropped += 1
                    self._redis.delete(Job.key_for(job_id))
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
        return dropped

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
                WorkerSeen(worker.name, ", ".join(worker.queue_names()), worker.get_state() == "busy", worker.last_heartbeat,
                           worker.hostname or "", worker.pid, worker.get_current_job_id() or "")
                for worker in ours if worker.last_heartbeat and utc_now() - worker.last_heartbeat < WORKER_SILENCE)
        except (RedisError, OSError) as exc:
            raise QueueDown(str(exc)) from exc
