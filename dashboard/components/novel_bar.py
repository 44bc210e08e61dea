"""Over the list of novels: the retry of what is chosen, or of every broken chapter of the novels that were found."""

import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import ProblemFilter, Scope
from backend.i18n import _, ngettext
from backend.views.novels import PROBLEMS_OF, NovelPage, problem_kinds
from dashboard import callbacks, novel_reads, session
from dashboard.components import retry_bar
from dashboard.components.novel_filters import AskedNovels
from dashboard.components.permission import may_retry, retry_help
from dashboard.session import NoticeKind
from dashboard.untrusted import plain


def show_bar(asked: AskedNovels, found: NovelPage, chosen: tuple[ContentKey, ...]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="novel-bar"):
        if chosen:
            retry_bar.offer_chosen(chosen, {cell.broken.key for row in found.rows for cell in row.strip if cell.broken})
        else:
            st.caption(_("Choose chapters by their boxes, or retry all."), width="content")
        st.space("stretch")
        count = sum(found.counts[state] for state in asked.states or PROBLEMS_OF if state in PROBLEMS_OF)
        if count:
            st.button(ngettext("Retry {count} broken chapter", "Retry {count} broken chapters", count).format(count=f"{count:,}"),
                      key="retry-everything", icon=":material/replay:", disabled=not may_retry(), on_click=plan_retry_of_found,
                      args=(asked,), help=retry_help(_("Plan a retry of every broken chapter of these novels, on all pages.")))


def plan_retry_of_found(asked: AskedNovels) -> None:
    """A filter where one says it; else exactly the chapters that the search finds now."""
    states = tuple(state for state in asked.states if state in PROBLEMS_OF)
    if not (asked.search or asked.language):
        scope = Scope.matching(ProblemFilter(problem_kinds=problem_kinds(states), kinds=(ContentKind.CHAPTER,)))
        callbacks.plan_retry(scope, wording.scope(scope))
        return
    keys = novel_reads.broken_keys(states, asked.search, asked.language)
    if not keys:
        session.notify(NoticeKind.INFO, _("Nothing in these novels is broken any more."))
        return
    narrowed = " · ".join(filter(None, (f"“{plain(asked.search)}”" if asked.search else "", plain(asked.language))))
    callbacks.plan_retry(Scope.of(*keys), _("chapters of the novels found by {filter}").format(filter=narrowed))
