"""Automatic retries: the rules by which Redrive retries by itself, what each waits for, and what each did."""

import streamlit as st

from dashboard.components import rule_form, rule_list
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.rule_dialogs import show_rule_dialogs
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew
from dashboard.rule_reads import rules
from dashboard.texts import _

show_title(_("Automatic retries"))
with st.spinner(_("Reading rules …")):
    found, who = rules(), crew()
rule_form.open_asked(tuple(row.rule for row in found.rows))
show_header(found.as_of, who)
show_live(has_ended=False)
asked = rule_list.asked_rule(found)
if asked:
    rule_list.show_back()
else:
    rule_list.show_new(found)
rule_list.show_rules(found, asked)
show_rule_dialogs()
show_plan_dialog()
show_stop_dialog()
