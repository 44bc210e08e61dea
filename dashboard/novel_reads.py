"""Reads of the page of novels, shared by all sessions for a second or two."""

import streamlit as st

from backend.content.chapters import StripState
from backend.content.keys import ContentKey
from backend.views import novels
from dashboard import reads

_polled = st.cache_data(ttl=1, show_spinner=False, max_entries=200)
_calm = st.cache_data(ttl=2, show_spinner=False, max_entries=50)


@_polled
def novel_page(states: tuple[StripState, ...], search: str, language: str, page: int, page_size: int) -> novels.NovelPage:
    return novels.novel_page(reads.connected(), states=states, search=search, language=language, page=page, page_size=page_size)


def broken_keys(states: tuple[StripState, ...], search: str, language: str) -> tuple[ContentKey, ...]:
    """Read anew at each click: it is what a plan is made of."""
    return novels.broken_keys(reads.connected(), states=states, search=search, language=language)


@_calm
def languages() -> tuple[str, ...]:
    return novels.languages(reads.connected())


reads.also_forget(novel_page, languages)
