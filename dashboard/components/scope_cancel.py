"""The button that stops everything in a scope: of a roadmap, a novel or a cause. It is there while there is something to stop."""

import streamlit as st

from backend.content import wording
from backend.content.stopping import CancelScope
from backend.i18n import _
from dashboard import callbacks, reads
from dashboard.components.permission import cancel_help, may_cancel
from dashboard.session import StopAim


def offer_cancel_of_scope(scope: CancelScope, what: str, *, at_least: int = 1) -> None:
    """`what`: the roadmap, novel or cause, for people."""
    found = reads.working(scope)
    if found.count < at_least:
        return
    items = wording.items(found.count)
    words = _("all {items} of {what} that are planned, queued or running").format(items=items, what=what)
    st.button(_("Cancel work on {items}").format(items=items), key=f"cancel-scope-{scope.owner_id or scope.cause_id}",
              icon=":material/cancel:", disabled=not may_cancel(found.starter_ids), on_click=callbacks.ask_stop,
              args=(StopAim(words, scope=scope),),
              help=cancel_help(_("Stop everything here that is planned, queued or running, of any operation."), found.starter_ids))
