"""A draft or an earlier version beside what is published: words, options, numbers; accept, reject, roll back."""

import streamlit as st

from backend.content.chapters import DraftKind, DraftState
from backend.content.comparing import PieceKind, Statistics
from backend.i18n import _
from backend.views.chapters import ChapterView, Comparison
from dashboard import address, chapter_callbacks, chapter_reads, session
from dashboard.boundary import guarded_part
from dashboard.chapter_callbacks import DRAFT, chapters_words
from dashboard.components import blocks, chapter_text
from dashboard.components.chapter_words import DRAFT_STATES, draft_line, draft_name, language_attribute
from dashboard.components.permission import may_retry, retry_help
from dashboard.untrusted import escaped, plain

LOOK_SECONDS = 3
INLINE, BESIDE = "inline", "beside"
LAYOUTS = {BESIDE: _("Side by side"), INLINE: _("In one text")}


def asked_comparison(found: ChapterView | None) -> Comparison | None:
    """Of the draft that the URL names, when it belongs to this chapter."""
    draft_id = address.value(DRAFT)
    told = {draft.draft_id: draft for draft in (*found.drafts, *found.versions)} if found else {}
    draft = told.get(draft_id)
    return chapter_reads.comparison(draft_id, found.version + draft.state) if draft else None


def show_comparison(found: ChapterView, compared: Comparison) -> None:
    draft = compared.draft
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(_("Close the comparison"), key="close-comparison", icon=":material/arrow_back:", type="tertiary",
                  on_click=address.forget, args=([DRAFT],))
        st.html(f'<div class="rd rd-row"><span class="rd-strong">{escaped(draft_name(draft))}</span>'
                f'{blocks.toned(DRAFT_STATES[draft.state])}'
                f'<span class="rd-quiet rd-small rd-wrap">{escaped(draft_line(draft))}</span></div>')
    st.fragment(_live, run_every=LOOK_SECONDS)(found.novel_id, found.chapter_number, compared.version)
    if draft.is_outdated(compared.version) and draft.state is DraftState.READY:
        st.warning(_("This draft was written against a text that is not published any more."), icon=":material/history_edu:")
    if draft.error_message:
        st.html(f'<div class="rd-error">{escaped(draft.error_message)}</div>')
    _show_statistics(compared)
    _offer(found, compared)
    _show_texts(compared, found.language)
    _show_options(compared, found.language)


def _live(novel_id: str, chapter_number: int, version: str) -> None:
    guarded_part(lambda: _tell_moved_on(novel_id, chapter_number, version))


def _tell_moved_on(novel_id: str, chapter_number: int, version: str) -> None:
    """Another editor was faster: said before anybody presses a button."""
    if chapter_reads.published_version(novel_id, chapter_number) != version:
        st.warning(_("**The published text was changed in the meantime.** What you compare with is not published any more, so "
                     "nothing can be accepted from here."), icon=":material/group:")
        st.button(_("Compare with what is published now"), key="compare-again", icon=":material/refresh:", on_click=session.want_page)


def _show_statistics(compared: Comparison) -> None:
    published, draft = compared.published_statistics, compared.draft_statistics
    similarity = _("{percent:.0f} % of the words are the same").format(percent=100 * draft.similarity_ratio)
    changed = _("{added:,} words added, {removed:,} removed").format(added=draft.added, removed=draft.removed)
    st.html(f'<div class="rd rd-small rd-statistics">'
            f'{blocks.table([_row(_("Published now"), published), _row(_("This text"), draft)], _HEADS)}'
            f'<div class="rd-quiet">{escaped(changed)} · {escaped(similarity)}</div></div>')


_HEADS = ("", _("Words"), _("Characters"))


def _row(name: str, found: Statistics) -> tuple[str, ...]:
    return escaped(name), f"{found.words:,}", f"{found.characters:,}"


def _show_texts(compared: Comparison, language: str) -> None:
    layout = st.segmented_control(_("Layout"), list(LAYOUTS), default=BESIDE, key="compare-layout", format_func=LAYOUTS.__getitem__,
                                  required=True, label_visibility="collapsed")
    if layout == INLINE:
        st.html(_side("", compared, language, None))
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.html(_side(_("Published now"), compared, language, PieceKind.ADDED))
    with right:
        st.html(_side(_("This text"), compared, language, PieceKind.REMOVED))


def _side(heading: str, compared: Comparison, language: str, without: PieceKind | None) -> str:
    alone = " rd-alone" if without is None else ""
    told = f'<div class="rd-strong rd-small">{escaped(heading)}</div>' if heading else ""
    return (f'{told}<article class="rd-read rd-diff{alone}"{language_attribute(language)}>'
            f'<h2 class="rd-chapter-title">{chapter_text.marked(compared.title_pieces, without=without)}</h2>'
            f'<div class="rd-lines">{chapter_text.marked(compared.pieces, without=without)}</div></article>')


def _show_options(compared: Comparison, language: str) -> None:
    if not compared.option_pieces:
        return
    st.markdown(f"**{_('Options')}**")
    if compared.chosen:
        st.info(_("Readers have chosen an option of the published text already: its options stay as they are, whatever you accept."),
                icon=":material/alt_route:")
    told = "".join(f'<li class="rd-lines">{chapter_text.marked(pieces)}</li>' for pieces in compared.option_pieces)
    st.html(f'<div class="rd rd-diff"{language_attribute(language)}><ol>{told}</ol></div>')


def _offer(found: ChapterView, compared: Comparison) -> None:
    draft = compared.draft
    later = tuple(range(found.chapter_number + 1, found.last_chapter_number + 1))
    if later and (draft.kind is DraftKind.VERSION or draft.state is DraftState.READY):
        st.caption(_("Once this is published, {chapters} count as written for an older text.").format(chapters=chapters_words(later)))
    if draft.kind is DraftKind.VERSION:
        st.button(_("Roll back to this version"), key=f"roll-back-{draft.draft_id}", type="primary", icon=":material/restore:",
                  disabled=not may_retry(), on_click=chapter_callbacks.roll_back, args=(found.chapter_id, draft.draft_id, compared.version),
                  help=retry_help(_("It is shown to readers at once. The text that is published now is kept as a version.")))
    elif draft.state in (DraftState.READY, DraftState.FAILED):
        _offer_decision(compared)
    elif draft.state is DraftState.REJECTED:
        st.caption(_("Rejected: {reason}").format(reason=plain(draft.reason)))


def _offer_decision(compared: Comparison) -> None:
    draft, reason_key = compared.draft, f"reject-reason-{compared.draft.draft_id}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if draft.state is DraftState.READY:
            st.button(_("Accept"), key=f"accept-{draft.draft_id}", type="primary", icon=":material/check:", disabled=not may_retry(),
                      on_click=chapter_callbacks.accept, args=(draft.draft_id, compared.version),
                      help=retry_help(_("It is shown to readers at once. The text that is published now is kept as a version.")))
        reason = st.text_input(_("Why it is rejected"), key=reason_key, max_chars=300, width=360, live=True)
        st.button(_("Reject"), key=f"reject-{draft.draft_id}", icon=":material/close:",
                  disabled=not may_retry() or not (reason or "").strip(), on_click=chapter_callbacks.reject,
                  args=(draft.draft_id, reason_key),
                  help=retry_help(_("What is published stays. The reason is kept with the draft.")))
