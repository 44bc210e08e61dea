"""What interrupts an attempt from outside: a lost worker, a shutdown, a person who cancels, a stop by force.

Each is one transaction with guards; who comes second changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from backend.actions import costs, settling
from backend.actions.kinds import is_marked_when_planned, keep_told
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import ItemState
from backend.content.written import Spent
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import items, leases, stopping, task_records
from backend.storage.engine import unless_held
from backend.storage.items import StoredItem

MAXIMUM_TAKEN_BACK = 3  # the next lost worker fails the item
LONGEST_WAIT_SECONDS = 5.0  # of a person, for a row that somebody else holds
MENDING_WAIT_SECONDS = 0.5  # of the reconciler: other items wait for it


def take_back(redrive: Redrive, item: StoredItem, silent_since: datetime | None) -> ItemState | None:
    """An item whose worker is lost: queued again, failed when that happened too often, cancelled when it was told to stop.

    `silent_since` None: its process is known to be gone. Result None: it lives after all, was told to stop in this very moment, or
    somebody holds its rows; it is met again in the next round.
    """
    with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
        keep_told(redrive, connection, item)
        return _take_back(connection, item, silent_since)
    return None  # held


def _take_back(connection: Connection, item: StoredItem, silent_since: datetime | None) -> ItemState | None:
    now = utc_now()
    if item.cancel_requested_at is not None:
        return ItemState.CANCELLED if settling.cancel(connection, item, now, silent_since=silent_since) else None
    if item.tries <= MAXIMUM_TAKEN_BACK:
        words = _("its process is gone") if silent_since is None else _("it gave no sign of life")
        return ItemState.QUEUED if leases.take_back(connection, item, silent_since, words) else None
    lost = ItemError(ErrorKind.WORKER_LOST, _("Its worker was lost {count} times. Look at the worker's log, then retry it.").format(
        count=item.tries))
    return ItemState.FAILED if settling.fail(connection, item, lost, now, silent_since) else None


def give_back(
    redrive: Redrive, item: StoredItem, spent: Spent | None = None, words: str = "", *, is_turned_away: bool = False,
) -> bool:
    """An attempt without an outcome (shutdown, model held back: `words`): queued again, and not counted. False: it came too late.

    One that was told to stop in the meantime is cancelled: nobody else is left to confirm it.
    """
    with redrive.engine.begin() as connection:
        given_back = stopping.give_back(connection, [item.item_id], words=words, attempt=item.attempt)
        is_ours = bool(given_back) or settling.cancel(connection, item, utc_now())
        if is_ours and spent:
            costs.add(redrive, connection, item, spent, is_turned_away=is_turned_away)
        return is_ours


def confirm_cancelled(redrive: Redrive, item: StoredItem, spent: Spent | None = None) -> bool:
    """The worker has stopped writing it: running -> cancelled, its status put back. False: it came too late."""
    with redrive.engine.begin() as connection:
        is_ours = settling.cancel(connection, item, utc_now())
        if is_ours and spent:
            costs.add(redrive, connection, item, spent)
        return is_ours


@dataclass(frozen=True, slots=True)
class StoppedJob:
    """What of a job was changed by force."""

    cancelled: tuple[StoredItem, ...]   # the one that was aimed at, and others that were told to stop
    given_back: tuple[StoredItem, ...]  # the innocent ones: queued again


def force_stop(redrive: Redrive, connection: Connection, item: StoredItem, *, is_dead: bool = False) -> StoppedJob | None:
    """All that its job runs is taken from it: what was told to stop is cancelled, the rest is queued again and loses no try.

    Their next attempt number is higher, so that a work-horse that still breathes changes nothing more. None: the item ended before
    it could be held, so nothing was changed and nobody is to die for it; with `is_dead` the work-horse is dead already, and the
    others are seen to in any case.
    """
    seen = [found for found in stopping.of_same_job(connection, item) if found.state is ItemState.RUNNING]
    for found in seen:
        keep_told(redrive, connection, found)
    owners = settling.hold_owners(connection, [found for found in seen if found.cancel_requested_at is not None])
    held = stopping.of_same_job(connection, item, is_held=True)  # what waits in it too: nothing more is begun meanwhile
    running = [found for found in held if found.state is ItemState.RUNNING]
    if not is_dead and (item.item_id, item.attempt) not in {(found.item_id, found.attempt) for found in running}:
        return None
    cancelled = settling.cancel_told(connection, running, owners, utc_now())
    return StoppedJob(tuple(cancelled), tuple(_give_back_innocent(connection, running)))


def _give_back_innocent(connection: Connection, together: Sequence[StoredItem]) -> list[StoredItem]:
    return stopping.give_back(connection, [found.item_id for found in together], words=_("its job was stopped by force"))


def free_innocent(redrive: Redrive, item: StoredItem) -> tuple[StoredItem, ...]:
    """The work-horse of an item is dead, and its own rows are held: at least the innocent ones of its job are queued again."""
    freed: list[StoredItem] = []
    with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
        freed = _give_back_innocent(connection, stopping.of_same_job(connection, item))
    return tuple(freed)


def leave(redrive: Redrive, item_ids: list[int]) -> None:
    """Items of a job that ends before they were begun: they are sent again at once."""
    with redrive.engine.begin() as connection:
        stopping.leave_job(connection, item_ids)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a cancel changed. What had ended, or had been told to stop already, is in none of them."""

    cancelled: tuple[StoredItem, ...]  # waited and was never begun
    told: tuple[StoredItem, ...]       # runs: its worker confirms
    marked: tuple[StoredItem, ...]     # waits, was begun before and left its mark: `put_back` ends it

    @property
    def items(self) -> tuple[StoredItem, ...]:
        return self.cancelled + self.told + self.marked

    def of(self, operation_id: str) -> "Withdrawn":
        return Withdrawn(*(tuple(item for item in found if item.operation_id == operation_id)
                           for found in (self.cancelled, self.told, self.marked)))


def cancel_all(
    connection: Connection, found: Sequence[StoredItem], *, by: str, reason: str, now: datetime, ends_tasks: bool = False,
) -> Withdrawn:
    """All of them at once, with who and why, in the transaction of the caller. With `ends_tasks` their tasks end as cancelled.

    `put_back` what is marked after the commit; whoever dies before that leaves it to the reconciler.
    """
    changed = stopping.request_cancel(connection, [item.item_id for item in found], by=by, reason=reason, now=now)
    cancelled = tuple(item for item in changed if item.state is ItemState.CANCELLED)
    if ends_tasks:
        task_records.mark_cancelling(connection, sorted({item.task_id for item in found if item.task_id}), now)
    for item in cancelled:
        if is_marked_when_planned(item):
            settling.put_back_status(connection, None, item, now)
    task_records.record_progress_of_many(connection, sorted({item.task_id for item in cancelled if item.task_id}), now)
    return Withdrawn(
        cancelled, tuple(item for item in changed if item.state is ItemState.RUNNING),
        tuple(item for item in changed if item.state in (ItemState.PLANNED, ItemState.QUEUED)))


def put_back(redrive: Redrive, item: StoredItem) -> bool:
    """planned | queued -> cancelled, of an item that was told to stop while it waited: its mark is what it was. False: not now."""
    is_done = False
    with unless_held(redrive.engine, MENDING_WAIT_SECONDS) as connection:
        found = items.find_item(connection, item.item_id)
        if found is not None and found.state in (ItemState.PLANNED, ItemState.QUEUED) and found.cancel_requested_at is not None:
            is_done = settling.cancel(connection, found, utc_now(), before=found.state)
    return is_done
