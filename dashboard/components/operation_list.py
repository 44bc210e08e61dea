"""All operations, newest first: what each was, who started it and why, and what came of it. The URL is the truth of its filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from backend.clock import utc_now
from backend.content.status import OperationState
from backend.i18n import _
from backend.views.operation_list import OperationPage
from backend.views.operations import Progress
from dashboard import address, reads, session
from dashboard.boundary import guarded_part
from dashboard.components import filter_widgets
from dashboard.components.live_operations import outcome_words, pace
from dashboard.durations import span
from dashboard.palette import OPERATION_STATES

NAMES = ("state", "text")
PAGE_SIZE = 25
POLL_SECONDS = 3
ROW_HEIGHT = 32


@dataclass(frozen=True, slots=True)
class AskedOperations:
    states: tuple[OperationState, ...]
    words: str
    before: datetime | None
    not_understood: tuple[str, ...]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.states or self.words)


def asked_operation() -> str:
    """The one operation that the URL names."""
    return address.value("operation").strip()


def read_filter() -> AskedOperations:
    """Filter and place that the URL describes."""
    unknown: list[str] = []
    states = tuple(filter_widgets.known("state", OperationState, unknown))
    before = filter_widgets.single(filter_widgets.known("before", _moment, unknown), None)
    return AskedOperations(states, address.value("text").strip(), before, tuple(unknown))


def _moment(word: str) -> datetime:
    found = datetime.fromisoformat(word)
    if found.tzinfo is None:
        raise ValueError(word)
    return found.astimezone(UTC)


def read_page(asked: AskedOperations) -> OperationPage:
    return reads.operation_page(asked.states, asked.words, asked.before, PAGE_SIZE)


def show_list(page: OperationPage, asked: AskedOperations) -> None:
    """Filters, paging and table, or the empty case in words."""
    st.subheader(_("All operations"), anchor=False)
    filter_widgets.show_not_understood(asked.not_understood)
    if not page.counts:
        st.info(_("Nothing has been retried yet. Each retry becomes an operation and stays here, with every item and its outcome."),
                icon=":material/playlist_play:")
        return
    _show_filters(page, asked)
    if not page.rows:
        _show_nothing(asked)
        return
    st.fragment(_live_list, run_every=POLL_SECONDS if any(row.is_active for row in page.rows) else None)(page.counts)


def _show_filters(page: OperationPage, asked: AskedOperations) -> None:
    shown = [state for state in OPERATION_STATES if page.counts.get(state) or state in asked.states]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        filter_widgets.pills(_("State"), "state", shown, lambda state: (
            f"{OPERATION_STATES[state].mark} {OPERATION_STATES[state].word} {page.counts.get(state, 0):,}"))
        filter_widgets.search(_("Words"), "text", _("Scope, person, reason or id"), is_label_shown=False, width=340)


def _show_nothing(asked: AskedOperations) -> None:
    if asked.before:
        st.info(_("There is no older operation."), icon=":material/filter_alt_off:")
        st.button(_("Newest operations"), key="operations-newest", on_click=turn_to, args=(None,))
        return
    st.info(_("No operation matches these filters."), icon=":material/filter_alt_off:")
    st.button(_("Clear filters"), key="clear-filters", on_click=filter_widgets.clear, args=(NAMES,))


def turn_to(before: datetime | None) -> None:
    """Callback of the paging: what is older than that, or the first page."""
    address.write("before", before.astimezone(UTC).isoformat() if before else "")
    session.want_page()


def _live_list(counts: Mapping[OperationState, int]) -> None:
    guarded_part(lambda: _list(counts))


def _list(counts: Mapping[OperationState, int]) -> None:
    asked = read_filter()
    page = read_page(asked)
    if not page.rows or page.counts != counts:
        st.rerun()  # the filters above say how many there are in each state
    st.dataframe(_frame(page.rows), hide_index=True, key="operations", height=min(ROW_HEIGHT * len(page.rows) + 38, 840),
                 row_height=ROW_HEIGHT, placeholder="", column_order=_order(page.rows), column_config=_columns())
    if asked.before or page.older_than:
        with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
            if asked.before:
                st.button(_("Newest"), key="operations-newest", type="tertiary", on_click=turn_to, args=(None,))
            st.button(_("Older"), key="operations-older", icon=":material/chevron_right:", icon_position="right",
                      disabled=page.older_than is None, on_click=turn_to, args=(page.older_than,))


def _frame(rows: tuple[Progress, ...]) -> pd.DataFrame:
    return pd.DataFrame({
        "state": [OPERATION_STATES[row.state].text for row in rows],
        "name": [row.name for row in rows],
        "items": [row.total for row in rows],
        "outcome": [pace(row) if row.is_active else outcome_words(row) for row in rows],
        "who": [row.actor_id for row in rows],
        "why": [row.reason for row in rows],
        "created": [row.created_at for row in rows],
        "took": [took_words(row) for row in rows],
        "open": [f"/operations?operation={row.operation_id}" for row in rows],
    }).style.map(_toned, subset=["state"])


def took_words(progress: Progress) -> str:
    """How long it took, or takes so far."""
    return span(((progress.settled_at or utc_now()) - progress.created_at).total_seconds())


def _order(rows: tuple[Progress, ...]) -> list[str]:
    """Without the reasons when nobody gave one."""
    return [name for name in _columns() if name != "why" or any(row.reason for row in rows)]


_TONES = {look.text: look.colour for look in OPERATION_STATES.values()}


def _toned(text: str) -> str:
    return f"color: {_TONES[text]}; font-weight: 600"


def _columns() -> dict:
    return {
        "open": st.column_config.LinkColumn(_("Ledger"), display_text=_("Open"), width=55),
        "state": st.column_config.TextColumn(_("State"), width=110),
        "name": st.column_config.TextColumn(_("What was retried"), width=285),
        "items": st.column_config.NumberColumn(_("Items"), width=60, format="localized"),
        "outcome": st.column_config.TextColumn(_("What came of it"), width=250),
        "who": st.column_config.TextColumn(_("Who"), width=110),
        "why": st.column_config.TextColumn(_("Why"), width=150),
        "created": st.column_config.DatetimeColumn(_("Started"), format="distance", width=120),
        "took": st.column_config.TextColumn(_("Took"), width=65),
    }
