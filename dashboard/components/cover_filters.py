"""Filters of the gallery. The URL is their truth: a link shows the same covers to everybody."""

from dataclasses import dataclass

import streamlit as st

from backend.i18n import _
from backend.views.covers import CoverPage, CoverState
from dashboard import address
from dashboard.components import filter_widgets, paging
from dashboard.components.cover_words import COVER_STATES

PAGE_SIZE = 24


@dataclass(frozen=True, slots=True)
class AskedCovers:
    states: tuple[CoverState, ...]
    search: str
    page: int
    not_understood: tuple[str, ...]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.states or self.search)


def read_filter() -> AskedCovers:
    """What the URL asks for."""
    unknown: list[str] = []
    states = tuple(dict.fromkeys(filter_widgets.known("state", CoverState, unknown)))
    return AskedCovers(states, address.value("text").strip(), paging.asked_page(), tuple(unknown))


def asked_cover() -> str:
    return address.value("id")


def open_cover(roadmap_id: str) -> None:
    address.forget(["version", "versions"])
    address.write("id", roadmap_id)


def close_cover() -> None:
    address.forget(["id", "version", "versions"])


def show_filters(asked: AskedCovers, found: CoverPage) -> None:
    """States with their counts, and the search."""
    filter_widgets.show_not_understood(asked.not_understood)
    states = [state for state in COVER_STATES if found.counts[state] or state in asked.states]
    if not (states or asked.is_narrowed):
        return  # there is nothing to narrow
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if states:
            filter_widgets.pills(_("State"), "state", states, lambda state: f"{COVER_STATES[state].mark} {COVER_STATES[state].word} "
                                 f"{found.counts[state]:,}")
        filter_widgets.search(_("Search"), "text", _("Title or id of a roadmap"), is_label_shown=False, width=300)


def show_nothing_found(asked: AskedCovers) -> None:
    if not asked.is_narrowed:
        st.info(_("There is no roadmap on this platform yet, so there is no cover."), icon=":material/image:")
        return
    st.info(_("No cover matches these filters."), icon=":material/search_off:")
    st.button(_("Clear filters"), key="clear-filters", on_click=filter_widgets.clear, args=(("state", "text"),))


def show_paging(asked: AskedCovers, found: CoverPage) -> None:
    """Where in the gallery we are."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        paging.show_place(asked.page, found.total, PAGE_SIZE, len(found.rows),
                          _("Problems first, then the newest. Arrow keys go from cover to cover, Enter opens one, x chooses it."))
