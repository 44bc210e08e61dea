"""The pages of the dashboard, by name: one list for the menu and for links."""

from pathlib import Path

import streamlit as st

from backend.i18n import _

PAGES = Path(__file__).parent.parent / "pages"


def pages() -> list[st.Page]:
    return [overview_page(), problems_page(), operations_page(), automatic_page(), roadmap_page(), covers_page(), novels_page(),
            tasks_page(), workers_page(), cause_page(), chapter_page()]


def overview_page() -> st.Page:
    return st.Page(PAGES / "overview.py", title=_("Overview"), icon=":material/monitoring:", default=True)


def problems_page() -> st.Page:
    return st.Page(PAGES / "problems.py", title=_("Problems"), icon=":material/report:", url_path="problems")


def operations_page() -> st.Page:
    return st.Page(PAGES / "operations.py", title=_("Operations"), icon=":material/playlist_play:", url_path="operations")


def automatic_page() -> st.Page:
    return st.Page(PAGES / "automatic.py", title=_("Automatic retries"), icon=":material/autorenew:", url_path="automatic")


def roadmap_page() -> st.Page:
    return st.Page(PAGES / "roadmap.py", title=_("Roadmap"), icon=":material/grid_on:", url_path="roadmap")


def covers_page() -> st.Page:
    return st.Page(PAGES / "covers.py", title=_("Covers"), icon=":material/image:", url_path="covers")


def novels_page() -> st.Page:
    return st.Page(PAGES / "novels.py", title=_("Novels"), icon=":material/auto_stories:", url_path="novels")


def tasks_page() -> st.Page:
    return st.Page(PAGES / "tasks.py", title=_("Tasks"), icon=":material/checklist:", url_path="tasks")


def workers_page() -> st.Page:
    return st.Page(PAGES / "workers.py", title=_("Workers"), icon=":material/engineering:", url_path="workers")


def cause_page() -> st.Page:
    """One cause; without an id there is nothing to show, so it is not in the menu."""
    return st.Page(PAGES / "cause.py", title=_("Cause"), icon=":material/hub:", url_path="cause", visibility="hidden")


def chapter_page() -> st.Page:
    """One chapter of a novel, named by its number; not in the menu, like a cause."""
    return st.Page(PAGES / "chapter.py", title=_("Chapter"), icon=":material/menu_book:", url_path="chapter", visibility="hidden")
