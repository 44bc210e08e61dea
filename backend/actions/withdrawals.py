"""What interrupts an attempt from outside: a lost worker, a shutdown, a person who cancels, a stop by force.

Each is one transaction with guards; who comes second changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime

from backend.actions import settling
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import ItemState
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import items, stopping, task_records
from backend.storage.items import StoredItem

MAXIMUM_LOST_WORKERS = 3
CANCEL_ROUNDS = 3


def take_back(redrive: Redrive, item: StoredItem, silent_since: datetime | None) -> ItemState | None:
    """An item whose worker is lost: queued again, failed when that happened too often, cancelled when it was told to stop.

    `silent_since` None: its process is known to be gone. Result None: it lives after all, or was told to stop in this very
    moment and is met again in the next round.
    """
    now = utc_now()
    with redrive.engine.begin() as connection:
        if item.cancel_requested_at is not None:
            is_ours = settling.cancel(connection, item, now, silent_since=silent_since)
            return ItemState.CANCELLED if is_ours else None
        if item.tries < MAXIMUM_LOST_WORKERS:
            return ItemState.QUEUED if items.take_back(connection, item, silent_since) else None
        lost = ItemError(ErrorKind.WORKER_LOST, _("Its worker was lost {count} times. Look at the worker's log, then retry it.").format(
            count=item.tries))
        return ItemState.FAILED if settling.fail(connection, item, lost, now, silent_since) else None


def give_back(redrive: Redrive, item: StoredItem) -> bool:
    """An attempt that did nothing yet (shutdown, model held back): queued again, and not counted. False: it came too late.

    One that was told to stop in the meantime is cancelled: nobody else is left to confirm it.
    """
    with redrive.engine.begin() as connection:
        return bool(stopping.give_back(connection, [item.item_id], attempt=item.attempt)) or settling.cancel(connection, item, utc_now())


def confirm_cancelled(redrive: Redrive, item: StoredItem) -> bool:
    """The worker has stopped writing it: running -> cancelled, its status put back. False: it came too late."""
    with redrive.engine.begin() as connection:
        return settling.cancel(connection, item, utc_now())


def force_stop(redrive: Redrive, item: StoredItem) -> tuple[int, list[StoredItem]]:
    """(how many are cancelled now: it and others of its job that were told to stop, the innocent ones that are queued again).

    Their next attempt number is higher, so that a work-horse that still breathes changes nothing more.
    """
    with redrive.engine.begin() as connection:
        if not settling.cancel(connection, item, utc_now()):
            return 0, []
        together = stopping.running_of_job(connection, item.job_id) if item.job_id else []
        given_back = stopping.give_back(connection, [found.item_id for found in together])
    cancelled = 1
    for found in together:  # others that were told to stop die with the same work-horse
        if found.cancel_requested_at is not None:
            with redrive.engine.begin() as connection:
                cancelled += settling.cancel(connection, found, utc_now())
    return cancelled, given_back


def leave(redrive: Redrive, item_ids: list[int]) -> None:
    """Items of a job that ends before they were begun: they are sent again at once."""
    with redrive.engine.begin() as connection:
        stopping.leave_job(connection, item_ids)


def cancel_all(redrive: Redrive, found: Sequence[StoredItem], *, by: str, reason: str) -> tuple[set[int], set[int]]:
    """(item ids that waited and are cancelled now, those that run and are told to stop). Others have ended, or had been told."""
    done: set[int] = set()
    told: set[int] = set()
    left = list(found)
    for _round in range(CANCEL_ROUNDS):  # what moved in the meantime (begun, taken back) is met in its new state
        done |= _cancel_waiting(redrive, left, by, reason)
        with redrive.engine.begin() as connection:
            running = [item.item_id for item in left if item.item_id not in done]
            told |= {item.item_id for item in stopping.request_cancel(connection, running, by=by, reason=reason, now=utc_now())}
            left = stopping.untold(connection, [item_id for item_id in running if item_id not in told])
        if not left:
            break
    return done, told


def _cancel_waiting(redrive: Redrive, found: Sequence[StoredItem], by: str, reason: str) -> set[int]:
    """Those that waited and are cancelled now."""
    now = utc_now()
    fresh = [item.item_id for item in found if item.attempt == 1]
    with redrive.engine.begin() as connection:
        cancelled = stopping.cancel_waiting(connection, fresh, by=by, reason=reason, now=now)
        for task_id in sorted({item.task_id for item in cancelled if item.task_id}):
            task_records.record_progress(connection, task_id, now)
    marked = [item for item in found if item.attempt > 1]  # begun before and queued again: their mark is put back
    return {item.item_id for item in cancelled} | {
        item.item_id for item in marked if _cancel_waiting_again(redrive, item, by=by, reason=reason)}


def _cancel_waiting_again(redrive: Redrive, item: StoredItem, *, by: str, reason: str) -> bool:
    """queued -> cancelled, of an item that was begun before and left its mark: the mark is put back."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        found = items.find_item(connection, item.item_id)
        if found is None or found.state not in (ItemState.PLANNED, ItemState.QUEUED):
            return False
        return settling.cancel(
            connection, found, now, before=found.state, cancel_requested_at=now, cancelled_by=by, cancel_reason=reason)
