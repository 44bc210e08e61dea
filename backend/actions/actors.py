"""Who acts, and what that role may do. Every action asks `require` first; hiding a button is never enough."""

from dataclasses import dataclass
from enum import StrEnum

from backend.i18n import _


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    RETRY = "retry"
    CANCEL = "cancel"                    # what one started oneself, or one's own tasks; pause and resume too
    CANCEL_OTHERS = "cancel_others"
    OVERRIDE_LIMITS = "override_limits"  # retry what was tried too often
    TRIAGE = "triage"                    # decide about causes: acknowledge, ignore, resolve, assign, note, merge
    IMPORT = "import"
    AUTOMATE = "automate"                # make and turn on rules by which Redrive retries by itself: they spend without asking


_PERMISSIONS = {
    Role.VIEWER: frozenset(),
    Role.OPERATOR: frozenset({Permission.RETRY, Permission.CANCEL, Permission.TRIAGE}),
    Role.ADMIN: frozenset(Permission),
}


class NotAllowed(Exception):
    """The role does not cover the action; str() says which role does."""


class ReasonNeeded(ValueError):
    """The action goes beyond what is usual, so it needs words; str() says for what."""


@dataclass(frozen=True, slots=True)
class Actor:
    actor_id: str
    role: Role

    def may(self, permission: Permission) -> bool:
        return permission in _PERMISSIONS[self.role]


def require(actor: Actor, permission: Permission) -> None:
    """Raises NotAllowed when the actor's role lacks the permission."""
    if not actor.may(permission):
        needed = next(role for role, allowed in _PERMISSIONS.items() if permission in allowed)
        raise NotAllowed(_("{actor} has the role {role}; this needs the role {needed}.").format(
            actor=actor.actor_id, role=actor.role, needed=needed))
