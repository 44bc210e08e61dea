"""Novels: the chapters of each as a strip of states, problems first; what is broken is retried across novels."""

import streamlit as st

from dashboard.components import novel_bar, novel_filters, novel_list, retry_bar
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.novel_reads import languages
from dashboard.reads import crew
from dashboard.texts import _

asked = novel_filters.read_filter()
show_title(_("Novels"))
with st.spinner(_("Reading novels …")):
    page, spoken, who = novel_list.read_page(asked), languages(), crew()
    chosen = retry_bar.prune_selection()
show_header(page.as_of, who)
show_live()
novel_filters.show_filters(asked, page, spoken)
if page.rows:
    novel_bar.show_bar(asked, page, chosen)
    novel_filters.show_paging(asked, page)
    novel_list.show_novels(asked, page)
else:
    novel_filters.show_nothing_found(asked)
show_plan_dialog()
show_stop_dialog()
