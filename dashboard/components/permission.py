"""What the person may do, for buttons: the same predicate that the action asks again."""

from backend.actions.actors import Permission
from backend.i18n import _
from dashboard import reads


def may_retry() -> bool:
    return reads.actor().may(Permission.RETRY)


def retry_help(words: str) -> str:
    """Help of a retry button: what it does, or why it cannot be pressed."""
    if may_retry():
        return words
    return _("Your role, {role}, may look only. Retrying needs the role operator.").format(role=reads.actor().role)
