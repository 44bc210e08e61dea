"""Filters of the list of novels. The URL is their truth: a link shows the same novels to everybody."""

from dataclasses import dataclass

import streamlit as st

from backend.content.chapters import StripState
from backend.i18n import _
from backend.views.novels import NovelPage
from dashboard import address
from dashboard.components import filter_widgets, paging
from dashboard.components.chapter_words import CHAPTER_STATES, LANGUAGES

PAGE_SIZE = 20
NAMES = ("state", "text", "language")


@dataclass(frozen=True, slots=True)
class AskedNovels:
    states: tuple[StripState, ...]
    search: str
    language: str
    page: int
    not_understood: tuple[str, ...]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.states or self.search or self.language)


def read_filter() -> AskedNovels:
    """What the URL asks for."""
    unknown: list[str] = []
    states = tuple(dict.fromkeys(filter_widgets.known("state", StripState, unknown)))
    return AskedNovels(
        states, address.value("text").strip(), address.value("language"), paging.asked_page(), tuple(unknown))


def show_filters(asked: AskedNovels, found: NovelPage, languages: tuple[str, ...]) -> None:
    """States with the number of such chapters, the language, and the search."""
    filter_widgets.show_not_understood(asked.not_understood)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        states = [state for state in CHAPTER_STATES if found.counts[state] or state in asked.states]
        filter_widgets.pills(_("State of a chapter"), "state", states, lambda state: f"{CHAPTER_STATES[state].mark} "
                             f"{CHAPTER_STATES[state].word} {found.counts[state]:,}")
        st.space("stretch")
        titles = {code: LANGUAGES.get(code, code) for code in languages}
        if len(titles) > 1 or asked.language:
            with st.container(width=170):
                filter_widgets.choose(_("Language"), "language", filter_widgets.with_asked(titles, asked.language), _("All languages"),
                                      is_label_shown=False)
        filter_widgets.search(_("Search"), "text", _("Words of a title or a text"), is_label_shown=False, width=300)


def show_nothing_found(asked: AskedNovels) -> None:
    if not asked.is_narrowed:
        st.info(_("There is no novel on this platform yet."), icon=":material/auto_stories:")
        return
    st.info(_("No novel matches these filters."), icon=":material/search_off:")
    st.button(_("Clear filters"), key="clear-filters", on_click=filter_widgets.clear, args=(NAMES,))


def show_paging(asked: AskedNovels, found: NovelPage) -> None:
    """Where in the list we are."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        paging.show_place(asked.page, found.total, PAGE_SIZE, len(found.rows), _("Most problems first, then the newest."))
