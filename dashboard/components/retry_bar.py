"""The bar over the table: retry what is chosen, or everything in the scope shown; each names its scope in words."""

import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKey
from backend.content.scopes import ProblemFilter, Scope
from backend.content.stopping import CancelScope
from backend.i18n import _
from dashboard import callbacks, reads, session
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help
from dashboard.session import NoticeKind, StopAim
from dashboard.untrusted import plain


def prune_selection() -> tuple[ContentKey, ...]:
    """What is chosen and still is a problem, or is being worked on; says how many were dropped."""
    chosen = session.selected()
    if not chosen:
        return ()
    still = {*reads.still_problems(chosen), *reads.in_work(chosen)}
    kept = tuple(key for key in chosen if key in still)
    if len(kept) < len(chosen):
        session.select(kept)
        session.notify(NoticeKind.INFO, _("{items} of your selection are not broken any more and were dropped from it.").format(
            items=wording.items(len(chosen) - len(kept))))
    return kept


def show_bar(chosen: tuple[ContentKey, ...], shown: set[ContentKey], scope: Scope, scope_words: str, total: int) -> None:
    """`shown` are the keys on this page, `total` the number of problems in the scope."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="retry-bar"):
        if chosen:
            offer_chosen(chosen, shown)
        else:
            st.button(_("Retry selected items"), key="retry-selected", disabled=True, help=_("Choose rows in the table first."))
            st.caption(_("Nothing chosen."), width="content")
        st.space("stretch")
        st.button(_("Retry everything that is broken"), key="retry-everything", icon=":material/replay:",
                  disabled=not may_retry() or not total,
                  help=retry_help(_("Plan a retry of every problem in the scope shown, on all pages.")),
                  on_click=callbacks.plan_retry, args=(scope, scope_words))


def offer_chosen(chosen: tuple[ContentKey, ...], shown: set[ContentKey]) -> None:
    """Retry or cancel what is chosen, or choose nothing. `shown`: the keys on this page."""
    aim = Scope.of(*chosen)
    words = wording.scope(aim)
    st.button(_("Retry {items}").format(items=wording.items(len(chosen))), key="retry-selected", type="primary", icon=":material/replay:",
              disabled=not may_retry(), help=retry_help(_("Plan a retry of exactly the chosen items.")),
              on_click=callbacks.plan_retry, args=(aim, words))
    _offer_cancel(chosen)
    elsewhere = len(chosen) - len(shown.intersection(chosen))
    where = _(", {count:,} of them on other pages or outside the filter").format(count=elsewhere) if elsewhere else ""
    st.caption(words + where, width="content")
    st.button(_("Clear selection"), key="clear-selection", type="tertiary", on_click=session.clear_selection)


def _offer_cancel(chosen: tuple[ContentKey, ...]) -> None:
    """Of the chosen ones those that are planned, queued or running."""
    in_work = reads.in_work(chosen)
    working = tuple(key for key in chosen if key in in_work)
    if working:
        starters = reads.starters_of(*working)
        items = wording.items(len(working))
        st.button(_("Cancel work on {items}").format(items=items), key="cancel-selected", icon=":material/cancel:",
                  disabled=not may_cancel(starters), on_click=callbacks.ask_stop,
                  args=(StopAim(_("{items} chosen by hand").format(items=items), scope=CancelScope.of(*working)),),
                  help=cancel_help(_("Stop what is planned, queued or running for the chosen items."), starters))


def show_scope(scope_words: str, total: int) -> None:
    """What the filters narrow the list to, in words."""
    st.caption(plain(_("Scope: {scope}, {items}").format(scope=scope_words, items=wording.items(total))), width="content")


def scope_of(problem_filter: ProblemFilter) -> Scope:
    """The filter as a scope; an empty one is everything, by name."""
    return Scope.everything() if problem_filter.is_everything else Scope.matching(problem_filter)
