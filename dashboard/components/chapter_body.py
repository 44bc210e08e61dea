"""What there is of a chapter: the live text while it is written, what is published, or what was there when it failed."""

import streamlit as st

from backend.content.chapters import Draft, DraftState, StripState
from backend.i18n import _
from backend.views.chapters import ChapterView
from backend.views.novels import NovelRow
from dashboard import address, chapter_reads, session
from dashboard.chapter_callbacks import chapters_words
from dashboard.components import chapter_text
from dashboard.components.chapter_head import show_cancel
from dashboard.components.chapter_live import show_live_text
from dashboard.components.chapter_words import characters
from dashboard.untrusted import escaped

MOST_AT_ONCE = 3  # live texts beside this one: a browser has six connections for one server
WATCH = "watch"   # parameter of the URL


def show_body(found: ChapterView) -> None:
    """The middle of the page."""
    if found.choice and found.chapter_number > 1:
        st.html(chapter_text.choice(found.choice, found.language))
    if found.state is StripState.GENERATING and found.chapter_id:
        show_live_text(found.chapter_id, _name(found.chapter_number), found.language, found.created_at)
    elif found.state is StripState.COMPLETED:
        _show_published(found)
    else:
        _show_unfinished(found)


def _name(chapter_number: int) -> str:
    return _("Text of chapter {number}").format(number=chapter_number)


def _show_published(found: ChapterView) -> None:
    if found.older_text:
        st.warning(_("**Written for an older text:** {chapters} changed after this chapter was written.").format(
            chapters=chapters_words(found.older_text)), icon=":material/history_edu:")
    st.html(chapter_text.article(found.title, found.content, found.language, chapter_text.options(found.options, found.chosen)))
    st.caption(characters(found.content))


def _show_unfinished(found: ChapterView) -> None:
    if found.error_message and found.error_message not in found.reason:  # else it stands in the head
        st.html(f'<div class="rd-error">{escaped(found.error_message)}</div>')
    if found.content.strip():
        st.caption(_("This is what is there of it: {characters}.").format(characters=characters(found.content)))
        st.html(chapter_text.article(found.title, found.content, found.language, chapter_text.options(found.options, found.chosen)))
    elif found.failed_tries and found.failed_tries[0].content.strip():
        _show_last_try(found.failed_tries[0], found.language)
    else:
        st.html(f'<div class="rd-read rd-empty">{escaped(_("There is no text yet."))}</div>')


def _show_last_try(draft: Draft, language: str) -> None:
    st.caption(_("There is no text now. This is what was there of the last try: {characters}.").format(
        characters=characters(draft.content)))
    st.html(chapter_text.article(draft.title, draft.content, language))


def show_drafts_being_written(found: ChapterView) -> None:
    for draft in found.drafts:
        if draft.state is DraftState.GENERATING:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{_('The draft that is being written')}**", width="content")
                show_cancel(found, _("Cancel the draft"), _("Stop the writing. What is published stays."))
            show_live_text(draft.draft_id, _("Text of the draft"), found.language, draft.created_at)


def show_others(found: ChapterView, novel: NovelRow | None) -> None:
    """Other chapters of the novel that are being written at this moment, to watch at once."""
    others = [cell for cell in novel.strip if cell.state is StripState.GENERATING and cell.chapter_id
              and cell.chapter_number != found.chapter_number] if novel else []
    if not others:
        return
    is_open = address.value(WATCH) == "all"
    session.seed_widget("watch-others", is_open)
    st.toggle(_("Watch the other chapters that are being written ({count})").format(count=len(others)), key="watch-others",
              on_change=_toggled)
    if not is_open:
        return
    shown = others[:MOST_AT_ONCE]
    for column, cell in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            other = chapter_reads.chapter(found.novel_id, cell.chapter_number)
            st.markdown(f"**{_('Chapter {number}').format(number=cell.chapter_number)}**")
            show_live_text(cell.chapter_id, _name(cell.chapter_number), found.language, other.created_at if other else None)
    if len(others) > len(shown):
        st.caption(_("and {count} more; they follow when one of these has ended").format(count=len(others) - len(shown)))


def _toggled() -> None:
    address.write(WATCH, "all" if session.widget_value("watch-others") else "")
