"""A cause in words: where it stands, how retries of it went, and what works on it now."""

from datetime import datetime

from backend.content import wording
from backend.content.triage import CauseState
from backend.i18n import _, ngettext
from backend.views.causes import OperationOfCause
from dashboard.durations import age, clock_time


def success_words(succeeded: int, failed: int) -> str:
    """"12 of 15 retries succeeded (80 %)"."""
    tried = succeeded + failed
    if not tried:
        return _("not retried yet")
    return _("{succeeded:,} of {tried:,} retries succeeded ({percent:.0f} %)").format(
        succeeded=succeeded, tried=tried, percent=100 * succeeded / tried)


def day_words(day_count: int) -> str:
    return ngettext("{count} in 24 h", "{count} in 24 h", day_count).format(count=f"{day_count:,}")


def owner_words(owner_count: int) -> str:
    return ngettext("{count} roadmap or novel", "{count} roadmaps or novels", owner_count).format(count=f"{owner_count:,}")


def until_words(state: CauseState, until_at: datetime | None, until_count: int | None) -> str:
    """Of an ignored cause: how long plans leave it out."""
    if state is not CauseState.IGNORED:
        return ""
    if until_at is not None:
        return _("until {time}").format(time=clock_time(until_at))
    return wording.ignored_until(until_at, until_count)


def retry_words(found: OperationOfCause) -> str:
    """"A retry of 400 items with the same cause was started 2 min ago by Ada, and is at work: 120 done so far."."""
    words = _("A retry of {items} with the same cause was started {age} by {actor}").format(
        items=wording.items(found.item_count), age=age(found.created_at), actor=found.actor_id)
    if found.is_active:
        return _("{retry}, and is at work: {done:,} done so far.").format(retry=words, done=found.retries.tried)
    return _("{retry}: {succeeded:,} succeeded, {failed:,} failed.").format(
        retry=words, succeeded=found.retries.succeeded, failed=found.retries.failed)
