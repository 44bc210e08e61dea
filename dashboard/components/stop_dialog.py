"""The dialog before something is cancelled or paused: what it is, what will happen to it, and why."""

import streamlit as st

from backend.content import wording
from backend.i18n import _
from dashboard import callbacks, session
from dashboard.session import StopAim
from dashboard.untrusted import plain


def show_stop_dialog() -> None:
    """Open while the session holds something to stop."""
    aim = session.open_stop()
    if aim is not None:
        st.dialog(_title(aim), on_dismiss=session.close_stop)(_dialog)()


def _title(aim: StopAim) -> str:
    if aim.force_item_ids:
        return _("Stop by force?")
    if aim.paused_operation_id:
        return _("Pause this operation?")
    if aim.task_ids:
        return _("Cancel this task?") if len(aim.task_ids) == 1 else _("Cancel these tasks?")
    if aim.needs_words:
        return _("Cancel everything?")
    return _("Cancel this operation?") if aim.operation_id else _("Cancel this work?")


def _dialog() -> None:
    aim = session.open_stop()
    if aim is None:
        st.rerun()  # done or closed: the page goes on
    st.markdown(f"**{plain(aim.words)}**")
    if aim.detail:
        st.warning(plain(aim.detail), icon=":material/warning:")
    st.caption(_consequences(aim))
    if not (aim.paused_operation_id or aim.force_item_ids):
        st.selectbox(_("Reason"), list(wording.CANCEL_REASONS), key="stop_reason", format_func=wording.CANCEL_REASONS.__getitem__)
    note = st.text_input(
        _("In your own words (needed)") if aim.needs_words else _("In your own words (optional)"), key="stop_note", max_chars=300,
        live=aim.needs_words, placeholder=_("Written to the log, and shown to others"))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Let it run"), key="stop-close", on_click=session.close_stop)
        st.button(_confirm_words(aim), key="stop-confirm", type="primary",
                  disabled=aim.needs_words and not (note or "").strip(), on_click=callbacks.confirm_stop, shortcut="Ctrl+Enter")


def _confirm_words(aim: StopAim) -> str:
    if aim.force_item_ids:
        return _("Stop by force")
    return _("Pause") if aim.paused_operation_id else _("Cancel it")


def _consequences(aim: StopAim) -> str:
    if aim.force_item_ids:
        return _("The process that writes them is killed. They count as cancelled; other items of the same process are queued again.")
    if aim.paused_operation_id:
        return _("What is done stays, what is being written is finished, the rest waits until somebody resumes it.")
    return _("What is done stays. What waits is cancelled at once; what is being written is told to stop, which takes a second or two. "
             "Its content stays as it was before. Cancelled does not count as failed; retries "
             "leave it out until somebody reopens it or chooses it by itself.")
