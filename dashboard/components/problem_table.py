"""The table of problems. What is chosen is kept as content keys: it survives refresh, sort and paging."""

from hashlib import sha1

import pandas as pd
import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKey, OwnerKind
from backend.i18n import _
from backend.views.listing import ProblemPage, ProblemRow, Sort
from dashboard import address, session
from dashboard.components import paging
from dashboard.components.chapter_words import chapter_address
from dashboard.palette import KEY_STATES, PROBLEM_KINDS, KeyState

PAGE_SIZE = 100
SORTS = {
    Sort.OLDEST: _("Oldest first"), Sort.NEWEST: _("Newest first"), Sort.OWNER: _("By roadmap or novel"),
    Sort.CAUSE: _("By cause"), Sort.ATTEMPTS: _("Most attempts first"),
}
ROW_HEIGHT = 32


def asked_sort() -> Sort:
    """The sort in the URL; one that nobody knows is the default."""
    asked = address.value("sort")
    return Sort(asked) if asked in set(Sort) else Sort.OLDEST


def asked_page(total: int) -> int:
    """The page in the URL, at most the last one."""
    return min(paging.asked_page(), paging.page_count(total, PAGE_SIZE))


def show_table(page: ProblemPage, sort: Sort, *, is_one_owner: bool) -> None:
    """One page of problems with marks for what is chosen. `is_one_owner`: the filter names it, so no column does."""
    shown = [row.key for row in page.rows]
    chosen = set(session.selected())
    key = table_key(shown, sort)
    st.dataframe(
        _frame(page.rows), hide_index=True, key=key, height=min(ROW_HEIGHT * len(shown) + 38, 640),
        on_select=lambda: session.select_rows(key, shown), selection_mode="multi-row", placeholder="", row_height=ROW_HEIGHT,
        selection_default={"selection": {"rows": [position for position, found in enumerate(shown) if found in chosen]}},
        column_order=_order(page.rows, is_one_owner), column_config=_columns())


def show_rows(rows: tuple[ProblemRow, ...], key: str) -> None:
    """Problems to look at; nothing of it is chosen."""
    st.dataframe(_frame(rows), hide_index=True, key=key, height=min(ROW_HEIGHT * len(rows) + 38, 420), placeholder="",
                 row_height=ROW_HEIGHT, column_order=_order(rows, False), column_config=_columns())


def table_key(shown: list[ContentKey], sort: Sort) -> str:
    """Another page, filter, sort or set of rows is another widget: its positions never point at other rows."""
    digest = sha1("\n".join(map(str, shown)).encode(), usedforsecurity=False).hexdigest()[:16]
    return f"problems-{sort}-{session.table_generation()}-{digest}"


def show_paging(page: ProblemPage, sort: Sort) -> None:
    """Where in the list we are, and how it is sorted."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        paging.show_place(paging.asked_page(), page.total, PAGE_SIZE, len(page.rows))
        session.seed_widget("table-sort", sort)
        st.selectbox(_("Sort"), list(SORTS), key="table-sort", format_func=lambda found: SORTS[found], on_change=_sorted,
                     label_visibility="collapsed", width=210)


def _sorted() -> None:
    sort = session.widget_value("table-sort")
    address.write("sort", "" if sort == Sort.OLDEST else str(sort))
    address.forget(["page"])


def _frame(rows: tuple[ProblemRow, ...]) -> pd.DataFrame:
    return pd.DataFrame({
        "problem": [PROBLEM_KINDS[row.kind].text for row in rows],
        "content": [wording.CONTENT_KINDS[row.key.kind] for row in rows],
        "title": [row.title or row.owner_title for row in rows],
        "owner": [row.owner_title for row in rows],
        "reason": [" ".join(row.reason.split()) for row in rows],
        "since": [row.since_at for row in rows],
        "attempts": [row.attempts for row in rows],
        "now": [KEY_STATES[KeyState.IN_PROGRESS].text if row.operation_id else "" for row in rows],
        "open": [_address(row) for row in rows],
    }).style.map(_toned, subset=["problem"])


def _order(rows: tuple[ProblemRow, ...], is_one_owner: bool) -> list[str]:
    dropped = {"owner"} if is_one_owner else set()
    if not any(row.operation_id for row in rows):
        dropped.add("now")
    return [name for name in _columns() if name not in dropped]


def _address(row: ProblemRow) -> str:
    if row.key.kind.owner_kind is OwnerKind.NOVEL:
        return chapter_address(row.key.owner_id, row.key.part)
    cell = f"&cell={row.key.kind}:{row.key.part}" if row.key.part else ""
    return f"/roadmap?id={row.key.owner_id}{cell}"


_TONES = {look.text: f"color: {look.colour}; font-weight: 600" for look in PROBLEM_KINDS.values()}


def _toned(text: str) -> str:
    return _TONES[text]


def _columns() -> dict:
    return {
        "problem": st.column_config.TextColumn(_("Problem"), width=100),
        "content": st.column_config.TextColumn(_("Content"), width=85),
        "title": st.column_config.TextColumn(_("Title"), width=170),
        "owner": st.column_config.TextColumn(_("Roadmap or novel"), width=145),
        "reason": st.column_config.TextColumn(_("Why"), width=270),
        "since": st.column_config.DatetimeColumn(_("Since"), format="distance", width=118),
        "attempts": st.column_config.NumberColumn(_("Tries"), width=50),
        "now": st.column_config.TextColumn(_("Now"), width=105),
        "open": st.column_config.LinkColumn(_("Page"), display_text=_("Open"), width=70),
    }
