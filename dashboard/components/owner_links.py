"""Links to the roadmap or novel that something is about."""

import streamlit as st

from backend.content.keys import OwnerKind
from dashboard.navigation import chapter_page, roadmap_page
from dashboard.untrusted import plain


def show_owner_link(kind: OwnerKind, owner_id: str, label: str, *, chapter_number: int | None = None) -> None:
    """Of a novel to that chapter, or to all of them to choose from."""
    if kind is OwnerKind.NOVEL:
        number = {"number": str(chapter_number)} if chapter_number else {}
        st.page_link(chapter_page(), label=plain(label), icon=":material/menu_book:", width="content",
                     query_params={"novel": owner_id, **number})
    else:
        st.page_link(roadmap_page(), label=plain(label), icon=":material/grid_on:", query_params={"id": owner_id}, width="content")
