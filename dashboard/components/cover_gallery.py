"""The gallery: cards with lazy thumbnails, chosen by boxes, opened by a click or Enter.

A component of our own, like the matrix: a tick changes the cards that changed and loads no picture again.
"""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from backend.content.keys import ContentKey, ContentKind
from backend.i18n import _
from backend.views.covers import PROBLEM_STATES, CoverCard, CoverPage, CoverState
from dashboard import cover_reads, session
from dashboard.boundary import guarded_part
from dashboard.components.cover_filters import PAGE_SIZE, AskedCovers, open_cover
from dashboard.components.cover_words import COVER_STATES, maker, reason
from dashboard.components.paging import page_count
from dashboard.untrusted import web_address

POLL_SECONDS = 2
TOLD_CHARACTERS = 300
_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "redrive_covers", html='<div class="covers" role="list"></div>', css=(_HERE / "cover_gallery.css").read_text(),
    js=(_HERE / "cover_gallery.js").read_text())


def read_page(asked: AskedCovers) -> CoverPage:
    """The page that is asked for, or the last one there is."""
    found = cover_reads.gallery(asked.states, asked.search, asked.page, PAGE_SIZE)
    last = page_count(found.total, PAGE_SIZE)
    return found if asked.page <= last else cover_reads.gallery(asked.states, asked.search, last, PAGE_SIZE)


def show_gallery(asked: AskedCovers, found: CoverPage) -> None:
    """Cards change one by one while covers are made; nothing is polled otherwise."""
    is_making = bool(found.counts[CoverState.MAKING])
    st.fragment(_live, run_every=POLL_SECONDS if is_making else None)(asked, is_making)


def _live(asked: AskedCovers, was_making: bool) -> None:
    guarded_part(lambda: _show(asked, was_making))


def _show(asked: AskedCovers, was_making: bool) -> None:
    found = read_page(asked)
    if bool(found.counts[CoverState.MAKING]) != was_making:
        st.rerun()  # once: polling begins or stops, and the counts follow
    shown = [key_of(card) for card in found.rows]
    widget_key = f"covers-{session.table_generation()}"
    result = _component(
        data=gallery_data(found.rows, session.selected()), key=widget_key,
        on_opened_change=lambda: _opened(widget_key), on_marked_change=lambda: _marked(widget_key, shown))
    if result.opened or session.take_page_wanted():
        st.rerun()  # the bar and the detail are other parts of the page


def _opened(widget_key: str) -> None:
    state = session.widget_value(widget_key)
    if state and state.opened:
        open_cover(str(state.opened))


def _marked(widget_key: str, shown: Sequence[ContentKey]) -> None:
    """Callback: the boxes of this page; what is chosen on other pages stays."""
    state = session.widget_value(widget_key)
    marked = set(state.marked or ()) if state else set()
    others = [key for key in session.selected() if key not in set(shown)]
    session.select([*others, *(key for key in shown if key.owner_id in marked)])
    session.want_page()


def key_of(card: CoverCard) -> ContentKey:
    return ContentKey(ContentKind.COVER, card.roadmap_id)


def gallery_data(cards: Sequence[CoverCard], chosen: Sequence[ContentKey]) -> dict:
    """What the browser draws."""
    marked = set(chosen)
    return {
        "generation": session.table_generation(),
        "words": {"mark": _("Choose {title}"), "open": _("Open the cover of {title}"), "sample": _("Sample"),
                  "picture": _("Picture: {words}"), "unseen": _("The picture cannot be shown now.")},
        "cards": [_card(card, key_of(card) in marked) for card in cards]}


def _card(card: CoverCard, is_marked: bool) -> dict:
    look, picture = COVER_STATES[card.state], card.picture
    why = reason(card)[:TOLD_CHARACTERS]
    if not why and picture.kept_elsewhere and not picture.thumbnail:
        why = _("Its picture is kept by the platform, outside this store.")
    return {
        "id": card.roadmap_id, "title": card.title or card.roadmap_id, "symbol": look.symbol, "word": look.word, "colour": look.colour,
        "why": why, "picture": picture.thumbnail, "alt": picture.alt_text or _("Cover of {title}").format(title=card.title),
        "credit": picture.attribution, "credit_url": web_address(picture.attribution_url), "maker": maker(picture),
        "is_sample": picture.is_sample, "is_making": card.state is CoverState.MAKING, "may_mark": card.state in PROBLEM_STATES,
        "is_marked": is_marked, "retries": card.retry_count}
