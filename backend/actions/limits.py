"""Changing the limits of an operation while it runs; the dispatcher obeys at its next round, the audit log says who and why."""

from sqlalchemy import Connection

from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.actions.cancel import NotFound, Refused
from backend.content import prices, wording
from backend.content.limits import OperationLimits
from backend.content.prices import NoPrice
from backend.content.stopping import may_cancel_operation
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, dispatching, frozen, items, stopping


def change(
    redrive: Redrive, operation_id: str, actor: Actor, before: OperationLimits, limits: OperationLimits, reason: str,
) -> OperationLimits:
    """Set the limits of an operation that has not ended; its canary and same-cause stop stay. Returns those that hold now.

    `before` are those that the person saw. Items that no worker has begun are handed out again under the new limits; what runs finishes.
    Raises NotAllowed, NotFound, Refused when it has ended or somebody changed them since, ReasonNeeded, NoPrice.
    """
    require(actor, Permission.CANCEL)
    if not reason.strip():
        raise ReasonNeeded(_("Say why the limits are changed."))
    with redrive.engine.begin() as connection:
        found = stopping.operation_of(connection, operation_id)
        if found is None:
            raise NotFound(_("There is no operation {operation_id}.").format(operation_id=operation_id))
        _state, started_by = found
        if started_by != actor.actor_id:
            require(actor, Permission.CANCEL_OTHERS)
        after = limits.with_thresholds_of(before)
        if after.budget_cost is not None and (unpriced := _unpriced(redrive, connection, operation_id)):
            raise NoPrice(unpriced)
        if not dispatching.set_limits(connection, operation_id, before, after):
            raise Refused(_why_not(connection, operation_id))
        waiting = stopping.unqueue(connection, operation_id)
        audit.record(
            connection, actor, action="change_limits", scope=_("operation {operation_id}").format(operation_id=operation_id[:8]),
            reason=reason.strip(), operation_id=operation_id, result=_("{before} -> {after}; {items} handed out again").format(
                before=wording.limits(before, redrive.settings.currency), after=wording.limits(after, redrive.settings.currency),
                items=wording.items(waiting)))
    return after


def unpriced_models(redrive: Redrive, operation_id: str) -> tuple[str, ...]:
    """Models without a price that its items may ask: with one of them no budget of money can be kept."""
    with redrive.engine.connect() as connection:
        return _unpriced(redrive, connection, operation_id)


def _unpriced(redrive: Redrive, connection: Connection, operation_id: str) -> tuple[str, ...]:
    found = prices.unpriced_models(redrive.settings)
    if not found or frozen.is_any(connection, operation_id):  # not all of a large one can be seen yet
        return found
    return prices.unpriced_models(redrive.settings, items.kinds_to_make(connection, operation_id))


def _why_not(connection: Connection, operation_id: str) -> str:
    found = stopping.operation_of(connection, operation_id)
    if found is None or may_cancel_operation(found[0]):
        return _("Somebody changed the limits of this operation in the meantime. Look at them again first.")
    return _("This operation is {state}; its limits matter no more.").format(state=wording.OPERATION_STATES[found[0]].lower())
