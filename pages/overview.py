"""Overview: how bad it is, since when, why, and what is being done about it."""

import streamlit as st

from dashboard.components import overview_parts as parts
from dashboard.components.cause_list import show_causes
from dashboard.components.header import show_header, show_title
from dashboard.components.history_parts import show_history
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.history_reads import read_history
from dashboard.reads import crew, read_overview, trend
from dashboard.texts import _

show_title(_("Overview"))
with st.spinner(_("Counting what is broken …")):
    found, who, points, past = read_overview(), crew(), trend(24), read_history()
show_header(found.as_of, who)
parts.show_totals(found)
st.subheader(_("Running now, and just ended"), anchor=False)
show_live(empty_words=_("Nothing runs, and nothing ended in the last minutes."))
with st.container(key="overview-body"):
    left, right = st.columns([3, 2], gap="large")
with left:
    parts.show_causes_heading(found)
    show_causes(found.causes)
with right:
    parts.show_age(found)
    parts.show_trend(points)
    parts.show_crew(who)
show_history(past)
show_plan_dialog()
show_stop_dialog()
