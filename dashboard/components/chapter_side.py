"""Beside a chapter: its drafts, its tries with what was there of each, its earlier versions."""

import streamlit as st

from backend.content.chapters import Draft, DraftState
from backend.i18n import _
from backend.views.chapters import ChapterView
from dashboard import address, chapter_reads, session
from dashboard.boundary import guarded_part
from dashboard.chapter_callbacks import DRAFT
from dashboard.components import blocks, chapter_text
from dashboard.components.chapter_words import DRAFT_STATES, characters, draft_line, try_line
from dashboard.durations import age
from dashboard.navigation import operations_page
from dashboard.palette import ITEM_STATES
from dashboard.untrusted import escaped

LISTED = 10
POLL_SECONDS = 2


def show_side(found: ChapterView) -> None:
    """Polled only while something is written for this chapter."""
    st.fragment(_live, run_every=POLL_SECONDS if found.operation_id else None)(found.novel_id, found.chapter_number)


def _live(novel_id: str, chapter_number: int) -> None:
    guarded_part(lambda: _show(novel_id, chapter_number))


def _show(novel_id: str, chapter_number: int) -> None:
    found = chapter_reads.chapter(novel_id, chapter_number)
    if found is None:
        st.rerun()
    _list_drafts(found.drafts, _("Drafts"))
    _list_drafts(found.versions, _("Earlier versions"))
    _list_failed_tries(found)
    _list_tries(found)


def _list_drafts(drafts: tuple[Draft, ...], heading: str) -> None:
    if not drafts:
        return
    st.markdown(f"**{heading}**")
    for draft in drafts[:LISTED]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"draft-{draft.draft_id}"):
            st.html(f'<div class="rd rd-small">{blocks.toned(DRAFT_STATES[draft.state])}<div class="rd-quiet rd-wrap">'
                    f'{escaped(draft_line(draft))}{_reason(draft)}</div></div>')
            if draft.state not in (DraftState.GENERATING, DraftState.ACCEPTED) and draft.content:
                is_shown = address.value(DRAFT) == draft.draft_id
                st.button(_("Compare"), key=f"compare-{draft.draft_id}", type="tertiary", disabled=is_shown, on_click=_compare,
                          args=(draft.draft_id,))
    _tell_more(len(drafts))


def _compare(draft_id: str) -> None:
    address.write(DRAFT, draft_id)
    session.want_page()  # the comparison takes the place of the text


def _reason(draft: Draft) -> str:
    words = draft.reason or draft.error_message
    return f"<br>{escaped(words)}" if words else ""


def _list_failed_tries(found: ChapterView) -> None:
    tries = [draft for draft in found.failed_tries if draft.content.strip() or draft.error_message]
    if not tries:
        return
    st.markdown(f"**{_('Failed tries')}**")
    for draft in tries[:LISTED]:
        words = characters(draft.content) if draft.content.strip() else _("no text")
        with st.expander(f"{age(draft.created_at)}: {words}", key=f"failed-{draft.draft_id}", icon=":material/text_snippet:"):
            if draft.error_message:
                st.html(f'<div class="rd-error">{escaped(draft.error_message)}</div>')
            if draft.content.strip():
                st.html(chapter_text.article(draft.title, draft.content, found.language))
    _tell_more(len(tries))


def _list_tries(found: ChapterView) -> None:
    if not found.tries:
        return
    st.markdown(f"**{_('Tries')}**")
    for row in found.tries[:LISTED]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"try-{row.item_id}"):
            look = ITEM_STATES[row.state]
            st.html(f'<div class="rd rd-small"><span style="color:{look.colour}">{look.symbol}</span> {escaped(try_line(row))}'
                    f'<div class="rd-quiet rd-wrap">{escaped(row.error_message)}</div></div>')
            st.page_link(operations_page(), label=_("Open"), query_params={"operation": row.operation_id}, width="content",
                         help=_("The operation: everything that was done together with this try"))
    _tell_more(len(found.tries))


def _tell_more(count: int) -> None:
    if count > LISTED:
        st.caption(_("and {count} older ones").format(count=count - LISTED))
