"""An operation of one item, that starts at once: whoever asks for it looks on."""

from uuid import uuid4

from sqlalchemy import Connection

from backend.actions import retry
from backend.actions.actors import Actor
from backend.clock import utc_now
from backend.content import wording
from backend.content.plans import Estimate, Plan, PlannedItem
from backend.content.scopes import Scope
from backend.redrive import Redrive


def begin(redrive: Redrive, connection: Connection, planned: PlannedItem, actor: Actor, reason: str = "") -> str:
    """In the transaction of the caller, who holds the owner and knows that nobody works on the key. Returns the operation_id."""
    plan = Plan(uuid4().hex, Scope.of(planned.key), (planned,), (), Estimate(1, None, None), utc_now())
    return retry.store(redrive, connection, plan, plan.included, actor, reason, redrive.operation_limits, armed_seconds=0,
                       name=wording.content_key(planned.key, planned.title, planned.owner_title))
