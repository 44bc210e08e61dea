"""The dialog that changes the limits of an operation while it runs."""

import streamlit as st

from backend.content import wording
from backend.i18n import _
from dashboard import callbacks, reads, session
from dashboard.components import limits_form
from dashboard.untrusted import plain

FORM = "operation"


def show_limits_dialog() -> None:
    """Open while the session holds an operation whose limits are to be changed."""
    if session.open_limits():
        st.dialog(_("Limits of this operation"), on_dismiss=session.close_limits)(_dialog)()


def _dialog() -> None:
    aim = session.open_limits()
    found = reads.operation(aim.operation_id) if aim else None
    if aim is None or found is None:
        st.rerun()  # changed or closed: the page goes on
    st.markdown(f"**{plain(_('Retry: {scope}').format(scope=found.name))}**")
    limits = limits_form.show_fields(FORM, aim.before, reads.unpriced_of_operation(aim.operation_id))
    reason = st.text_input(_("Reason (needed, written to the log)"), key="limits_reason", max_chars=300, live=True)
    st.caption(_("Holds from the next round on: what no worker has begun is handed out again, what is being written is finished. "
                 "Used so far: {spent}.").format(spent=wording.spent(found.spent, reads.currency())))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Leave them"), key="limits-close", on_click=session.close_limits)
        st.button(_("Change limits"), key="limits-confirm", type="primary", disabled=limits is None or not (reason or "").strip(),
                  on_click=callbacks.change_limits, args=(FORM,), shortcut="Ctrl+Enter")
