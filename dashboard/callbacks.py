"""What buttons do. Each runs before the page is drawn again and leaves a notice; none shows anything itself."""

import functools
from collections.abc import Callable

import structlog

from backend.actions import retry
from backend.actions.actors import NotAllowed
from backend.content import wording
from backend.content.keys import ContentKey
from backend.content.scopes import Scope
from backend.i18n import _
from backend.views.availability import DATABASE_ERRORS
from dashboard import reads, session
from dashboard.session import NoticeKind

log = structlog.get_logger()


def _action(act: Callable[..., None]) -> Callable[..., None]:
    """An action whose refusals become notices; earlier notices have been read by now."""

    @functools.wraps(act)
    def run(*args: object) -> None:
        session.forget_notices()
        try:
            act(*args)
        except NotAllowed as exc:
            session.notify(NoticeKind.WARNING, str(exc))
        except retry.NothingToRetry as exc:
            session.notify(NoticeKind.INFO, str(exc))
        except DATABASE_ERRORS as exc:
            log.error("action_failed", action=act.__name__, error=str(exc).splitlines()[0])
            session.suspect_outage()
            session.notify(NoticeKind.ERROR, _(
                "The database did not take this, so nothing was started. Your selection is kept; try again."))

    return run


@_action
def plan_retry(scope: Scope, scope_words: str) -> None:
    """Open the dialog with the dry run of a scope."""
    session.show_plan(retry.plan(reads.connected(), scope, reads.actor()), scope_words)


@_action
def confirm_plan() -> None:
    """Start exactly what the dialog shows. A second click finds the dialog's plan gone, or the same operation."""
    plan = session.open_plan()
    if plan is None:
        return
    try:
        confirmed = retry.confirm(reads.connected(), plan, reads.actor(), session.plan_reason())
    except (NotAllowed, retry.NothingToRetry):
        session.close_plan()
        raise
    session.close_plan()
    session.clear_selection()
    _tell_started(confirmed, session.plan_scope_words())


@_action
def retry_one(key: ContentKey, words: str) -> None:
    """Plan and start one content key at once."""
    redrive, actor = reads.connected(), reads.actor()
    confirmed = retry.confirm(redrive, retry.plan(redrive, Scope.of(key), actor), actor)
    _tell_started(confirmed, words)


def _tell_started(confirmed: retry.Confirmed, scope_words: str) -> None:
    reads.forget_after_action()
    session.notify(NoticeKind.DONE, _("Retry of {items} started: {scope}").format(
        items=wording.items(confirmed.item_count), scope=scope_words))
    if confirmed.overtaken_count:
        session.notify(NoticeKind.INFO, _("{items} had been started by somebody else in the meantime and were left to them.").format(
            items=wording.items(confirmed.overtaken_count)))
