"""Pictures that come back by themselves: those of a cover's page, which are drawn as HTML. The gallery sees to its own."""

from pathlib import Path

import streamlit as st

_component = st.components.v2.component("redrive_cover_pictures", js=Path(__file__).with_suffix(".js").read_text())


def ask_again() -> None:
    """Once on a page: whatever picture of it could not be shown, now or later, is asked for again after a while."""
    _component(key="cover-pictures")
