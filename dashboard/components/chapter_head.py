"""The head of the page of a chapter: which novel, its chapters as a strip, how this one stands, and what can be done about it."""

import streamlit as st

from backend.content.chapters import StripState
from backend.content.keys import ContentKey, ContentKind
from backend.content.stopping import CancelScope
from backend.i18n import _
from backend.views.chapters import ChapterView
from backend.views.novels import NovelRow, StripCell
from dashboard import address, callbacks, chapter_callbacks, reads
from dashboard.components import blocks
from dashboard.components.chapter_words import CHAPTER_STATES, LANGUAGES, chapter_address
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help
from dashboard.components.scope_cancel import offer_cancel_of_scope
from dashboard.durations import age
from dashboard.navigation import chapter_page, novels_page
from dashboard.untrusted import escaped, plain

NUMBER_CHARACTERS = 9  # PostgreSQL's integer


def asked_chapter() -> tuple[str, int]:
    """(novel_id, chapter_number) of the URL; number 0: none, or one that cannot be."""
    number = address.value("number")
    is_number = number.isascii() and number.isdecimal() and len(number) <= NUMBER_CHARACTERS
    return address.value("novel"), int(number) if is_number else 0


def show_back() -> None:
    st.page_link(novels_page(), label=_("All novels"), icon=":material/list:")


def show_none(novel_id: str, novel: NovelRow | None) -> None:
    """No chapter is named, or one that nobody knows."""
    if not novel_id:
        st.info(_("Choose a chapter in the list of novels, of problems, or in an operation."), icon=":material/menu_book:")
    elif novel is None:
        st.warning(_("There is no novel with the id **{novel_id}**.").format(novel_id=plain(novel_id)), icon=":material/search_off:")
    else:
        st.subheader(plain(novel.title), anchor=False)
        if number := address.value("number"):
            st.warning(_("There is no chapter **{number}** in this novel.").format(number=plain(number)), icon=":material/search_off:")
        else:
            st.info(_("Choose a chapter."), icon=":material/menu_book:")
        show_strip(novel, 0)
        offer_cancel_of_scope(CancelScope(owner_id=novel_id), novel.title)


def show_head(found: ChapterView, novel: NovelRow | None) -> None:
    st.subheader(_("Chapter {number} of {novel}").format(number=found.chapter_number, novel=plain(found.novel_title)), anchor=False)
    if novel:
        show_strip(novel, found.chapter_number)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="chapter-head"):
        st.html(f'<div class="rd rd-row">{blocks.toned(CHAPTER_STATES[found.state])}'
                f'<span class="rd-quiet rd-wrap">{escaped(_state_words(found))}</span></div>', width="content")
        _offer(found)
        offer_cancel_of_scope(CancelScope(owner_id=found.novel_id), found.novel_title,
                              at_least=2 if found.operation_id else 1)  # one is what its own button cancels
    _tell_missing_choice(found)


def show_strip(novel: NovelRow, current: int) -> None:
    """Every chapter as a link with the symbol of its state; or why there is none to see."""
    if novel.fault:
        st.warning(plain(novel.fault), icon=":material/report:")
        return
    st.html(f'<nav class="rd rd-strip" aria-label="{escaped(_("Chapters of this novel"))}">'
            f'{"".join(_cell(novel.novel_id, cell, current) for cell in novel.strip)}</nav>')


def _cell(novel_id: str, cell: StripCell, current: int) -> str:
    look = CHAPTER_STATES[cell.state]
    told = escaped(f"{_('Chapter {number}').format(number=cell.chapter_number)}: {look.word}" + (f", {cell.title}" if cell.title else ""))
    is_current = ' aria-current="page"' if cell.chapter_number == current else ""
    target = escaped(chapter_address(novel_id, cell.chapter_number))
    return (f'<a href="{target}" target="_self" title="{told}" aria-label="{told}"{is_current} '
            f'style="--tone:{look.colour}"><b>{look.symbol}</b> {cell.chapter_number}</a>')


def _state_words(found: ChapterView) -> str:
    told = [found.reason]
    if found.state is StripState.COMPLETED and found.completed_at:
        told.append(_("completed {age}").format(age=age(found.completed_at)))
    told.append(LANGUAGES.get(found.language, found.language))
    return " · ".join(filter(None, told))


def _offer(found: ChapterView) -> None:
    """What can be done, by its state: one button that begins, or the one that cancels."""
    name, number = f"{found.novel_id}-{found.chapter_number}", found.chapter_number
    if found.state is StripState.GENERATING:
        if found.item_id is not None:
            show_cancel(found, _("Cancel the writing"), _("Stop the writing. What is there of the text is kept."))
        return
    is_blocked = found.is_choice_missing and found.state is not StripState.COMPLETED
    if found.state is StripState.COMPLETED:
        st.button(_("Regenerate"), key=f"regenerate-{name}", icon=":material/edit_note:",
                  disabled=not may_retry() or bool(found.operation_id), on_click=chapter_callbacks.ask_regeneration,
                  args=(found.chapter_id,),
                  help=retry_help(_("Write it anew as a draft. What is published stays until you accept the draft.")))
    elif found.state is StripState.INVALID:
        key = ContentKey(ContentKind.CHAPTER, found.novel_id, str(number))
        st.button(_("Write it again"), key=f"retry-{name}", type="primary", icon=":material/replay:",
                  disabled=not may_retry() or is_blocked, on_click=callbacks.retry_one,
                  args=(key, _("Chapter {number} of {novel}").format(number=number, novel=found.novel_title)),
                  help=retry_help(_("What is there is kept as a failed try.")))
    else:
        label = _("Generate") if found.state is StripState.MISSING else _("Write it again")
        st.button(label, key=f"generate-{name}", type="primary", icon=":material/edit:", disabled=not may_retry() or is_blocked,
                  on_click=chapter_callbacks.generate, args=(found.novel_id, number),
                  help=retry_help(_("Begin the writing and watch it. However often you click, it is written once.")))


def show_cancel(found: ChapterView, label: str, told: str) -> None:
    """Of what is written for this chapter now: itself, or a draft of it."""
    key = ContentKey(ContentKind.CHAPTER, found.novel_id, str(found.chapter_number))
    starters = reads.starters_of(key)
    st.button(label, key=f"cancel-{found.novel_id}-{found.chapter_number}", icon=":material/cancel:", disabled=not may_cancel(starters),
              on_click=chapter_callbacks.cancel, args=(found.novel_id, found.chapter_number, found.novel_title),
              help=cancel_help(told, starters))


def _tell_missing_choice(found: ChapterView) -> None:
    if not found.is_choice_missing or found.state in (StripState.COMPLETED, StripState.GENERATING):
        return
    before = found.chapter_number - 1
    with st.container(key="choice-missing", gap="xsmall"):
        st.warning(_("**Chapter {before} has no choice.** Chapter {number} begins with what readers chose at the end of chapter {before}, "
                     "so it cannot be written yet.").format(before=before, number=found.chapter_number), icon=":material/alt_route:")
        st.page_link(chapter_page(), label=_("Open chapter {number}").format(number=before), icon=":material/menu_book:", width="content",
                     query_params={"novel": found.novel_id, "number": str(before)})
