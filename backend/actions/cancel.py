"""Cancelling: what waits is cancelled at once, what runs is told to stop and confirms it, what is settled is refused by name.

Who comes second changes nothing: every change is one guarded UPDATE. It is written to the audit log in the same transaction.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from backend.actions import itemising, withdrawals
from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.actions.withdrawals import Withdrawn
from backend.clock import utc_now
from backend.content import wording
from backend.content.status import OperationState
from backend.content.stopping import CancelReason, CancelScope, may_cancel_operation, may_cancel_task
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, stopping, task_records
from backend.storage.engine import is_locked, wait_at_most
from backend.storage.items import StoredItem


class NotFound(LookupError):
    """There is no such task, operation or item; str() names it."""


class Refused(Exception):
    """It cannot be cancelled, paused or stopped as it is now; str() says why."""


class HeldElsewhere(Refused):
    """Somebody else holds its rows, and does not let go; str() says what to do."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of it."""

    cancelled_count: int     # at once
    cancelling_count: int    # were told to stop and have not confirmed yet
    is_complete: bool = True  # False: a process may still run; nothing of it changes content any more


def cancel_items(redrive: Redrive, scope: CancelScope, actor: Actor, reason: CancelReason, note: str = "") -> Cancelled:
    """Cancel every unsettled item in the scope. Everything needs words beside the reason.

    Raises NotAllowed, Refused when nothing in the scope can be cancelled (any more), ReasonNeeded when words are missing.
    """
    require(actor, Permission.CANCEL)
    if scope.is_everything and not note.strip():
        raise ReasonNeeded(_("Say why everything is to be cancelled."))
    words, now = _reason(reason, note), utc_now()
    with at_once(redrive) as connection:
        itemising.write_all(connection)
        found = [item for item in stopping.unsettled_items(connection, scope) if item.cancel_requested_at is None]
        require_for_others(connection, found, actor)
        done = withdrawals.cancel_all(connection, found, by=actor.actor_id, reason=words, now=now)
        _require_any(done)
        for operation_id in sorted({item.operation_id for item in done.items}):
            own = done.of(operation_id)
            task_ids = {item.task_id for item in own.items}
            _record(connection, actor, own, words, scope=_scope_words(scope, len(own.items)), operation_id=operation_id,
                    task_id=task_ids.pop() if len(task_ids) == 1 else None, at=now)
    return _ended(redrive, done)


def cancel_task(redrive: Redrive, task_id: str, actor: Actor, reason: CancelReason, note: str = "") -> Cancelled:
    """Cancel a pending or processing task, ours or the platform's own.

    Raises NotAllowed, NotFound, or Refused that names the state of a task that has ended.
    """
    require(actor, Permission.CANCEL)
    words, now = _reason(reason, note), utc_now()
    scope = _("task {task_id}").format(task_id=task_id)
    with at_once(redrive) as connection:
        task = task_records.find_task(connection, task_id)
        if task is None:
            raise NotFound(_("There is no task {task_id}.").format(task_id=task_id))
        found = stopping.unsettled_of_task(connection, task_id)
        if task.user_id != actor.actor_id and stopping.starters_of(connection, [item.item_id for item in found]) != {actor.actor_id}:
            require(actor, Permission.CANCEL_OTHERS)
        if not may_cancel_task(task.status):
            raise Refused(_("This task is {status}. Only pending and processing tasks can be cancelled.").format(
                status=wording.task_status(task.status)))
        if not task.is_ours:
            if not task_records.cancel_task_without_items(connection, task_id, _("Cancelled: {reason}").format(reason=words), now):
                raise Refused(_("This task has ended in the meantime; it was not cancelled."))
            audit.record(connection, actor, action="cancel", scope=scope, reason=words, result=_("cancelled"), task_id=task_id, at=now)
            return Cancelled(1, 0)
        done = withdrawals.cancel_all(connection, found, by=actor.actor_id, reason=words, now=now, ends_tasks=True)
        _require_any(done)
        _record(connection, actor, done, words, scope=scope, operation_id=done.items[0].operation_id, task_id=task_id, at=now)
    return _ended(redrive, done)


def cancel_operation(redrive: Redrive, operation_id: str, actor: Actor, reason: CancelReason, note: str = "") -> Cancelled:
    """Cancel what is left of an operation; what it has done stays.

    Raises NotAllowed, NotFound, or Refused that names the state of an operation that has ended.
    """
    words, now = _reason(reason, note), utc_now()
    with at_once(redrive) as connection:
        state = _require_operation(connection, operation_id, actor)
        if not may_cancel_operation(state):
            raise Refused(_("This operation is {state}; there is nothing left of it to cancel.").format(
                state=wording.OPERATION_STATES[state].lower()))
        # Before its items: the dispatcher queues nothing more of it.
        if not stopping.change_operation(connection, operation_id, (state,), OperationState.CANCELLED, by=actor.actor_id, reason=words,
                                         settled_at=now):
            raise Refused(_("This operation has changed in the meantime; look again."))
        done = _cancel_rest(connection, operation_id, actor, words, now)
        _record(connection, actor, done, words, scope=_operation_words(operation_id), operation_id=operation_id, at=now)
    return _ended(redrive, done)


def undo(redrive: Redrive, operation_id: str, actor: Actor) -> Cancelled:
    """Take back an operation that has not begun: armed -> undone, nothing of it was sent.

    Raises NotAllowed, NotFound, or Refused when it has begun.
    """
    words, now = _("Undone before it began"), utc_now()
    with at_once(redrive) as connection:
        _require_operation(connection, operation_id, actor)
        if not stopping.change_operation(connection, operation_id, (OperationState.ARMED,), OperationState.UNDONE, by=actor.actor_id,
                                         reason=words, settled_at=now):
            raise Refused(_("It has begun already. Cancel it instead."))
        done = _cancel_rest(connection, operation_id, actor, words, now)
        audit.record(connection, actor, action="undo", scope=_operation_words(operation_id), operation_id=operation_id, at=now,
                     result=_("{items} taken back").format(items=wording.items(len(done.items))))
    return _ended(redrive, done)


def _cancel_rest(connection: Connection, operation_id: str, actor: Actor, words: str, now: datetime) -> Withdrawn:
    itemising.write_all(connection, operation_id)
    found = stopping.unsettled_items(connection, CancelScope(operation_id=operation_id))
    return withdrawals.cancel_all(connection, found, by=actor.actor_id, reason=words, now=now, ends_tasks=True)


def pause(redrive: Redrive, operation_id: str, actor: Actor, reason: str = "") -> None:
    """What is done stays, what runs finishes, the rest waits. Raises NotAllowed, NotFound, Refused."""
    _change(redrive, operation_id, actor, reason, OperationState.RUNNING, OperationState.PAUSED, action="pause")


def resume(redrive: Redrive, operation_id: str, actor: Actor, reason: str = "") -> None:
    """Go on with the rest. Raises NotAllowed, NotFound, Refused."""
    _change(redrive, operation_id, actor, reason, OperationState.PAUSED, OperationState.RUNNING, action="resume")


@contextmanager
def at_once(redrive: Redrive) -> Iterator[Connection]:
    """One transaction for a change, its reason and its line in the audit log: all of it happens, or nothing. Raises HeldElsewhere."""
    try:
        with redrive.engine.begin() as connection:
            wait_at_most(connection, withdrawals.LONGEST_WAIT_SECONDS)
            yield connection
    except OperationalError as exc:
        if not is_locked(exc):
            raise
        raise HeldElsewhere(_(
            "Nothing was changed: a worker that hangs, or another program, has held the same rows for {seconds:g} s. "
            "Try again in a minute; what hangs is let go by then.").format(seconds=withdrawals.LONGEST_WAIT_SECONDS)) from exc


def _require_any(done: Withdrawn) -> None:
    if not done.items:
        raise Refused(_("Nothing to cancel: what you chose has ended, or has been told to stop already."))


def _record(connection: Connection, actor: Actor, done: Withdrawn, words: str, **about: Any) -> None:
    audit.record(connection, actor, action="cancel", reason=words, result=_("{cancelled} cancelled, {told} told to stop").format(
        cancelled=wording.items(len(done.cancelled) + len(done.marked)), told=wording.items(len(done.told))), **about)


def _ended(redrive: Redrive, done: Withdrawn) -> Cancelled:
    """After the commit: marks of what waits are put back. What cannot be now is left to the reconciler."""
    put_back = sum(withdrawals.put_back(redrive, item) for item in done.marked)
    return Cancelled(len(done.cancelled) + put_back, len(done.told) + len(done.marked) - put_back)


def _change(
    redrive: Redrive, operation_id: str, actor: Actor, reason: str, before: OperationState, after: OperationState, *, action: str,
) -> None:
    with at_once(redrive) as connection:
        state = _require_operation(connection, operation_id, actor)
        if not stopping.change_operation(connection, operation_id, (before,), after, by=actor.actor_id, reason=reason):
            raise Refused(_("This operation is {state}, so it cannot be changed like that.").format(
                state=wording.OPERATION_STATES[state].lower()))
        waiting = stopping.unqueue(connection, operation_id) if after is OperationState.PAUSED else 0
        audit.record(connection, actor, action=action, scope=_operation_words(operation_id),
                     reason=reason, operation_id=operation_id, result=_("{items} wait").format(items=wording.items(waiting)))


def _require_operation(connection: Connection, operation_id: str, actor: Actor) -> OperationState:
    require(actor, Permission.CANCEL)
    found = stopping.operation_of(connection, operation_id)
    if found is None:
        raise NotFound(_("There is no operation {operation_id}.").format(operation_id=operation_id))
    state, started_by = found
    if started_by != actor.actor_id:
        require(actor, Permission.CANCEL_OTHERS)
    return state


def require_for_others(connection: Connection, found: Sequence[StoredItem], actor: Actor) -> None:
    """What others have started needs the role."""
    if stopping.starters_of(connection, [item.item_id for item in found]) - {actor.actor_id}:
        require(actor, Permission.CANCEL_OTHERS)


def _reason(reason: CancelReason, note: str) -> str:
    words = wording.CANCEL_REASONS[reason]
    return f"{words}: {note.strip()}" if note.strip() else words


def _operation_words(operation_id: str) -> str:
    return _("operation {operation_id}").format(operation_id=operation_id[:8])


def _scope_words(scope: CancelScope, count: int) -> str:
    if scope.is_everything:
        return _("everything that is planned, queued or running")
    if scope.owner_id:
        return _("everything of {owner_id}").format(owner_id=scope.owner_id)
    if scope.cause_id:
        return _("everything that was planned for the cause {cause_id}").format(cause_id=scope.cause_id)
    return _("{items} chosen by hand").format(items=wording.items(count))
