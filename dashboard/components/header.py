"""The frame of every page: title, as-of time, what must be known before anything is read, and notices."""

from datetime import datetime
from typing import Protocol

import streamlit as st

from backend.clock import utc_now
from backend.content import wording
from backend.i18n import _, ngettext
from backend.views.overview import Crew, Held
from dashboard import session
from dashboard.durations import age, clock_time, span
from dashboard.session import NoticeKind
from dashboard.untrusted import plain


class _Dated(Protocol):
    @property
    def as_of(self) -> datetime: ...


OFFLINE = "offline"   # provider of the built-in writer
BEHIND_SECONDS = 30  # the list is drained several times a second


def show_title(title: str) -> None:
    st.title(title, anchor=False)


def as_of(found: _Dated | None) -> datetime:
    """Of what was read; of nothing it is now."""
    return found.as_of if found else utc_now()


def is_behind(as_of: datetime) -> bool:
    """The list may miss something: what changed since then has not been looked at."""
    return (utc_now() - as_of).total_seconds() > BEHIND_SECONDS


def show_header(as_of: datetime, crew: Crew) -> None:
    """As of when, by whom it would be written, and the banners.

    All of it in one block: one more banner at the top of the page would make the browser draw all that is below it anew, and
    who chooses by keys would lose their place.
    """
    with st.container():
        _show_as_of(as_of, crew)
        if is_behind(as_of):
            st.warning(_("This list is {span} behind: changes since {time} have not been looked at yet.").format(
                span=span((utc_now() - as_of).total_seconds()), time=clock_time(as_of)), icon=":material/history:")
        show_banners(crew)
        show_notices()


def _show_as_of(as_of: datetime, crew: Crew) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(_("As of {time}").format(time=clock_time(as_of)), width="content")
        if crew.is_offline_writer:
            st.badge(_("Offline writer: retries write sample text"), icon=":material/science:", color="orange", help=_(
                "No model is configured (OPENAI_API_KEY, OPENAI_BASE_URL), so a built-in writer makes sample text."))


def show_banners(crew: Crew) -> None:
    """Redis down, maintenance silent, nobody there to work."""
    if crew.workers is None:
        st.warning(_("**Redis does not answer: sending is parked.** What you retry is kept in PostgreSQL and is sent when Redis is back. "
                     "Whether workers are alive cannot be told."), icon=":material/cloud_off:")
    elif not crew.workers and not crew.is_starting:
        st.warning(_("**No worker is alive.** What you retry waits until one is started: `redrive worker`."), icon=":material/engineering:")
    else:
        _show_unserved(crew)
    for held in crew.held:
        st.warning(held_words(held, utc_now()), icon=":material/power_off:")
    if not crew.is_maintained:
        since = _("since {time}").format(time=clock_time(crew.maintenance_beat_at)) if crew.maintenance_beat_at else _("so far")
        st.warning(_("**Maintenance is silent {since}: sending is parked** and this list does not follow changes. "
                     "Start it: `redrive maintenance`.").format(since=since), icon=":material/pause_circle:")


def held_words(held: Held, now: datetime) -> str:
    """The model is out: since when, who waits, and when it is tried again."""
    since = _("since {time} ({age})").format(time=clock_time(held.since_at), age=age(held.since_at, now)) if held.since_at else ""
    if held.is_being_tried:
        following = _("One item asks it at this moment.")
    elif held.next_try_at and held.next_try_at > now:
        sentence = _("Next try at {time}.") if held.waiting_count else _("What is started next asks it, at {time} at the earliest.")
        following = sentence.format(time=clock_time(held.next_try_at))
    else:
        following = _("The next item asks it again.")
    waiting = ngettext("{count} item waits", "{count} items wait", held.waiting_count).format(count=f"{held.waiting_count:,}")
    if held.is_of_covers:
        return _("**No painter of covers answers {since}:** {waiting}, nothing is tried in vain. {following}{error}").format(
            since=plain(since) or _("now"), waiting=waiting, following=following, error=_last_error(held))
    who = _("The offline writer") if held.provider == OFFLINE else _("The model at {provider}").format(provider=plain(held.provider))
    return _("**{who} does not answer {since}:** {waiting}, nothing is tried in vain. {following}{error}").format(
        who=who, since=plain(since) or _("now"), waiting=waiting, following=following,
        error=_last_error(held))


def _last_error(held: Held) -> str:
    if not held.error_kind:
        return ""
    return " " + _("Last error: {error}").format(error=plain(f"{wording.ERROR_KINDS[held.error_kind]}. {held.error_message[:200]}"))


def _show_unserved(crew: Crew) -> None:
    for priority, waiting in crew.unserved.items():
        sentence = ngettext("**No worker serves the queue {queue}, where {count} job waits.**",
                            "**No worker serves the queue {queue}, where {count} jobs wait.**", waiting)
        st.warning(f"{sentence} {_('Start one: `redrive worker --queue {queue}`.')}".format(
            queue=priority, count=waiting), icon=":material/engineering:")


def show_notices() -> None:
    for notice in session.take_brief_notices():
        st.toast(plain(notice.text), icon=":material/check_circle:", duration="long")
    for notice in session.lasting_notices():
        shown = {NoticeKind.ERROR: st.error, NoticeKind.WARNING: st.warning}.get(notice.kind, st.info)
        shown(plain(notice.text))

