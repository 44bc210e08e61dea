"""The health of the crew at the foot of the sidebar, looked at every few seconds."""

import streamlit as st

from backend.bootstrap import NotConfigured
from backend.clock import utc_now
from backend.i18n import _, ngettext
from backend.views.availability import DATABASE_ERRORS
from backend.views.overview import Crew
from dashboard import address, reads, session
from dashboard.durations import clock_time
from dashboard.palette import AMBER, GREEN, RED, Look
from dashboard.untrusted import escaped

LOOK_SECONDS = 5
LOOK_SECONDS_BESIDE_LIVE = 10  # the live part looks every 2 s by itself


def note_drawn() -> None:
    """Remember the state of the crew that the page is about to show. Never raises: a page tells its outage itself."""
    address.forget_drawn()
    session.remember_drawn(_look()[0])


def show_health() -> None:
    """In the sidebar, last of all. Draws the page again when the crew or the running operations are not what it shows."""
    address.remember_drawn()
    drawn = session.drawn()
    is_live = drawn is not None and bool(drawn.active_operations)
    st.fragment(_health, run_every=LOOK_SECONDS_BESIDE_LIVE if is_live else LOOK_SECONDS)()


def _health() -> None:
    if address.is_overtaken(utc_now()):
        st.rerun()
    now, crew = _look()
    st.html(_block(crew_lines(crew) if crew else [Look(RED, "✕", _("PostgreSQL does not answer"))]))
    if now != session.drawn():
        session.remember_drawn(now)
        session.suspect_outage()
        st.rerun()


def _look() -> tuple[session.Drawn, Crew | None]:
    try:
        crew, operations = reads.crew(), reads.active_operations()
    except (*DATABASE_ERRORS, NotConfigured):
        return session.Drawn(frozenset(), is_database_up=False), None
    return session.Drawn(
        reads.ids_of_active(operations), True, crew.workers is not None, crew.is_maintained, bool(crew.workers) or crew.is_starting,
        tuple(held.provider for held in crew.held), frozenset(crew.unserved), reads.has_armed(operations)), crew


def crew_lines(crew: Crew) -> list[Look]:
    """One line each for writer, workers and maintenance."""
    writer = (Look(AMBER, "!", _("Offline writer: sample text")) if crew.is_offline_writer
              else Look(GREEN, "✓", _("Writer: {model}").format(model=crew.model)))
    if any(not held.is_of_covers for held in crew.held):
        writer = Look(RED, "✕", _("The model is held back"))
    painters = [Look(RED, "✕", _("Painters of covers are held back"))] if any(held.is_of_covers for held in crew.held) else []
    return [writer, *painters, _workers(crew), (
        Look(GREEN, "✓", _("Maintenance works")) if crew.is_maintained else Look(RED, "✕", _("Maintenance is silent")))]


def _workers(crew: Crew) -> Look:
    if crew.workers is None:
        return Look(RED, "✕", _("Redis does not answer"))
    alive = len(crew.workers)
    busy = sum(worker.is_busy for worker in crew.workers)
    if not alive and crew.is_starting:
        return Look(AMBER, "…", _("Workers are starting"))
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


