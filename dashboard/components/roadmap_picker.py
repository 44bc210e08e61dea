"""Choosing a roadmap: those with problems first, searched by title or id. The choice is in the URL."""

import pandas as pd
import streamlit as st

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.i18n import _
from dashboard import address, reads, session

LISTED = 100


def asked_roadmap() -> str:
    return address.value("id")


def asked_cell(roadmap_id: str) -> ContentKey | None:
    """The cell that the URL names: cell=quiz:concept-id."""
    kind, _separator, part = address.value("cell").partition(":")
    return ContentKey(ContentKind(kind), roadmap_id, part) if part and kind in CONCEPT_KINDS else None


def choose_cell(key: ContentKey) -> None:
    address.write("cell", f"{key.kind}:{key.part}")


def open_roadmap(roadmap_id: str) -> None:
    address.forget(["cell", "search"])
    address.write("id", roadmap_id)


def show_list() -> None:
    """Every roadmap that matches the search; a click on one opens it."""
    session.seed_widget("roadmap-search", address.value("search"))
    st.text_input(_("Search"), key="roadmap-search", type="search", placeholder=_("Title or id of a roadmap"), icon=":material/search:",
                  on_change=lambda: address.write("search", str(session.widget_value("roadmap-search") or "").strip()))
    choices = reads.roadmap_choices(address.value("search").strip(), LISTED + 1)
    if not choices:
        st.info(_("No roadmap matches.") if address.value("search") else _("There is no roadmap on this platform yet."),
                icon=":material/search_off:")
        return
    st.caption(_("Those with most problems first. Choose a row to open it."))
    shown = choices[:LISTED]
    most = max(1, *(choice.problem_count for choice in shown), 1)
    st.dataframe(
        pd.DataFrame({"title": [choice.title for choice in shown], "problems": [choice.problem_count for choice in shown],
                      "id": [choice.roadmap_id for choice in shown]}),
        key="roadmap-list", hide_index=True, height=min(36 + 35 * len(shown), 620), selection_mode="single-cell",
        on_select=lambda: _open_row([choice.roadmap_id for choice in shown]),
        column_config={
            "title": st.column_config.TextColumn(_("Roadmap"), width="large"),
            "problems": st.column_config.ProgressColumn(_("Problems"), min_value=0, max_value=most, format="%d", color="red"),
            "id": st.column_config.TextColumn(_("Id"), width="medium")})
    if len(choices) > LISTED:
        st.caption(_("The first {count}. Search for others.").format(count=LISTED))


def _open_row(roadmap_ids: list[str]) -> None:
    state = session.widget_value("roadmap-list")
    cells = state["selection"]["cells"] if state else []
    if cells and cells[0][0] < len(roadmap_ids):
        open_roadmap(roadmap_ids[cells[0][0]])


def show_picker(roadmap_id: str, title: str) -> None:
    """Another roadmap, or back to the list."""
    choices = {choice.roadmap_id: choice for choice in reads.roadmap_choices("", LISTED)}
    names = {choice.roadmap_id: f"{choice.title} · {choice.problem_count:,}" if choice.problem_count else choice.title
             for choice in choices.values()}
    names.setdefault(roadmap_id, title)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        session.seed_widget("roadmap-choice", roadmap_id)
        st.selectbox(_("Roadmap"), list(names), key="roadmap-choice", format_func=lambda found: names.get(found, found),
                     on_change=lambda: open_roadmap(str(session.widget_value("roadmap-choice"))), label_visibility="collapsed", width=460)
        st.button(_("All roadmaps"), key="all-roadmaps", icon=":material/list:", type="tertiary",
                  on_click=address.forget, args=(["id", "cell", "search"],))
