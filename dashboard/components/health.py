"""The health of the crew at the foot of the sidebar, looked at every few seconds."""

import streamlit as st
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.bootstrap import NotConfigured
from backend.clock import utc_now
from backend.i18n import _, ngettext
from backend.views.overview import Crew
from dashboard import reads, session
from dashboard.durations import clock_time
from dashboard.palette import AMBER, GREEN, RED, Look
from dashboard.untrusted import escaped

LOOK_SECONDS = 10


def show_health() -> None:
    """In the sidebar. Draws the page again when operations began or ended that it does not show yet."""
    st.fragment(_health, run_every=LOOK_SECONDS)()


def _health() -> None:
    try:
        lines = crew_lines(reads.crew())
        active = frozenset(found.operation_id for found in reads.active_operations() if found.is_active)
    except NotConfigured:
        return
    except (DBAPIError, PoolTimeout):
        st.html(_block([Look(RED, "✕", _("PostgreSQL does not answer"))]))
        return
    st.html(_block(lines))
    if active != session.active_when_drawn():
        session.remember_active(active)
        st.rerun()


def crew_lines(crew: Crew) -> list[Look]:
    """One line each for writer, workers and maintenance."""
    writer = (Look(AMBER, "!", _("Offline writer: sample text")) if crew.is_offline_writer
              else Look(GREEN, "✓", _("Writer: {model}").format(model=crew.model)))
    return [writer, _workers(crew), (
        Look(GREEN, "✓", _("Maintenance works")) if crew.is_maintained else Look(RED, "✕", _("Maintenance is silent")))]


def _workers(crew: Crew) -> Look:
    if crew.workers is None:
        return Look(RED, "✕", _("Redis does not answer"))
    alive = len(crew.workers)
    busy = sum(worker.is_busy for worker in crew.workers)
    words = ngettext("{count} worker alive", "{count} workers alive", alive).format(count=alive)
    if busy:
        words += _(", {busy} busy").format(busy=busy)
    return Look(GREEN if alive else RED, "✓" if alive else "✕", words)


def _block(lines: list[Look]) -> str:
    told = "".join(
        f'<div><span style="color:{look.colour};font-weight:700" aria-hidden="true">{look.symbol}</span> {escaped(look.word)}</div>'
        for look in lines)
    now = escaped(_("As of {time}").format(time=clock_time(utc_now())))
    return f'<div class="rd rd-small">{told}<div class="rd-quiet">{now}</div></div>'


