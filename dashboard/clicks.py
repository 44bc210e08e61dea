"""The boundary around what a button does: refusals become notices, and an outage is told, not shown as a fault of the page."""

import functools
from collections.abc import Callable

import structlog

from backend.actions import chapters, covers, retry, triage
from backend.actions.actors import NotAllowed
from backend.actions.cancel import NotFound, Refused
from backend.content.prices import NoPrice
from backend.i18n import _
from backend.views.availability import DATABASE_ERRORS
from dashboard import session
from dashboard.session import NoticeKind

log = structlog.get_logger()
REFUSALS = (NotAllowed, NotFound, Refused, retry.ReasonNeeded, triage.UnknownCause, triage.NotPossible, triage.NotUnderstood,
            covers.CoverRefused, chapters.ChapterRefused, NoPrice)


def action(act: Callable[..., None]) -> Callable[..., None]:
    """An action whose refusals become notices; earlier notices have been read by now."""

    @functools.wraps(act)
    def run(*args: object, **options: object) -> None:
        session.forget_notices()
        session.want_page()
        try:
            act(*args, **options)
        except REFUSALS as exc:
            session.notify(NoticeKind.WARNING, str(exc))
        except retry.NothingToRetry as exc:
            session.notify(NoticeKind.INFO, str(exc))
        except DATABASE_ERRORS as exc:
            log.error("action_failed", action=act.__name__, error=str(exc).partition("\n")[0])
            session.suspect_outage()
            session.notify(NoticeKind.ERROR, _(
                "The database did not take this, so nothing was started or stopped. Your selection is kept; try again."))

    return run
