"""The boundary around a page: what goes wrong is said in words, logged once, and never looks like an empty platform."""

from collections.abc import Callable

import streamlit as st
import structlog

from backend.bootstrap import NotConfigured
from backend.clock import utc_now
from backend.i18n import _
from backend.views.availability import DATABASE_ERRORS, is_outage
from dashboard import address, reads, session
from dashboard.durations import clock_time

log = structlog.get_logger()
RETRY_SECONDS = 2


def guarded(show: Callable[[], None], title: str) -> None:
    """Show a page, or why it cannot be shown."""
    try:
        if session.take_outage_suspicion():
            _ask_database(title)
        show()
    except NotConfigured as exc:
        st.error(str(exc), icon=":material/settings_alert:")
    except Exception as exc:
        if is_outage(exc):
            _show_outage(exc)
        else:
            _show_defect(exc)


def _ask_database(title: str) -> None:
    """Before the page reads anything: cached reads may hide for a second that the database is gone."""
    try:
        reads.ask_database()
    except DATABASE_ERRORS:
        st.title(title, anchor=False)
        raise


def guarded_part(show: Callable[[], None]) -> None:
    """Show a live part. What a button in it did, an outage that it meets, and a click that was overtaken, are for the whole page."""
    if session.take_page_wanted() or address.is_overtaken(utc_now()):
        st.rerun()
    try:
        show()
    except DATABASE_ERRORS as exc:
        if not is_outage(exc):
            raise
        log.warning("live_part_met_outage", error=str(exc).partition("\n")[0])
        session.suspect_outage()
        st.rerun()


def _show_outage(exc: Exception) -> None:
    log.error("page_met_outage", error=str(exc).partition("\n")[0])
    st.error(_("**PostgreSQL does not answer.** What is broken cannot be told until it does; nothing is lost, "
               "and running work is saved when it is back."), icon=":material/database_off:")
    st.fragment(_wait_for_database, run_every=RETRY_SECONDS)()


def _wait_for_database() -> None:
    try:
        reads.ask_database()
    except DATABASE_ERRORS:
        st.caption(_("Last tried {time}. This page tries again every {seconds} s and comes back by itself.").format(
            time=clock_time(utc_now()), seconds=RETRY_SECONDS))
        return
    st.rerun()


def _show_defect(exc: Exception) -> None:
    reference = f"{utc_now():%H%M%S%f}"[:9]
    log.exception("page_failed", reference=reference, error=str(exc).partition("\n")[0])
    st.error(_("This page met a fault of its own and cannot be shown. Nothing was changed. Look for **{reference}** in "
               "the log of the web process.").format(reference=reference), icon=":material/error:")
