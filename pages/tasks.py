"""Tasks: the platform's own records of work, newest first; one of them with its items, its log and its error."""

import streamlit as st

from dashboard.components import task_detail, task_filters, task_table
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew, owner_titles, task, task_counts
from dashboard.texts import _

asked, task_id = task_filters.read_filter(), task_filters.asked_task()
show_title(_("Tasks"))
with st.spinner(_("Reading tasks …")):
    found, who = task(task_id) if task_id else None, crew()
    page = None if found else task_table.read_page(asked)
show_header((found or page).as_of, who)
if found:
    show_live(has_ended=False, is_armed_only=True)
    task_detail.show_back()
    task_detail.show_task(found)
else:
    if task_id:
        task_detail.show_unknown(task_id)
        task_detail.show_back()
    show_live(has_ended=False)
    task_filters.show_filters(asked, task_counts(asked.filter), owner_titles())
    task_table.show_tasks(page, asked)
show_plan_dialog()
show_stop_dialog()
