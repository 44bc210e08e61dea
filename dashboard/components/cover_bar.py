"""Over the gallery: the offer to make what is missing, and the retry of what is chosen or of all that is broken."""

import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.i18n import _, ngettext
from backend.views.covers import PROBLEM_STATES, CoverPage
from dashboard import callbacks, cover_callbacks, cover_reads, session
from dashboard.components import retry_bar
from dashboard.components.cover_filters import AskedCovers
from dashboard.components.permission import may_retry, retry_help


def show_offer() -> None:
    """Once for each visit: what is missing can be made now. In a block of its own: the gallery stays in its place when it is answered."""
    with st.container():
        count = cover_reads.missing_count()
        if count and not session.is_answered(cover_callbacks.OFFER):
            _offer_missing(count)


def _offer_missing(count: int) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small", key="cover-offer"):
        st.markdown(":material/add_photo_alternate: " + ngettext(
            "**{count} roadmap has no cover.**", "**{count} roadmaps have no cover.**", count).format(count=f"{count:,}"), width="content")
        st.button(_("Generate all that are missing"), key="generate-missing", type="primary", disabled=not may_retry(),
                  on_click=cover_callbacks.generate_missing,
                  help=retry_help(_("Plan a cover for each of them. One that is there is never made again by this.")))
        st.button(_("Not now"), key="offer-later", type="tertiary", on_click=cover_callbacks.wave_away)


def show_bar(asked: AskedCovers, found: CoverPage, chosen: tuple[ContentKey, ...]) -> None:
    """Retry what is chosen; all that is broken in the states shown; all that is missing; and how long calls have to wait, in one block."""
    with st.container(gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="cover-bar"):
            if chosen:
                retry_bar.offer_chosen(chosen, {ContentKey(ContentKind.COVER, card.roadmap_id) for card in found.rows})
            else:
                st.caption(_("Choose covers by their boxes, or retry all."), width="content")
            st.space("stretch")
            _offer_all(asked, found)
        _tell_limit(len(chosen) or sum(found.counts[state] for state in PROBLEM_STATES))


def _offer_all(asked: AskedCovers, found: CoverPage) -> None:
    if cover_reads.missing_count() and session.is_answered(cover_callbacks.OFFER):
        st.button(_("Generate all that are missing"), key="generate-missing", icon=":material/add_photo_alternate:",
                  disabled=not may_retry(), on_click=cover_callbacks.generate_missing,
                  help=retry_help(_("Plan a cover for each roadmap that has none.")))
    scope, count = _broken(asked, found)
    if count:
        words = ngettext("Retry {count} broken cover", "Retry {count} broken covers", count).format(count=f"{count:,}")
        st.button(words, key="retry-everything", icon=":material/replay:", disabled=not may_retry() or bool(asked.search),
                  on_click=callbacks.plan_retry, args=(scope, wording.scope(scope)),
                  help=_("Clear the search first: this is for all covers in these states.") if asked.search else retry_help(
                      _("Plan a retry of every cover that is broken in the states shown, on all pages.")))


def _broken(asked: AskedCovers, found: CoverPage) -> tuple[Scope, int]:
    """The problems among the states that are shown, and how many there are."""
    states = [state for state in asked.states or PROBLEM_STATES if state in PROBLEM_STATES]
    kinds = tuple(ProblemKind(state.value) for state in states) if asked.states else ()
    scope = Scope.matching(ProblemFilter(problem_kinds=kinds, kinds=(ContentKind.COVER,)))
    return scope, sum(found.counts[state] for state in states)


def _tell_limit(count: int) -> None:
    words = cover_reads.wait_words(count) if count else ""
    if words:
        st.caption(f":material/hourglass_top: {words}")
