"""Problems: every problem, filtered, grouped by cause, chosen, and retried."""

import streamlit as st

from dashboard.components import filters, problem_table, retry_bar
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.problem_views import asked_view, scope_words, show_by_cause, show_nothing_found, show_view_and_scope
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import causes, counts, crew, owner_titles, problem_page
from dashboard.texts import _

asked, sort = filters.read_filter(), problem_table.asked_sort()
show_title(_("Problems"))
with st.spinner(_("Reading the list of problems …")):
    total = counts(asked.filter).total
    found = problem_page(asked.filter, problem_table.asked_page(total), problem_table.PAGE_SIZE, sort)
    everything, owners, all_causes, who = counts(filters.ProblemFilter()), owner_titles(), causes(filters.ProblemFilter(), 100), crew()
    chosen = retry_bar.prune_selection()
show_header(found.as_of, who)
show_live()
filters.show_filters(asked, everything, owners, all_causes)
if not found.total:
    show_nothing_found(asked.filter, found.as_of)
else:
    words = scope_words(asked.filter, owners)
    show_view_and_scope(words, found.total)
    retry_bar.show_bar(chosen, {row.key for row in found.rows}, retry_bar.scope_of(asked.filter), words, found.total)
    if asked_view() == "cause":
        show_by_cause(asked.filter)
    else:
        problem_table.show_paging(found, sort)
        problem_table.show_table(found, sort, is_one_owner=bool(asked.filter.owner_id))
show_plan_dialog()
show_stop_dialog()
