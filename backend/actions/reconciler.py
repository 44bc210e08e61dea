"""What Redis, workers and other programs left behind is found and mended, counted and written down.

Runs in the maintenance process, each duty every few seconds; each reads what is unsettled and no more, so cost follows change.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from backend.actions import breaker, settling, spills, withdrawals
from backend.actions.breaker import Flow
from backend.actions.dispatcher import chunk_items
from backend.actions.withdrawals import MENDING_WAIT_SECONDS
from backend.clock import utc_now
from backend.content.status import FindingKind, ItemState, Priority
from backend.content.stopping import CancelScope
from backend.i18n import _
from backend.jobs.queue import QueueDown
from backend.processes import is_surely_gone, this_host
from backend.redrive import Redrive
from backend.storage import abandoned, findings, items, leases, stopping, task_records
from backend.storage.engine import unless_held
from backend.storage.items import StoredItem
from backend.storage.objects import StoreUnreachable

log = structlog.get_logger()
MENDED_AT_ONCE = 500
CANCEL_SECONDS = 5  # a cancel that is younger may be going on
UNFINISHED_WAITS = (ItemState.PLANNED, ItemState.QUEUED)


def resend_lost(redrive: Redrive) -> int:
    """Send again what stays queued while its job stands in no list. Twice is harmless: claiming is guarded.

    Redis down parks it. While a provider is held back only repairs go, and one item when it is time to see whether it is back.
    """
    now = utc_now()
    before = now - timedelta(seconds=redrive.settings.resend_seconds)
    resent: list[int] = []
    try:
        standing = set[str]().union(*(redrive.queue.standing(priority) for priority in Priority))
        with redrive.engine.connect() as connection:
            flows = breaker.flows(redrive, connection, now)
            lost = {kinds: items.jobless(connection, before, standing, kinds=kinds, may_generate=flow is not Flow.HELD)
                    for kinds, flow in flows.items()}
        for kinds, flow in flows.items():
            for priority, item_ids in lost[kinds][:1] if flow is Flow.PROBE else lost[kinds]:
                resent += _send_again(redrive, priority, item_ids[:1] if flow is Flow.PROBE else item_ids)
    except QueueDown:
        pass  # parked: looked at again
    return _found(redrive, FindingKind.QUEUED_WITHOUT_JOB, resent)


def _send_again(redrive: Redrive, priority: Priority, item_ids: Sequence[int]) -> list[int]:
    size = chunk_items(redrive, priority)
    chunks: dict[str, Sequence[int]] = {}
    with redrive.engine.begin() as connection:
        for start in range(0, len(item_ids), size):
            job_id = uuid4().hex
            left = items.reassign(connection, item_ids[start:start + size], job_id, utc_now())
            if left:
                chunks[job_id] = left
    redrive.queue.send(priority, chunks, at_front=True)  # it was their turn before
    return [item_id for sent in chunks.values() for item_id in sent]


def drop_jobs_without_items(redrive: Redrive) -> int:
    """Jobs in Redis that no unsettled item belongs to: of what was cancelled, paused or sent again. Killed jobs too."""
    dropped: list[str] = []
    try:
        for priority in Priority:
            job_ids = redrive.queue.waiting(priority) + redrive.queue.killed(priority)
            if not job_ids:
                continue
            with redrive.engine.connect() as connection:
                wanted = items.jobs_with_items(connection, job_ids)
            idle = [job_id for job_id in job_ids if job_id not in wanted]
            if redrive.queue.drop(priority, idle):
                dropped += idle
    except QueueDown:
        pass  # looked at again
    return _found(redrive, FindingKind.JOB_WITHOUT_ITEM, dropped)


def take_back_lost(redrive: Redrive) -> int:
    """Items whose worker fell silent go back to queued with the next attempt number, at most three times.

    A slow but living worker keeps its items: it beats.
    """
    silent_since = utc_now() - timedelta(seconds=redrive.settings.lease_seconds)
    with redrive.engine.connect() as connection:
        lost = leases.lost_items(connection, silent_since)
    return _take_back(redrive, lost, silent_since)


def take_back_orphans(redrive: Redrive) -> int:
    """Items whose process ran on this machine and is gone: nobody needs to wait for their lease.

    What it had not begun of the same job is sent again too; Redis would list a killed worker's job as running for 15 s more.
    """
    with redrive.engine.connect() as connection:
        seen = leases.running_on(connection, this_host()) if this_host() else []
    orphans = [item for item in seen if item.worker and is_surely_gone(item.worker)]
    try:
        job_ids = set(redrive.queue.abandoned(is_surely_gone))  # it may have died before it began any of them
    except QueueDown:
        job_ids = set()
    job_ids |= {item.job_id for item in orphans if item.job_id}
    if job_ids:
        with redrive.engine.begin() as connection:
            stopping.leave_jobs(connection, sorted(job_ids))
    return _take_back(redrive, orphans, None)


def _take_back(redrive: Redrive, lost: Sequence[StoredItem], silent_since: datetime | None) -> int:
    taken_back = []
    for item in _without_text(redrive, lost):
        outcome = withdrawals.take_back(redrive, item, silent_since)
        if outcome is not None:
            taken_back.append(item.key)
            log.warning("item_taken_back", item_id=item.item_id, key=str(item.key), attempt=item.attempt, outcome=outcome.value)
    return _found(redrive, FindingKind.RUNNING_WITHOUT_HEARTBEAT, taken_back)


def _without_text(redrive: Redrive, lost: Sequence[StoredItem]) -> list[StoredItem]:
    """Those of which nothing is there: what a lost worker had finished is saved before it would be written again.

    A text that cannot be saved now, because somebody holds its row, keeps its item; an object store that cannot tell keeps all.
    """
    if not lost:
        return []
    try:
        save_spilled(redrive)
        written = spills.standing(redrive, lost)
    except StoreUnreachable as exc:
        log.warning("object_store_away", error=str(exc))
        return []
    return [item for item in lost if item.item_id not in written]


def mend_tasks(redrive: Redrive) -> int:
    """A task's status is what its items say, whoever wrote it; what another program cancelled is cancelled in its items."""
    with redrive.engine.connect() as connection:
        disagreeing, cancelled = task_records.disagreeing_tasks(connection, MENDED_AT_ONCE)
    mended = {task_id for task_id in disagreeing if _tell_task(redrive, task_id)}
    mended |= {task_id for task_id in cancelled if _cancel_items_of(redrive, task_id)}
    return _found(redrive, FindingKind.TASK_DISAGREES, sorted(mended | _tell_ended_tasks(redrive)))


def _tell_task(redrive: Redrive, task_id: str) -> bool:
    """False: it is as its items say by now, or somebody holds it."""
    with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
        return task_records.record_progress(connection, task_id, utc_now())
    return False


def _tell_ended_tasks(redrive: Redrive) -> set[str]:
    """Of what has ended since the last look those that are told otherwise. What somebody holds is noted until the next look."""
    with redrive.engine.begin() as connection:
        noted = task_records.noted_ends(connection, MENDED_AT_ONCE)
        if not noted:
            return set()
        disagreeing = task_records.disagreeing_of(connection, list(noted))
        task_records.forget_ends(connection, [ended_id for task_id in noted.keys() - disagreeing for ended_id in noted[task_id]])
    mended = set()
    for task_id in sorted(disagreeing):
        with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
            task_records.forget_ends(connection, noted[task_id])
            if task_records.record_progress(connection, task_id, utc_now()):
                mended.add(task_id)
    return mended


def _cancel_items_of(redrive: Redrive, task_id: str) -> bool:
    done = None
    with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
        found = stopping.unsettled_of_task(connection, task_id)
        done = withdrawals.cancel_all(
            connection, found, by=_("the platform"), reason=_("The platform cancelled the task."), now=utc_now())
    for item in done.marked if done else ():
        withdrawals.put_back(redrive, item)
    return done is not None and bool(done.items)


def finish_cancels(redrive: Redrive) -> int:
    """What a cancel left behind whose process died: marks of waiting items that were not put back, items that nobody told.

    It is done in the name of who cancelled, for the reason that was given.
    """
    before = utc_now() - timedelta(seconds=CANCEL_SECONDS)
    with redrive.engine.connect() as connection:
        waiting = stopping.told_and_waiting(connection, before)
        cut_short = stopping.ended_with_rest(connection, before)
    for operation_id, by, reason in cut_short:
        with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
            found = stopping.unsettled_items(connection, CancelScope(operation_id=operation_id))
            waiting += withdrawals.cancel_all(connection, found, by=by, reason=reason, now=utc_now(), ends_tasks=True).items
    finished = {item.item_id for item in waiting if item.state not in UNFINISHED_WAITS or withdrawals.put_back(redrive, item)}
    return _found(redrive, FindingKind.CANCEL_CUT_SHORT, sorted(finished))


def mend_abandoned(redrive: Redrive) -> int:
    """Content that has been marked generating for long, with nobody at it, is marked failed: its readers do not wait for ever."""
    seconds = redrive.settings.abandoned_seconds
    if not seconds:
        return 0
    with redrive.engine.connect() as connection:
        stale = abandoned.stale_since(connection, utc_now() - timedelta(seconds=seconds), MENDED_AT_ONCE)
    mended = []
    for key, since_at in stale:
        words = _("Nobody has worked on it since {time} (UTC); marked failed.").format(time=f"{since_at:%Y-%m-%d %H:%M}")
        with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
            if abandoned.mark_failed(connection, key, words, utc_now()):
                mended.append(key)
    return _found(redrive, FindingKind.GENERATING_UNATTENDED, mended)


def mend_left_marks(redrive: Redrive) -> int:
    """What an item of ours marked as generating, and has ended since, is declared as it should have been then."""
    with redrive.engine.connect() as connection:
        left = abandoned.left_by_items(connection, MENDED_AT_ONCE)
    mended = []
    for item, error in left:
        with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
            is_mended = (abandoned.mark_failed(connection, item.key, error, utc_now()) if item.state is ItemState.FAILED
                         else settling.put_back_left(connection, item, utc_now()))
            if is_mended:
                mended.append(item.key)
    return _found(redrive, FindingKind.GENERATING_UNATTENDED, mended)


def save_spilled(redrive: Redrive) -> int:
    """Finished texts that PostgreSQL did not take are saved now. Raises StoreUnreachable."""
    return _found(redrive, FindingKind.TEXT_NOT_SAVED, spills.save_spilled(redrive))


def _found(redrive: Redrive, kind: FindingKind, mended: Iterable[object]) -> int:
    """Write down what was mended. Returns how many."""
    mended = list(mended)
    if mended:
        detail = ", ".join(map(str, mended[:3])) + (f" (+{len(mended) - 3})" if len(mended) > 3 else "")
        log.info("mended", finding=kind.value, count=len(mended), first=str(mended[0]))
        with redrive.engine.begin() as connection:
            findings.record(connection, kind, len(mended), detail, utc_now())
    return len(mended)
