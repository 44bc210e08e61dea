"""Operations: what runs, what was done and what came of it; one of them with its ledger."""

import streamlit as st

from dashboard.components import ledger_table, operation_detail, operation_list
from dashboard.components.header import show_header, show_title
from dashboard.components.limits_dialog import show_limits_dialog
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew, operation
from dashboard.texts import _

asked, operation_id = operation_list.read_filter(), operation_list.asked_operation()
show_title(_("Operations"))
with st.spinner(_("Reading operations …")):
    found, who = operation(operation_id) if operation_id else None, crew()
    page = ledger_table.read_page(found) if found else operation_list.read_page(asked)
show_header(page.as_of, who)
show_live(has_ended=False, without=operation_id)
if found:
    operation_detail.show_back()
    operation_detail.show_operation(found)
    ledger_table.show_ledger(found, page)
else:
    if operation_id:
        operation_detail.show_unknown(operation_id)
        operation_detail.show_back()
    operation_list.show_list(page, asked)
show_plan_dialog()
show_stop_dialog()
show_limits_dialog()
