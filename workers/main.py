"""One RQ worker process for one queue: python -m workers.main --queue interactive.

One queue per process and no scheduler inside: a worker that dies right after it took a job then loses nothing.
"""

import contextlib
import os
import signal
import time

import click
import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Worker, worker_registration
from rq.executions import Execution
from rq.job import Job

from backend import logs
from backend.bootstrap import NotConfigured, connect
from backend.content.status import Priority
from backend.host.lifelines import tie_to_parent
from backend.i18n import _
from backend.jobs.queue import RUN_ITEMS, queue_name, worker_name
from backend.processes import this_process
from backend.settings import load
from workers import jobs, shutdown  # noqa: F401  jobs preloads what a job needs before RQ forks: 0.05 s a job instead of 2 s
from workers.generators.choose import choose_generator
from workers.generators.painters.choose import choose_painter
from workers.generators.transport import read_ahead

log = structlog.get_logger()
MONITORING_SECONDS = 5
REDIS_SECONDS = 1.0    # between looks for a Redis that is away at the start
IDLE_BEAT_SECONDS = 5  # RQ waits worker_ttl - 15 s for a job before it beats again


class OnlyOurJob(Job):
    """A job of another function is refused: whoever can write to Redis must not choose what runs here."""

    @property
    def func(self):
        if self.func_name != RUN_ITEMS:
            raise PermissionError(f"{self.func_name} is not on the list of functions that this worker runs")
        return super().func


class ItemWorker(Worker):
    job_class = OnlyOurJob

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return MONITORING_SECONDS * 3  # RQ's own 90 s would hide a dead worker's job for so long

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Besides RQ's own: a Redis that lost its data learns again that this worker is there."""
        if not self.connection.hexists(self.key, "queues"):
            self.connection.hset(self.key, mapping=self.serialize())
            worker_registration.register(self)
        super().heartbeat(timeout, pipeline)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Redis away is no reason to end: the work-horse needs PostgreSQL only, and its items have leases of their own."""
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisError, OSError) as exc:
            log.warning("redis_away_while_working", job_id=job.id, error=str(exc))

    def handle_warm_shutdown_request(self) -> None:
        """SIGTERM: the work-horse hears it too, gives back what will not be done in time, and ends."""
        super().handle_warm_shutdown_request()
        self._ask_horse_to_stop()

    def _ask_horse_to_stop(self) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def fork_work_horse(self, job, queue):
        """A SIGTERM that arrives meanwhile waits until there is somebody to pass it on to; an earlier one is passed on now."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            super().fork_work_horse(job, queue)
            if self._stop_requested:
                self._ask_horse_to_stop()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def main_work_horse(self, job, queue):
        tie_to_parent(signal.SIGKILL)  # it does not outlive its worker; its items are taken back by their lease
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """RQ lets SIGTERM kill a work-horse; ours remembers it for the chunk that is about to begin."""
        super().setup_work_horse_signals()
        signal.signal(signal.SIGTERM, shutdown.ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


class BadSetting(click.ClickException):
    exit_code = 2


@click.command()
@click.option("--queue", "priority", type=click.Choice([str(priority) for priority in Priority]), required=True)
@click.option("--burst", is_flag=True, help="Stop when the queue is empty.")
def main(priority: str, burst: bool) -> None:
    settings = load()
    logs.configure_logging(settings)
    _read_ahead()
    try:  # a bad setting is told now, not by the first item
        connect(settings).close()  # names the servers and the object store; asks none of them
        choose_generator(settings)
        choose_painter(settings)
    except (NotConfigured, ValueError) as exc:
        raise BadSetting(str(exc)) from exc
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    _wait_for(redis)
    worker = ItemWorker(
        [queue_name(Priority(priority))], name=worker_name(this_process()), connection=redis,
        serializer="json", job_monitoring_interval=MONITORING_SECONDS, worker_ttl=IDLE_BEAT_SECONDS + 15,
        exception_handlers=[_log_failed_job], log_job_description=False)
    log.info("worker_started", queue=priority, pid=os.getpid())
    worker.work(burst=burst, with_scheduler=False, logging_level="WARNING")


def _read_ahead() -> None:
    """Here, for all its work-horses. Raises BadSetting."""
    try:
        read_ahead()
    except OSError as exc:
        raise BadSetting(_("The certificates cannot be read ({error}). Look at SSL_CERT_FILE and SSL_CERT_DIR.").format(error=exc)) from exc


def _wait_for(redis: Redis) -> None:
    """Redis away is no reason to end: started again and again, a worker would be told to wait longer each time. Says so once."""
    is_told = False
    while True:
        try:
            redis.ping()
        except (RedisError, OSError) as exc:
            if not is_told:
                log.warning("redis_away", error=str(exc))
            is_told = True
            time.sleep(REDIS_SECONDS)
        else:
            return


def _log_failed_job(job: Job, _kind, error: BaseException, _traceback) -> bool:
    log.error("job_failed", job_id=job.id, error=str(error))
    return True


if __name__ == "__main__":
    main()
