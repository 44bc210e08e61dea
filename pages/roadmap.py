"""Roadmap: what of one roadmap is there, what is broken, and why."""

import streamlit as st

from dashboard.components import roadmap_parts as parts
from dashboard.components.concept_detail import show_detail
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.matrix import show_matrix
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.roadmap_picker import asked_cell, asked_roadmap, show_list, show_picker
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew, read_roadmap
from dashboard.texts import _

roadmap_id = asked_roadmap()
show_title(_("Roadmap"))
with st.spinner(_("Reading the roadmap …")):
    found, who = read_roadmap(roadmap_id) if roadmap_id else None, crew()
show_header(parts.as_of(found), who)
show_live()
if not roadmap_id:
    show_list()
elif found is None:
    parts.show_unknown(roadmap_id)
    show_list()
else:
    show_picker(roadmap_id, found.title)
    parts.show_summary(found)
    parts.show_faults(found)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_matrix(found)
    with right, st.container(key="detail"):
        show_detail(found, asked_cell(roadmap_id))
show_plan_dialog()
show_stop_dialog()
