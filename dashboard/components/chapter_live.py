"""A text that grows on the page while it is written: a component that follows the event stream by itself, without any polling rerun."""

from datetime import datetime
from pathlib import Path

import streamlit as st

from backend.clock import utc_now
from backend.i18n import _
from dashboard import chapter_reads, session
from dashboard.boundary import guarded_part
from dashboard.stream_tokens import stream_token

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "redrive_chapter", html='<section class="live"></section>', css=(_HERE / "chapter_live.css").read_text(),
    js=(_HERE / "chapter_live.js").read_text())


def show_live_text(text_id: str, name: str, language: str, began_at: datetime | None) -> None:
    """Follow a chapter_id or a draft_id. When it ends the page is drawn again, with what is saved."""
    st.fragment(_live)(text_id, name, language, began_at)


def _live(text_id: str, name: str, language: str, began_at: datetime | None) -> None:
    guarded_part(lambda: _show(text_id, name, language, began_at))


def _show(text_id: str, name: str, language: str, began_at: datetime | None) -> None:
    widget_key = f"chapter-{text_id}"
    _component(data=live_data(text_id, name, language, began_at, utc_now()), key=widget_key,
               on_ended_change=lambda: _ended(widget_key), on_renew_change=lambda: None)


def _ended(widget_key: str) -> None:
    """Callback: the text is saved, or failed; the whole page shows it."""
    state = session.widget_value(widget_key)
    if state and state.ended:
        chapter_reads.forget()
        session.want_page()


def live_data(text_id: str, name: str, language: str, began_at: datetime | None, now: datetime) -> dict:
    """What the browser needs. Every run brings a new token: a stream that is begun again finds it."""
    return {
        "id": text_id, "token": stream_token(text_id), "name": name, "language": language,
        "elapsed_seconds": max(0.0, (now - began_at).total_seconds()) if began_at else 0.0,
        "words": {
            "connecting": _("Connecting …"), "waiting": _("Waiting for the first words …"), "writing": _("Being written"),
            "reconnecting": _("Connection lost; it goes on where it stopped …"), "restarted": _("The writing began anew."),
            "complete": _("Complete"), "failed": _("Ended without a text"), "characters": _("{count} characters"),
            "options": _("How readers may go on")},
    }
