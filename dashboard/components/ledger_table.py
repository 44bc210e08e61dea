"""The ledger of one operation: every item of its scope with exactly one outcome, filtered, paged and downloaded."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from backend.content import wording
from backend.content.keys import OwnerKind
from backend.content.problems import KeyState
from backend.i18n import _
from backend.views import ledger
from backend.views.ledger import LedgerPage, LedgerRow, Outcome
from backend.views.operations import Progress
from dashboard import address, reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks, filter_widgets
from dashboard.components.chapter_words import chapter_address
from dashboard.durations import clock_time
from dashboard.palette import GREY, KEY_STATES, OUTCOMES, PROBLEM_KINDS, Look
from dashboard.untrusted import escaped

NAMES = ("outcome", "text")
PAGE_SIZE = 100
POLL_SECONDS = 4
ROW_HEIGHT = 32


@dataclass(frozen=True, slots=True)
class AskedLedger:
    outcomes: tuple[Outcome, ...]
    words: str
    after: int
    not_understood: tuple[str, ...]


def read_filter() -> AskedLedger:
    """Filter and place that the URL describes."""
    unknown: list[str] = []
    outcomes = tuple(filter_widgets.known("outcome", Outcome, unknown))
    after = filter_widgets.single(filter_widgets.known("after", _item_id, unknown), 0)
    return AskedLedger(outcomes, address.value("text").strip(), after, tuple(unknown))


def _item_id(word: str) -> int:
    if not (word.isascii() and word.isdecimal()) or len(word) > 18:
        raise ValueError(word)
    return int(word)


def read_page(found: Progress) -> LedgerPage:
    asked = read_filter()
    return reads.ledger_page(found, asked.outcomes, asked.words, asked.after, PAGE_SIZE)


def show_ledger(found: Progress, page: LedgerPage) -> None:
    """Filters and downloads, then the table as a part of its own: it follows what runs, and no filter is lost."""
    asked, operation_id = read_filter(), found.operation_id
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(_("Ledger"), anchor=False, width="content")
        st.space("stretch")
        _offer_download(found, _("CSV"), "csv", "text/csv", ledger.as_csv)
        _offer_download(found, _("JSON"), "json", "application/json", ledger.as_json)
    filter_widgets.show_not_understood(asked.not_understood)
    shown = [outcome for outcome in OUTCOMES if page.counts[outcome] or outcome in asked.outcomes]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        filter_widgets.pills(_("Outcome"), "outcome", shown, lambda outcome: f"{OUTCOMES[outcome].mark} {OUTCOMES[outcome].word}")
        filter_widgets.search(_("Words"), "text", _("Title, key or error"), is_label_shown=False, width=340)
    st.fragment(_live_table, run_every=POLL_SECONDS if found.is_active else None)(operation_id)


def _offer_download(found: Progress, label: str, ending: str, mime: str, as_text) -> None:
    """Never a part of it: not before all keys of a large plan are items."""
    words = _("Every item of the operation, whatever the filters show. It is written when you click.")
    if found.unwritten:
        words = _("It can be downloaded once all items of this operation are written down.")
    st.download_button(label, reads.ledger_file(found.operation_id, as_text), f"operation-{found.operation_id[:8]}.{ending}", mime,
                       key=f"ledger-{ending}", on_click="ignore", type="tertiary", icon=":material/download:",
                       disabled=bool(found.unwritten), help=words)


def _live_table(operation_id: str) -> None:
    guarded_part(lambda: _show_table(operation_id))


def _show_table(operation_id: str) -> None:
    found = reads.operation(operation_id)
    if found is None:
        return
    asked, page = read_filter(), read_page(found)
    st.html(_sum(page))
    if page.rows:
        st.dataframe(_frame(operation_id, page.rows), hide_index=True, key="ledger", row_height=ROW_HEIGHT, placeholder="",
                     height=min(ROW_HEIGHT * len(page.rows) + 38, 720), column_order=_order(page.rows), column_config=_columns())
    elif asked.after:
        st.info(_("There is no further item."), icon=":material/filter_alt_off:")
    elif found.unwritten:
        st.info(_("Its items are being written down."), icon=":material/edit_note:")
    else:
        st.info(_("No item matches these filters."), icon=":material/filter_alt_off:")
        st.button(_("Clear filters"), key="clear-filters", on_click=_clear)
    _show_paging(asked, page)


def _clear() -> None:
    filter_widgets.clear(NAMES)
    session.want_page()


def _sum(page: LedgerPage) -> str:
    """"21 items = 20 succeeded + 1 failed", as of when."""
    total = sum(page.counts.values())
    parts = blocks.legend((look, page.counts[outcome]) for outcome, look in OUTCOMES.items())
    words = _("{items} in the scope, each once:").format(items=wording.items(total))
    return (f'<div class="rd rd-small rd-row"><span class="rd-strong">{escaped(words)}</span>{parts}'
            f'<span class="rd-quiet rd-push">{escaped(_("As of {time}").format(time=clock_time(page.as_of)))}</span></div>')


def _show_paging(asked: AskedLedger, page: LedgerPage) -> None:
    if not (asked.after or page.next_item_id):
        return
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        st.button(_("First"), key="ledger-first", icon=":material/first_page:", disabled=not asked.after, on_click=turn_to, args=(0,))
        st.button(_("Next"), key="ledger-next", icon=":material/chevron_right:", icon_position="right",
                  disabled=page.next_item_id is None, on_click=turn_to, args=(page.next_item_id or 0,))


def turn_to(after: int) -> None:
    """Callback of the paging: what comes behind that item; 0 is the beginning."""
    address.write("after", str(after) if after else "")
    session.want_page()


def _frame(operation_id: str, rows: tuple[LedgerRow, ...]) -> pd.DataFrame:
    titles, working = reads.owner_titles_of_operation(operation_id), reads.in_work(tuple(row.key for row in rows))
    return pd.DataFrame({
        "outcome": [OUTCOMES[row.outcome].text for row in rows],
        "content": [wording.CONTENT_KINDS[row.key.kind] for row in rows],
        "title": [row.title for row in rows],
        "owner": [titles.get(row.key.owner_id, row.key.owner_id) for row in rows],
        "why": [" ".join(row.reason.split()) for row in rows],
        "tries": pd.array([row.tries or None for row in rows], dtype="Int64"),
        "seconds": [row.seconds for row in rows],
        "tokens": pd.array([row.tokens for row in rows], dtype="Int64"),
        "cost": pd.array([row.cost for row in rows], dtype="Float64"),
        "now": [_look_now(row, row.key in working, row.key.owner_id in titles).text for row in rows],
        "open": [_cell_link(row) if row.key.owner_id in titles else None for row in rows],
    }).style.map(_toned, subset=["outcome", "now"]).format(
        precision=1, thousands=",", na_rep="", subset=["tries", "seconds", "tokens"]).format(precision=5, na_rep="", subset=["cost"])


_GONE = Look(GREY, "–", _("Gone"))


def _look_now(row: LedgerRow, is_in_work: bool, has_owner: bool) -> Look:
    """What the detector says of the key now; what somebody works on is no problem and not yet healthy."""
    if row.problem_now is not None:
        return PROBLEM_KINDS[row.problem_now]
    if not has_owner:
        return _GONE
    return KEY_STATES[KeyState.IN_PROGRESS if is_in_work else KeyState.HEALTHY]


def _cell_link(row: LedgerRow) -> str:
    """Its cell in the roadmap, or its chapter."""
    if row.key.kind.owner_kind is OwnerKind.NOVEL:
        return chapter_address(row.key.owner_id, row.key.part)
    return f"/roadmap?id={row.key.owner_id}&cell={row.key.kind}:{row.key.part}"


def _order(rows: tuple[LedgerRow, ...]) -> list[str]:
    """Without columns that would be empty, or say the same in every row."""
    filled = {"owner": len({row.key.owner_id for row in rows}) > 1,
              "why": any(row.reason for row in rows), "tries": any(row.tries for row in rows), "tokens": any(row.tokens for row in rows),
              "seconds": any(row.seconds is not None for row in rows), "cost": any(row.cost for row in rows)}
    return [name for name in _columns() if filled.get(name, True)]


_TONES = {look.text: look.colour for look in (*PROBLEM_KINDS.values(), *KEY_STATES.values(), *OUTCOMES.values(), _GONE)}


def _toned(text: str) -> str:
    return f"color: {_TONES[text]}; font-weight: 600"


def _columns() -> dict:
    return {
        "outcome": st.column_config.TextColumn(_("Outcome"), width=100),
        "content": st.column_config.TextColumn(_("Content"), width=75),
        "title": st.column_config.TextColumn(_("Title"), width=200),
        "owner": st.column_config.TextColumn(_("Roadmap or novel"), width=130),
        "why": st.column_config.TextColumn(_("Why"), width=225),
        "tries": st.column_config.NumberColumn(_("Tries"), width=50),
        "seconds": st.column_config.NumberColumn(_("Seconds"), width=65, format="%.1f"),
        "tokens": st.column_config.NumberColumn(_("Tokens"), width=65, format="localized"),
        "cost": st.column_config.NumberColumn(
            _("Cost"), width=65, format="%.4f", help=_("In {currency}").format(currency=reads.currency())),
        "now": st.column_config.TextColumn(_("Now"), width=105, help=_("What the detector says of it at this moment")),
        "open": st.column_config.LinkColumn(_("Page"), display_text=_("Open"), width=55),
    }
