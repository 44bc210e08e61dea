"""The maintenance loop: drains what is dirty, sends what is planned, takes back what is lost, settles what is done.

Several may run; one works at a time, held by an advisory lock of PostgreSQL.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend import logs
from backend.actions import automatic, dispatcher, itemising, reconciler, supervision, triage
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.redrive import Redrive
from backend.settings import load
from backend.storage import cause_records, heartbeats, history, problems, regrouping, samples
from backend.storage.objects import StoreUnreachable
from backend.storage.recorded import in_one_line
from backend.views.availability import is_outage

log = structlog.get_logger()
MAINTENANCE_LOCK = 7_203_004
TICK_SECONDS = 0.1        # from commit to listed stays under a second
DISPATCH_SECONDS = 2.0    # one turn of a large bulk: about 15,000 items, so that owners are not looked at again for each few of theirs
OUTAGE_SECONDS = 1.0      # between tries while PostgreSQL is away
FAULT_SECONDS = 1.0       # until a duty that failed is tried again
SPILL_SECONDS = 3.0       # one listing of the object store


@dataclass(slots=True)
class Duty:
    """Something to do every so often. `do` says whether more of it waits: then it is due again at once."""

    name: str
    every_seconds: float
    do: Callable[[Redrive], bool]
    due_at: float = 0.0

    def run_if_due(self, redrive: Redrive) -> None:
        """The boundary around a duty: what one cannot do must not keep the others from being done. An outage is raised."""
        if time.monotonic() < self.due_at:
            return
        self.due_at = time.monotonic() + FAULT_SECONDS
        try:
            more_waits = self.do(redrive)
        except Exception as exc:
            if is_outage(exc):
                raise
            log.exception("duty_failed", duty=self.name)
        else:
            self.due_at = time.monotonic() + (0.0 if more_waits else self.every_seconds)


class Beside:
    """A duty that may take minutes: done in a thread of its own, one at a time, so that nobody's work waits for it."""

    def __init__(self, do: Callable[[Redrive], object]) -> None:
        self._do = do
        self._thread: threading.Thread | None = None

    def __call__(self, redrive: Redrive) -> bool:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(redrive,), daemon=True)
            self._thread.start()
        return False

    def _run(self, redrive: Redrive) -> None:
        try:
            self._do(redrive)
        except Exception as exc:  # the boundary, as of every duty; it is due again
            if is_outage(exc):
                log.warning("database_away", duty=self._do.__name__, error=in_one_line(exc))
            else:
                log.exception("duty_failed", duty=self._do.__name__)

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)


def duties(redrive: Redrive) -> list[Duty]:
    settings = redrive.settings
    return [
        Duty("dispatch", 0.2, _dispatch),
        Duty("drain", 0.0, _drain),
        Duty("supervise", 0.4, supervision.supervise),
        Duty("complete", 0.5, _complete),
        # Before lost items are taken back: what was finished while PostgreSQL was away must not be written again.
        Duty("save_spilled", SPILL_SECONDS, _quietly(reconciler.save_spilled)),
        # Not before a whole lease: after an outage of PostgreSQL living workers must first get to save and to beat.
        Duty("take_back", min(2.0, settings.lease_seconds / 4), _quietly(reconciler.take_back_lost),
             due_at=time.monotonic() + settings.lease_seconds),
        Duty("take_back_orphans", 1.0, _quietly(reconciler.take_back_orphans)),
        Duty("resend", min(2.0, settings.resend_seconds / 4), _quietly(reconciler.resend_lost)),
        Duty("drop_jobs", 2.0, _quietly(reconciler.drop_jobs_without_items)),
        Duty("mend_tasks", 3.0, _quietly(reconciler.mend_tasks)),
        Duty("finish_cancels", 5.0, _quietly(reconciler.finish_cancels)),
        Duty("mend_left_marks", 30.0, _quietly(reconciler.mend_left_marks)),
        Duty("mend_abandoned", 30.0, _quietly(reconciler.mend_abandoned)),
        Duty("heartbeat", 2.0, _beat),
        Duty("sample", 30.0, _sample),
        Duty("follow_causes", 5.0, _quietly(triage.follow)),  # it reads every problem of the causes that are called resolved
        Duty("retry_by_rules", 2.0, _quietly(automatic.run_due)),
        Duty("sample_causes", 60.0, _sample_causes),
        Duty("add_up", 60.0, _add_up),
        Duty("regroup", 60.0, Beside(_regroup)),
    ]


def _quietly(mend: Callable[[Redrive], int]) -> Callable[[Redrive], bool]:
    """A duty of the reconciler: it tells what it mends itself, and a round does all that it finds."""
    def do(redrive: Redrive) -> bool:
        try:
            mend(redrive)
        except StoreUnreachable as exc:
            log.warning("object_store_away", error=str(exc))
        return False
    return do


def _drain(redrive: Redrive) -> bool:
    """One batch: a full rebuild must not keep people's work waiting."""
    with redrive.engine.connect() as connection:
        if not problems.is_anything_dirty(connection, utc_now()):
            return False
    started = time.perf_counter()
    drained = problems.drain_batch(redrive.engine, utc_now, redrive.limits)
    if drained:
        milliseconds = round(1000 * (time.perf_counter() - started))
        log.debug("drained", owners=drained.owners, problems=drained.problems, milliseconds=milliseconds)
    return drained is not None


def _dispatch(redrive: Redrive) -> bool:
    """Rounds for some seconds at most: a large bulk is sent quickly, and what was written meanwhile is still drained in between."""
    ends_at = time.monotonic() + DISPATCH_SECONDS
    while more_waits := _dispatch_round(redrive):
        if time.monotonic() > ends_at:
            break
    return more_waits


def _dispatch_round(redrive: Redrive) -> bool:
    dispatcher.start_armed(redrive)  # what people wait for keeps its time beside a large bulk
    has_written = itemising.write_piece(redrive)
    done = dispatcher.dispatch(redrive)
    if done.queued:
        log.info("dispatched", queued=done.queued, is_held=done.is_held, is_parked=done.is_parked)
    return has_written or (bool(done.queued) and not done.is_parked and not done.is_held)


def _complete(redrive: Redrive) -> bool:
    completed = dispatcher.complete_operations(redrive)
    if completed:
        log.info("operations_completed", count=completed)
    return False


def _beat(redrive: Redrive) -> bool:
    with redrive.engine.begin() as connection:
        heartbeats.beat(connection, _process_name(), role="maintenance", now=utc_now())
    return False


def _sample(redrive: Redrive) -> bool:
    with redrive.engine.begin() as connection:
        samples.take(connection, utc_now())
    return False


def _sample_causes(redrive: Redrive) -> bool:
    with redrive.engine.begin() as connection:
        cause_records.sample(connection, utc_now())
    return False


def _add_up(redrive: Redrive) -> bool:
    """What is good again, what retries came to and what they cost. True: more keys are to be counted."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        settled = history.settle_recoveries(connection, now, redrive.limits.silence_seconds)
    with redrive.engine.begin() as connection:
        history.add_up_retries(connection, now)
        history.forget_old(connection, now)
    return settled == history.SETTLED_AT_ONCE


def _regroup(redrive: Redrive) -> None:
    """Once, when the rule of fingerprints has changed."""
    with redrive.engine.connect() as connection:
        is_due = regrouping.is_due(connection)
    if is_due:
        regrouping.regroup(redrive.engine)


def _process_name() -> str:
    return f"maintenance@{socket.gethostname()}:{os.getpid()}"


def run(redrive: Redrive, stop: threading.Event) -> None:
    """Work until told to stop. While PostgreSQL is away it waits and says so once."""
    is_out = False
    while not stop.is_set():
        try:
            _work_while_leading(redrive, stop)
            is_out = False
        except SQLAlchemyError as exc:
            if not is_out:
                log.error("database_away", error=in_one_line(exc))
            is_out = True
            stop.wait(OUTAGE_SECONDS)


def _work_while_leading(redrive: Redrive, stop: threading.Event) -> None:
    leadership = redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        while not leadership.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": MAINTENANCE_LOCK}):
            if stop.wait(OUTAGE_SECONDS):
                return
        log.info("maintenance_leads", process=_process_name())
        due = duties(redrive)
        while not stop.wait(TICK_SECONDS):
            for duty in due:
                duty.run_if_due(redrive)
            leadership.execute(text("select 1"))  # raises when the lock's connection is gone
    finally:
        leadership.invalidate()  # back in the pool it would hold the lock for ever, and nobody would lead
        leadership.close()


def main() -> None:
    settings = load()
    logs.configure_logging(settings)
    redrive = connect(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("maintenance_started", pid=os.getpid())
    try:
        run(redrive, stop)
    finally:
        redrive.close()


if __name__ == "__main__":
    main()
