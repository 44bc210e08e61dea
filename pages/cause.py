"""Cause: one cause with what helps, what was decided and what was tried, and everything that can be done about it."""

import streamlit as st

from dashboard.components import cause_detail, cause_triage
from dashboard.components.header import as_of, show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import cause, crew
from dashboard.texts import _

cause_id = cause_detail.asked_cause()
show_title(_("Cause"))
with st.spinner(_("Reading the cause …")):
    found, who = cause(cause_id) if cause_id else None, crew()
show_header(as_of(found), who)
cause_detail.show_back()
show_live()
if found is None:
    cause_detail.show_none(cause_id)
else:
    cause_detail.show_head(found)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        cause_detail.show_body(found)
    with right:
        cause_detail.show_trend(found)
        cause_triage.show_assignee(found)
        cause_triage.show_history(found)
        cause_triage.show_merging(found)
show_plan_dialog()
show_stop_dialog()
