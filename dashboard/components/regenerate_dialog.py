"""The dialog before a completed chapter is written anew: a note to the writer, another model or temperature."""

import streamlit as st

from backend.i18n import _
from dashboard import chapter_callbacks, chapter_reads, session
from dashboard.components.permission import may_retry


def show_regenerate_dialog() -> None:
    """Open while the session holds a chapter to write anew."""
    if session.open_regeneration():
        st.dialog(_("Write this chapter anew"), on_dismiss=session.close_regeneration)(_dialog)()


def _dialog() -> None:
    if not session.open_regeneration():
        st.rerun()  # done or closed: the page goes on
    st.caption(_("A draft is written beside the published text. Readers see nothing of it until you accept it."))
    st.text_area(_("Note to the writer (optional)"), key="regenerate_note", max_chars=1000, height=110,
                 placeholder=_("What should be different?"))
    model = chapter_reads.default_model()
    st.text_input(_("Model (optional)"), key="regenerate_model", max_chars=100, disabled=not model,
                  placeholder=model or _("The offline writer has no other model"))
    has_own = st.toggle(_("Another temperature"), key="regenerate_own_temperature", disabled=not model)
    if has_own:
        st.slider(_("Temperature"), 0.0, 2.0, 1.0, 0.1, key="regenerate_temperature",
                  help=_("Lower is plainer, higher is bolder. Some models take no other than their own."))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Leave it"), key="regenerate-close", on_click=session.close_regeneration)
        st.button(_("Write a draft"), key="regenerate-confirm", type="primary", icon=":material/edit_note:", disabled=not may_retry(),
                  on_click=chapter_callbacks.regenerate, shortcut="Ctrl+Enter")
