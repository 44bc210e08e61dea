"""ops.audit_log: who did what, on what, why, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, insert

from backend.storage.ops_tables import audit_log


class ActorLike(Protocol):
    @property
    def actor_id(self) -> str: ...
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Machine:
    actor_id: str = "Redrive"
    role: str = "machine"


MACHINE = _Machine()  # what Redrive does by itself


def record(
    connection: Connection, actor: ActorLike, *, action: str, scope: str, reason: str = "", result: str = "",
    operation_id: str | None = None, task_id: str | None = None, at: datetime | None = None,
) -> None:
    """Write one line in the transaction of the action itself: both happen or neither.

    `task_id` when it is about one task alone. `at` is the time that the changed rows bear; else now.
    """
    times = {"at": at} if at else {}
    connection.execute(insert(audit_log).values(
        actor_id=actor.actor_id, actor_role=str(actor.role), action=action, scope=scope, reason=reason, result=result,
        operation_id=operation_id, task_id=task_id, **times))
