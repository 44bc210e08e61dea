"""How a process that does a job is stopped: by its worker, or by its pid where Redis does not know of it any more.

A bare pid is never trusted: it must be on this machine, a worker's, and older than the item that it took.
"""

import contextlib
import time
from datetime import datetime

import psutil

from backend.jobs.queue import JobQueue, QueueDown
from backend.processes import ProcessName, is_surely_gone, this_host

WORKER_MODULE = "workers.main"  # a work-horse is a fork of its worker and has its command line
GONE_SECONDS = 3.0              # RQ kills within some 11 ms; a machine that is full takes its time
CLOCK_SLACK_SECONDS = 2.0       # the kernel tells when a process began by a clock of its own


def stop(queue: JobQueue, job_id: str | None, horse: ProcessName | None, took_at: datetime | None) -> bool:
    """Kill the work-horse of a job that took its item then. False: it may still run.

    Of one on another machine True says that its worker was told.
    """
    is_told = _tell(queue, job_id)
    if horse is None or not horse.host or horse.host != this_host():
        return is_told
    return (is_told and _is_gone(horse)) or _kill(horse, took_at)


def _tell(queue: JobQueue, job_id: str | None) -> bool:
    try:
        return bool(job_id) and queue.stop(job_id)
    except QueueDown:
        return False


def _is_gone(horse: ProcessName) -> bool:
    """Within a moment."""
    end = time.monotonic() + GONE_SECONDS
    while not is_surely_gone(horse):
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True


def _kill(horse: ProcessName, took_at: datetime | None) -> bool:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(horse.pid)
        words = process.cmdline()
        if words:  # none: it is dying already, of what its worker was told
            if took_at is None or process.create_time() > took_at.timestamp() + CLOCK_SLACK_SECONDS or not _is_work_horse(process, words):
                return False
            process.kill()  # psutil looks first whether the pid is another process by now
        return _is_gone(horse)
    return is_surely_gone(horse)


def _is_work_horse(process: psutil.Process, words: list[str]) -> bool:
    parent = process.parent()
    return parent is not None and WORKER_MODULE in words and WORKER_MODULE in parent.cmdline()
