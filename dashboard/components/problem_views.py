"""The two views of the problem list, its empty case, and its scope in words."""

from datetime import datetime

import streamlit as st

from backend.content import wording
from backend.content.scopes import ProblemFilter
from backend.i18n import _
from dashboard import address, reads, session
from dashboard.components.cause_list import show_causes
from dashboard.components.filters import clear_filters
from dashboard.components.header import is_behind
from dashboard.components.retry_bar import scope_of, show_scope

VIEWS = {"": _("Every problem"), "cause": _("Causes")}
SHOWN_CAUSES = 25


def asked_view() -> str:
    asked = address.value("view")
    return asked if asked in VIEWS else ""


def show_view_and_scope(words: str, total: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _choose_view()
        st.space("stretch")
        show_scope(words, total)


def _choose_view() -> None:
    session.seed_widget("problem-view", asked_view())
    st.segmented_control(_("View"), list(VIEWS), key="problem-view", format_func=lambda view: VIEWS[view], required=True,
                         on_change=lambda: address.write("view", session.widget_value("problem-view") or ""),
                         label_visibility="collapsed")


def show_by_cause(problem_filter: ProblemFilter) -> None:
    rows = reads.causes(problem_filter, SHOWN_CAUSES + 1)
    show_causes(rows[:SHOWN_CAUSES], problem_filter)
    if len(rows) > SHOWN_CAUSES:
        st.caption(_("These are the {count} largest causes. Narrow the filters to see others.").format(count=SHOWN_CAUSES))


def scope_words(problem_filter: ProblemFilter, owners: dict[str, str]) -> str:
    """The filter in words, with the titles of the owner and the cause it names."""
    cause = reads.cause_name(problem_filter.cause_id)[1] if problem_filter.cause_id else ""
    return wording.scope(scope_of(problem_filter), owner_title=owners.get(problem_filter.owner_id, ""), cause=cause[:80])


def show_nothing_found(problem_filter: ProblemFilter, as_of: datetime) -> None:
    """The empty case: nothing is broken, or nothing matches."""
    if problem_filter.is_everything:
        if is_behind(as_of):
            st.info(_("No problem was listed at that time."), icon=":material/history:")
            return
        st.success(_("Nothing is broken: every piece of content is there, or not due yet."), icon=":material/check_circle:")
        return
    st.info(_("No problem matches these filters."), icon=":material/filter_alt_off:")
    st.button(_("Clear filters"), key="clear-filters", on_click=clear_filters)
