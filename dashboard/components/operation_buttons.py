"""Undo, pause, resume and cancel of an operation, each there when its rule allows it, pressable when the role does."""

import streamlit as st

from backend.content.stopping import may_cancel_operation, may_pause, may_resume, may_undo
from backend.i18n import _
from backend.views.operations import Progress
from dashboard import callbacks
from dashboard.components.permission import cancel_help, may_cancel
from dashboard.session import StopAim


def show_operation_buttons(progress: Progress) -> None:
    words = _("Retry: {scope}").format(scope=progress.name)
    is_disabled = not may_cancel([progress.actor_id])

    def offer(label: str, name: str, icon: str, told: str, callback, *args: object, kind: str = "tertiary") -> None:
        st.button(label, key=f"{name}-{progress.operation_id}", icon=icon, type=kind, disabled=is_disabled, on_click=callback,
                  args=args, help=cancel_help(told, [progress.actor_id]))

    if may_undo(progress.state):
        offer(_("Undo"), "undo", ":material/undo:", _("Take it back: nothing of it has begun."), callbacks.undo_operation,
              progress.operation_id, words, kind="secondary")
        return  # cancelling would do the same, with a dialog
    if may_pause(progress.state):
        offer(_("Pause"), "pause", ":material/pause:", _("What runs finishes, the rest waits."), callbacks.ask_stop,
              StopAim(words, paused_operation_id=progress.operation_id))
    if may_resume(progress.state):
        offer(_("Resume"), "resume", ":material/play_arrow:", _("Go on with what waits."), callbacks.resume_operation,
              progress.operation_id, words)
    if may_cancel_operation(progress.state):
        offer(_("Cancel"), "cancel", ":material/cancel:", _("Stop what is left of it; what is done stays."), callbacks.ask_stop,
              StopAim(words, operation_id=progress.operation_id))
