"""The list of novels: a strip of chapters for each, what is broken below it in words, chosen by boxes.

A component of our own, like the gallery of covers: 20 novels are easily 600 squares, and a change redraws its novel only.
"""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from backend.content.keys import ContentKey
from backend.i18n import _, ngettext
from backend.views.novels import Broken, NovelPage, NovelRow, StripCell, StripState
from dashboard import novel_reads, session
from dashboard.boundary import guarded_part
from dashboard.components.chapter_words import CHAPTER_STATES, LANGUAGES, chapter_address
from dashboard.components.novel_filters import PAGE_SIZE, AskedNovels
from dashboard.components.paging import page_count
from dashboard.palette import PROBLEM_KINDS

WIDGET_KEY = "novels"  # always the same: another would draw everything anew
POLL_SECONDS = 2
TOLD_CHARACTERS = 300
_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "redrive_novels", html='<div class="novels" role="list"></div>', css=(_HERE / "novel_list.css").read_text(),
    js=(_HERE / "novel_list.js").read_text())


def read_page(asked: AskedNovels) -> NovelPage:
    """The page that is asked for, or the last one there is."""
    found = novel_reads.novel_page(asked.states, asked.search, asked.language, asked.page, PAGE_SIZE)
    last = page_count(found.total, PAGE_SIZE)
    return found if asked.page <= last else novel_reads.novel_page(asked.states, asked.search, asked.language, last, PAGE_SIZE)


def show_novels(asked: AskedNovels, found: NovelPage) -> None:
    """Squares change one by one while chapters are written; nothing is polled otherwise."""
    is_writing = bool(found.counts[StripState.GENERATING])
    st.fragment(_live, run_every=POLL_SECONDS if is_writing else None)(asked, is_writing)


def _live(asked: AskedNovels, was_writing: bool) -> None:
    guarded_part(lambda: _show(asked, was_writing))


def _show(asked: AskedNovels, was_writing: bool) -> None:
    found = read_page(asked)
    if bool(found.counts[StripState.GENERATING]) != was_writing:
        st.rerun()  # once: polling begins or stops, and the counts follow
    shown = [cell.broken.key for row in found.rows for cell in row.strip if cell.broken]
    _component(data=novel_data(found.rows, session.selected()), key=WIDGET_KEY, on_marked_change=lambda: _marked(shown))
    if session.take_page_wanted():
        st.rerun()  # the bar is another part of the page


def _marked(shown: Sequence[ContentKey]) -> None:
    """Callback: the boxes of this page; what is chosen on other pages stays."""
    state = session.widget_value(WIDGET_KEY)
    marked = set(state.marked or ()) if state else set()
    others = [key for key in session.selected() if key not in set(shown)]
    session.select([*others, *(key for key in shown if str(key) in marked)])
    session.want_page()


def novel_data(rows: Sequence[NovelRow], chosen: Sequence[ContentKey]) -> dict:
    """What the browser draws."""
    return {
        "generation": session.table_generation(), "marked": [str(key) for key in chosen],
        "words": {"all": _("Choose all broken chapters of {title}"), "one": _("Choose chapter {number} of {title}"),
                  "more": _("{count} more"), "strip": _("Chapters of {title}")},
        "novels": [_novel(row) for row in rows]}


def _novel(row: NovelRow) -> dict:
    length = ngettext("{count} chapter", "{count} chapters", len(row.strip)).format(count=f"{len(row.strip):,}")
    told = [LANGUAGES.get(row.language, row.language), row.fault or length]
    broken = _("{count} broken").format(count=f"{row.problem_count:,}") if row.problem_count else ""
    return {
        "id": row.novel_id, "title": row.title or row.novel_id, "told": " · ".join(filter(None, told)), "count": broken,
        "strip": [_square(row, cell) for cell in row.strip],
        "broken": [_broken(row, cell, cell.broken) for cell in row.strip if cell.broken]}


def _square(row: NovelRow, cell: StripCell) -> dict:
    look = CHAPTER_STATES[cell.state]
    told = _("Chapter {number}: {state}").format(number=cell.chapter_number, state=look.word) + (f". {cell.title}" if cell.title else "")
    return {
        "number": cell.chapter_number, "symbol": look.symbol, "colour": look.colour, "told": told,
        "state": cell.state.value, "key": str(cell.broken.key) if cell.broken else "",
        "address": chapter_address(row.novel_id, cell.chapter_number)}


def _broken(row: NovelRow, cell: StripCell, found: Broken) -> dict:
    look = PROBLEM_KINDS[found.kind]
    facts = [ngettext("{count} try", "{count} tries", found.attempts).format(count=found.attempts) if found.attempts else "",
             ngettext("{count} character", "{count} characters", found.character_count).format(
                 count=f"{found.character_count:,}") if found.character_count else _("no text")]
    return {
        "key": str(found.key), "number": cell.chapter_number, "symbol": look.symbol, "word": look.word, "colour": look.colour,
        "name": _("Chapter {number}").format(number=cell.chapter_number), "why": found.reason[:TOLD_CHARACTERS],
        "facts": " · ".join(filter(None, facts)), "address": chapter_address(row.novel_id, cell.chapter_number)}
