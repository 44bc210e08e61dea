"""Workers: who works on what, what waits, what had to be mended, and whether the model answers."""

import streamlit as st

from dashboard.components import workers_parts
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew, read_workers
from dashboard.texts import _

show_title(_("Workers"))
with st.spinner(_("Asking who works …")):
    found, who = read_workers(), crew()
show_header(found.as_of, who)
show_live(has_ended=False)
workers_parts.show_workers()
show_plan_dialog()
show_stop_dialog()
