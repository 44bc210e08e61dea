"""Stopping by force what was told to stop and does not: its items are taken from it, then its work-horse is killed."""

from collections.abc import Sequence

from sqlalchemy import Connection

from backend.actions import withdrawals
from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.actions.cancel import Cancelled, HeldElsewhere, NotFound, Refused, at_once, require_for_others
from backend.clock import utc_now
from backend.content import wording
from backend.content.stopping import may_force_stop
from backend.i18n import _
from backend.jobs import work_horses
from backend.redrive import Redrive
from backend.storage import audit, items
from backend.storage.items import StoredItem


def force_stop(redrive: Redrive, item_ids: Sequence[int], actor: Actor, reason: str) -> Cancelled:
    """Kill the work-horses of items that were told to stop and did not within the grace period.

    Innocent items of the same jobs are queued again and lose no try. Raises NotAllowed, NotFound, Refused,
    ReasonNeeded without words: it interrupts what others may be waiting for.
    """
    require(actor, Permission.CANCEL)
    if not reason.strip():
        raise ReasonNeeded(_("Say why it is stopped by force."))
    with redrive.engine.connect() as connection:
        found = [item for item_id in item_ids if (item := items.find_item(connection, item_id)) is not None]
        require_for_others(connection, found, actor)
    if not found:
        raise NotFound(_("There is no such item."))
    ready = [item for item in found if may_force_stop(
        item.state, item.cancel_requested_at, utc_now(), redrive.settings.force_stop_seconds)]
    if not ready:
        raise Refused(_("Nothing to stop by force: it has ended, or has not been told to stop for {seconds:g} s yet.").format(
            seconds=redrive.settings.force_stop_seconds))
    stopped = [done for item in ready if (done := _stop(redrive, item, actor, reason)) is not None]
    if not stopped:
        raise Refused(_("Nothing was stopped by force: it has ended in the meantime."))
    return Cancelled(sum(done.cancelled_count for done in stopped), 0, all(done.is_complete for done in stopped))


def _stop(redrive: Redrive, item: StoredItem, actor: Actor, reason: str) -> Cancelled | None:
    """None: it has ended, perhaps with the one before; nothing was changed."""
    try:
        cancelled_count = _withdraw(redrive, item, actor, reason)
    except HeldElsewhere:
        return _kill_first(redrive, item, actor, reason)
    if cancelled_count is None:
        return None
    # After PostgreSQL: what the work-horse would still save changes nothing.
    return Cancelled(cancelled_count, 0, work_horses.stop(redrive.queue, item.job_id, item.worker, item.started_at))


def _kill_first(redrive: Redrive, item: StoredItem, actor: Actor, reason: str) -> Cancelled | None:
    """Of a work-horse that hangs in the middle of saving: its death lets go of the rows."""
    is_dead = work_horses.stop(redrive.queue, item.job_id, item.worker, item.started_at)
    try:
        cancelled_count = _withdraw(redrive, item, actor, reason, is_dead=is_dead)
    except HeldElsewhere as exc:
        if not is_dead:
            raise
        freed = withdrawals.free_innocent(redrive, item)
        with redrive.engine.begin() as connection:
            _record(connection, item, actor, reason, _("its process was stopped, its rows are held; {items} queued again").format(
                items=wording.items(len(freed))))
        raise HeldElsewhere(_(
            "Its process was stopped, but another program has held its rows for {seconds:g} s, so it is not cancelled yet. "
            "That happens by itself as soon as they are let go.").format(seconds=withdrawals.LONGEST_WAIT_SECONDS)) from exc
    return None if cancelled_count is None else Cancelled(cancelled_count, 0, is_dead)


def _withdraw(redrive: Redrive, item: StoredItem, actor: Actor, reason: str, *, is_dead: bool = False) -> int | None:
    """How many are cancelled now. None: it has ended, and nothing was changed."""
    with at_once(redrive) as connection:
        stopped = withdrawals.force_stop(redrive, connection, item, is_dead=is_dead)
        if stopped is None:
            return None
        words = _("{items} of the same job queued again").format(items=wording.items(len(stopped.given_back)))
        if item.item_id not in {found.item_id for found in stopped.cancelled}:
            words = _("it had ended; {result}").format(result=words)
        _record(connection, item, actor, reason, words)
        return len(stopped.cancelled)


def _record(connection: Connection, item: StoredItem, actor: Actor, reason: str, result: str) -> None:
    audit.record(connection, actor, action="force_stop", scope=str(item.key), reason=reason, result=result,
                 operation_id=item.operation_id, task_id=item.task_id, at=utc_now())
