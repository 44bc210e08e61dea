"""One cell of the matrix: how it stands, what is saved, the error, what was tried, and its retry."""

import streamlit as st

from backend.content import wording
from backend.content.keys import CONCEPT_KINDS, ContentKey
from backend.content.problems import KeyState, ProblemKind
from backend.content.stopping import CancelScope, may_cancel_item
from backend.i18n import _
from backend.views.operations import ItemRow
from backend.views.roadmap import Cell, ConceptRow, RoadmapView
from dashboard import callbacks, reads, session
from dashboard.components import blocks
from dashboard.components.item_words import item_outcome
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help
from dashboard.components.roadmap_picker import choose_cell
from dashboard.components.saved_content import show_saved
from dashboard.durations import age
from dashboard.palette import CANCELLING, cell_look, item_look
from dashboard.session import StopAim
from dashboard.untrusted import escaped, plain


def show_detail(found: RoadmapView, asked: ContentKey | None) -> None:
    """The cell that the URL names."""
    if not found.concepts:
        return
    row = next((row for row in found.concepts if asked and row.concept_id == asked.part), None)
    if asked is None or row is None:
        st.info(_("Choose a cell to see what is saved, its error and what was tried.") if asked is None
                else _("This roadmap has no such concept (any more)."), icon=":material/left_click:")
        return
    cell = row.cells[asked.kind]
    with st.container(border=True, gap="small"):
        _show_head(row, cell, found.title)
        _show_error(cell)
        tried = reads.history(cell.key)
        st.subheader(_("Saved content"), anchor=False)
        show_saved(cell.key, _last_success(tried))
        st.subheader(_("What was tried"), anchor=False)
        _show_history(tried)


def _show_head(row: ConceptRow, cell: Cell, owner_title: str) -> None:
    st.subheader(plain(row.name), anchor=False)
    session.seed_widget("detail-kind", cell.key.kind)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            _("Content"), list(CONCEPT_KINDS), key="detail-kind", required=True, label_visibility="collapsed",
            format_func=lambda kind: f"{_look(row.cells[kind]).symbol} {wording.CONTENT_KINDS[kind]}",
            on_change=_kind_changed, args=(row.concept_id, cell.key.owner_id))
        kind = wording.CONTENT_KINDS[cell.key.kind]
        st.button(_("Retry {kind}").format(kind=kind.lower()), key=f"retry-{cell.key}", type="primary", icon=":material/replay:",
                  disabled=not may_retry() or cell.state is not KeyState.PROBLEM, on_click=callbacks.retry_one,
                  args=(cell.key, wording.content_key(cell.key, row.name, owner_title)), help=retry_help(_retry_words(cell)))
        _offer_cancel(cell, wording.content_key(cell.key, row.name, owner_title))
    reason = escaped(_why(cell))
    is_broken = cell.problem is not None and cell.state is KeyState.PROBLEM
    since = age(cell.problem.since_at) if is_broken and cell.problem.since_at else ""
    look = CANCELLING if cell.item_state and cell.cancel_requested_at else _look(cell)
    st.html(f'<div class="rd rd-wrap">{blocks.toned(look)} <span class="rd-quiet">{escaped(since)}</span><div>{reason}</div></div>')


def _offer_cancel(cell: Cell, words: str) -> None:
    """While an item works on it, or waits to."""
    if cell.item_state is None:
        return
    starters = reads.starters_of(cell.key)
    st.button(_("Cancel"), key=f"cancel-{cell.key}", icon=":material/cancel:", on_click=callbacks.ask_stop,
              disabled=not (may_cancel_item(cell.item_state, cell.cancel_requested_at) and may_cancel(starters)),
              args=(StopAim(words, scope=CancelScope.of(cell.key)),),
              help=cancel_help(_("Told to stop already.") if cell.cancel_requested_at else _("Stop the work on this one."), starters))


def _look(cell: Cell):
    return cell_look(cell.state, cell.problem.kind if cell.problem else None)


def _why(cell: Cell) -> str:
    """The reason without the error, which stands below in full."""
    if cell.problem is None or cell.state is not KeyState.PROBLEM:
        return ""
    if not cell.problem.error_message:
        return cell.reason
    return wording.reason(cell.problem.kind, cell.problem.declared, cell.problem.detail, "") if (
        cell.problem.kind is not ProblemKind.FAILED) else wording.PROBLEM_MEANINGS[ProblemKind.FAILED]


def _retry_words(cell: Cell) -> str:
    if cell.state is KeyState.IN_PROGRESS:
        return _("Already being worked on.")
    return _("Start this one at once.") if cell.state is KeyState.PROBLEM else _("Nothing is wrong with it.")


def _kind_changed(concept_id: str, roadmap_id: str) -> None:
    kind = session.widget_value("detail-kind")
    if kind:
        choose_cell(ContentKey(kind, roadmap_id, concept_id))


def _show_error(cell: Cell) -> None:
    message = cell.problem.error_message if cell.problem else ""
    if message:
        st.html(f'<div class="rd"><span class="rd-strong">{escaped(wording.ERROR_KINDS[cell.problem.error_kind])}</span>'
                f'<div class="rd-error">{escaped(message[:4_000])}</div></div>')


def _last_success(tried: tuple[ItemRow, ...]) -> ItemRow | None:
    return next((row for row in tried if row.generator), None)


def _show_history(tried: tuple[ItemRow, ...]) -> None:
    if not tried:
        st.caption(_("Redrive has not retried this yet."))
        return
    rows = "".join(
        f'<tr><td>{blocks.toned(item_look(row))}</td>'
        f'<td class="rd-quiet">{escaped(age(row.settled_at or row.created_at))}</td>'
        f'<td class="rd-quiet">{escaped(_attempt_words(row))}</td>'
        f'<td class="rd-wrap">{escaped(item_outcome(row)[:300])}</td></tr>'
        for row in tried)
    st.html(f'<table class="rd rd-small rd-table">{rows}</table>')


def _attempt_words(row: ItemRow) -> str:
    return _("attempt {attempt}").format(attempt=row.begun_attempts) if row.begun_attempts else ""
