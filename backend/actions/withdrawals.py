"""What interrupts an attempt from outside: a lost worker, a shutdown, a person who cancels, a stop by force.

Each is one transaction with guards; who comes second changes nothing.
"""

from datetime import datetime

from backend.actions import settling
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import ItemState
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import items, stopping
from backend.storage.items import StoredItem

MAXIMUM_LOST_WORKERS = 3


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
    """An attempt that did nothing yet (shutdown, model held back): queued again, and not counted. False: it came too late."""
    with redrive.engine.begin() as connection:
        return bool(stopping.give_back(connection, [item.item_id], attempt=item.attempt))


def confirm_cancelled(redrive: Redrive, item: StoredItem) -> bool:
    """The worker has stopped writing it: running -> cancelled, its status put back. False: it came too late."""
    with redrive.engine.begin() as connection:
        return settling.cancel(connection, item, utc_now())


def force_stop(redrive: Redrive, item: StoredItem) -> tuple[bool, list[StoredItem]]:
    """(whether it was still running and is cancelled now, the innocent items of its job that are queued again).

    Their next attempt number is higher, so that a work-horse that still breathes changes nothing more.
    """
    with redrive.engine.begin() as connection:
        if not settling.cancel(connection, item, utc_now()):
            return False, []
        together = stopping.running_of_job(connection, item.job_id) if item.job_id else []
        given_back = stopping.give_back(connection, [found.item_id for found in together])
    for found in together:  # others that were told to stop die with the same work-horse
        if found.cancel_requested_at is not None:
            with redrive.engine.begin() as connection:
                settling.cancel(connection, found, utc_now())
    return True, given_back


def leave(redrive: Redrive, item_ids: list[int]) -> None:
    """Items of a job that ends before they were begun: they are sent again at once."""
    with redrive.engine.begin() as connection:
        stopping.leave_job(connection, item_ids)


def cancel_waiting_again(redrive: Redrive, item: StoredItem, *, by: str, reason: str) -> bool:
    """queued -> cancelled, of an item that was begun before and left its mark: the mark is put back."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        found = items.find_item(connection, item.item_id)
        if found is None or found.state not in (ItemState.PLANNED, ItemState.QUEUED):
            return False
        return settling.cancel(
            connection, found, now, before=found.state, cancel_requested_at=now, cancelled_by=by, cancel_reason=reason)
