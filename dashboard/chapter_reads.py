"""Reads of the page of a chapter, shared by all sessions for a second or two."""

import streamlit as st

from backend.views import chapters, novels
from dashboard import reads

_polled = st.cache_data(ttl=1, show_spinner=False, max_entries=100)
_calm = st.cache_data(ttl=2, show_spinner=False, max_entries=20)


@_polled
def chapter(novel_id: str, chapter_number: int) -> chapters.ChapterView | None:
    return chapters.chapter(reads.connected(), novel_id, chapter_number)


@_polled
def novel(novel_id: str) -> novels.NovelRow | None:
    return novels.novel_row(reads.connected(), novel_id)


@_calm
def comparison(draft_id: str, version: str) -> chapters.Comparison | None:
    """`version`: of the text that is published now, so that another one is compared anew."""
    return chapters.compare(reads.connected(), draft_id)


def published_version(novel_id: str, chapter_number: int) -> str:
    """"": there is no such chapter any more."""
    found = chapter(novel_id, chapter_number)
    return found.version if found else ""


def default_model() -> str:
    """"": no model is configured."""
    settings = reads.connected().settings
    return settings.model if settings.has_model else ""


def forget() -> None:
    """What the stream has just told is read anew."""
    for read in (chapter, novel, comparison):
        read.clear()


reads.also_forget(chapter, novel, comparison)
