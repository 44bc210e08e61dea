"""What runs now, item by item, and how it ended. Polled while something runs; everything comes from the database.

Apart from the tables on purpose: a tick redraws this part only, so nobody's selection or place is lost.
"""

import pandas as pd
import streamlit as st

from backend.content import wording
from backend.content.problems import ProblemKind
from backend.content.status import ItemState
from backend.i18n import _
from backend.views.operations import ItemRow, Progress
from dashboard import reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks
from dashboard.durations import age, span
from dashboard.palette import ITEM_STATES, OPERATION_STATES
from dashboard.untrusted import escaped

POLL_SECONDS = 2
MARKED_ITEMS = 300   # above this a bar of the counts stands for the marks
LISTED_ITEMS = 200
SHOWN_OPERATIONS = 5
NAMED_FAILURES = 3


def show_live(*, empty_words: str = "") -> None:
    """Running operations, and those that ended in the last minutes. `empty_words` are said when there is none."""
    active = [found.operation_id for found in reads.active_operations() if found.is_active]
    session.remember_active(active)
    st.fragment(_live, run_every=POLL_SECONDS if active else None)(empty_words)


def _live(empty_words: str) -> None:
    guarded_part(lambda: _show(empty_words))


def _show(empty_words: str) -> None:
    operations = reads.active_operations()
    active = frozenset(found.operation_id for found in operations if found.is_active)
    if active != session.active_when_drawn():
        st.rerun()  # once: the tables follow what was settled, and polling begins or stops
    hidden = session.hidden_operations()
    shown = [found for found in operations if found.is_active or found.operation_id not in hidden]
    if not shown and empty_words:
        st.caption(empty_words)
    for progress in shown[:SHOWN_OPERATIONS]:
        _show_operation(progress)
    if len(shown) > SHOWN_OPERATIONS:
        st.caption(_("{count} more operations run or ended just now.").format(count=len(shown) - SHOWN_OPERATIONS))


def _show_operation(progress: Progress) -> None:
    with st.container(border=True, key=f"operation-{progress.operation_id}", gap="xsmall"):
        st.html(operation_block(progress))
        with st.container(horizontal=True, gap="small"):
            is_listed = st.toggle(_("Show items"), key=f"items-{progress.operation_id}")
            if not progress.is_active:
                st.button(_("Hide"), key=f"hide-{progress.operation_id}", type="tertiary", on_click=session.hide_operation,
                          args=(progress.operation_id,))
        if is_listed:
            _list_items(progress)


@st.cache_data(ttl=60, show_spinner=False, max_entries=100, hash_funcs={Progress: repr})
def operation_block(progress: Progress) -> str:
    """Name, state, bar, marks and numbers of an operation. The same progress is drawn once for all sessions."""
    parts = [(ITEM_STATES[state], progress.counts[state]) for state in _BAR_ORDER]
    lines = [_head(progress), blocks.bar(parts, progress.total), f'<div class="rd-row rd-small">{blocks.legend(parts)}</div>']
    if progress.is_active and progress.total <= MARKED_ITEMS:
        lines.insert(1, blocks.marks(reads.items_of(progress.operation_id, MARKED_ITEMS), item_words))
    if progress.counts[ItemState.FAILED]:
        lines.append(_failures(progress))
    return f'<div class="rd">{"".join(lines)}</div>'


_BAR_ORDER = (ItemState.SUCCEEDED, ItemState.SKIPPED, ItemState.FAILED, ItemState.CANCELLED, ItemState.RUNNING, ItemState.QUEUED,
              ItemState.PLANNED)


def _head(progress: Progress) -> str:
    who = _("by {actor}").format(actor=progress.actor_id) + (f", “{progress.reason}”" if progress.reason else "")
    numbers = pace(progress) if progress.is_active else outcome_words(progress)
    return (f'<div class="rd-row">{blocks.toned(OPERATION_STATES[progress.state])}'
            f'<span class="rd-strong rd-wrap">{escaped(_("Retry: {scope}").format(scope=progress.name))}</span>'
            f'<span class="rd-quiet rd-small rd-wrap">{escaped(who)}</span>'
            f'<span class="rd-push rd-strong">{escaped(numbers)}</span></div>')


def pace(progress: Progress) -> str:
    """"12 of 21 done, 48 a minute, 12 s left"."""
    words = _("{settled:,} of {total:,} done").format(settled=progress.settled, total=progress.total)
    if progress.items_per_minute:
        words += _(", {rate:.0f} a minute").format(rate=progress.items_per_minute)
    if progress.seconds_left is not None:
        words += _(", {span} left").format(span=span(progress.seconds_left))
    return words


def outcome_words(progress: Progress) -> str:
    """"21 retried, 20 healthy, 1 failed again"."""
    words = [_("{count:,} retried").format(count=progress.total)]
    if progress.outcome_healthy is not None:
        words.append(_("{count:,} healthy").format(count=progress.outcome_healthy))
    for kind, count in progress.outcome_problems.items():
        again = _("failed again") if kind == ProblemKind.FAILED else _("now {problem}").format(
            problem=wording.PROBLEM_KINDS[ProblemKind(kind)].lower())
        words.append(f"{count:,} {again}")
    return ", ".join(words)


def _failures(progress: Progress) -> str:
    """The first failed items by name, so that nobody has to open a list to learn why."""
    rows = reads.items_in_state(progress.operation_id, ItemState.FAILED, NAMED_FAILURES)
    told = "".join(
        f'<tr><td>{blocks.toned(ITEM_STATES[ItemState.FAILED], item_words(row))}</td>'
        f'<td class="rd-wrap rd-quiet">{escaped(row.error_message[:240] or _("no error recorded"))}</td></tr>' for row in rows)
    more = progress.counts[ItemState.FAILED] - len(rows)
    rest = f'<div class="rd-quiet rd-small">{escaped(_("and {items} more").format(items=wording.items(more)))}</div>' if more > 0 else ""
    return f'<table class="rd-table rd-small" style="margin-top:.4rem">{told}</table>{rest}'


def item_words(row: ItemRow) -> str:
    """"Tutorial of Backpressure"."""
    kind = wording.CONTENT_KINDS[row.key.kind]
    return _("{kind} of {title}").format(kind=kind, title=row.title) if row.title else kind


def _list_items(progress: Progress) -> None:
    rows = reads.items_of(progress.operation_id, LISTED_ITEMS)
    frame = pd.DataFrame({
        _("State"): [ITEM_STATES[row.state].text for row in rows],
        _("Item"): [item_words(row) for row in rows],
        _("Attempt"): [row.attempt for row in rows],
        _("Error"): [row.error_message for row in rows],
        _("Written by"): [written_by(row) for row in rows],
        _("Settled"): [age(row.settled_at) if row.settled_at else "" for row in rows],
    })
    st.dataframe(frame, hide_index=True, height=min(36 + 35 * len(rows), 320), key=f"list-{progress.operation_id}")
    if progress.total > len(rows):
        st.caption(_("The first {shown:,} of {total:,} items in the order of the plan.").format(shown=len(rows), total=progress.total))


def written_by(row: ItemRow) -> str:
    """The model, or that it is a sample."""
    if row.is_sample:
        return _("sample text ({generator})").format(generator=row.generator)
    return row.generator
