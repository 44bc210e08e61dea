"""The frame around the pages: page settings, navigation, health in the sidebar, boundary."""

from pathlib import Path

import streamlit as st

from backend.i18n import _
from dashboard import session
from dashboard.boundary import guarded
from dashboard.components.health import note_drawn, show_health
from dashboard.navigation import pages

HERE = Path(__file__).parent


def main() -> None:
    st.set_page_config(page_title=_("Redrive"), page_icon=str(HERE / "favicon.png"), layout="wide", initial_sidebar_state=220)
    st.html(HERE / "style.css")
    st.logo(str(HERE / "logo.svg"), size="large")
    session.take_page_wanted()
    note_drawn()
    page = st.navigation(pages())
    guarded(page.run, page.title)
    with st.sidebar:
        show_health()


main()
