"""What runs now, item by item, and how it ended. Polled while something runs; everything comes from the database.

Apart from the tables on purpose: a tick redraws this part only, so nobody's selection or place is lost.
"""

from collections import Counter
from dataclasses import replace
from math import ceil

import pandas as pd
import streamlit as st

from backend.clock import utc_now
from backend.content import wording
from backend.content.problems import ProblemKind
from backend.content.status import ACTIVE_OPERATION_STATES, ItemState, OperationState
from backend.i18n import _, ngettext
from backend.views.operations import Progress
from dashboard import reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks
from dashboard.components.item_words import item_outcome, item_words
from dashboard.components.operation_buttons import show_operation_buttons
from dashboard.durations import age, span
from dashboard.navigation import operations_page
from dashboard.palette import CANCELLING, ITEM_STATES, NOT_STARTED, OPERATION_STATES, Look, item_look
from dashboard.untrusted import escaped

POLL_SECONDS = 2
POLL_SECONDS_ARMED = 1
MARKED_ITEMS = 300   # above this a bar of the counts stands for the marks
LISTED_ITEMS = 200
SHOWN_RUNNING = 4
SHOWN_ENDED = 3
NAMED_FAILURES = 3
NAMED_CAUSES = 3
_AT_WORK = [state for state in OperationState if state in ACTIVE_OPERATION_STATES]


def show_live(*, empty_words: str = "", has_ended: bool = True, is_armed_only: bool = False, without: str = "") -> None:
    """Running operations, then with `has_ended` those that ended in the last minutes. `empty_words` are said when there is none.

    `is_armed_only`: of the running ones those that can still be undone. `without`: the operation that the page shows anyway.
    All of it in one block, as the header: what is below stays in its place.
    """
    with st.container():
        drawn = session.drawn()
        is_polled = drawn is not None and bool(drawn.active_operations)
        st.fragment(_live, run_every=poll_seconds(drawn.has_armed) if is_polled else None)(is_armed_only, without)
        hidden = session.hidden_operations()
        operations = reads.active_operations()
        ended = [found for found in operations if not found.is_active and found.operation_id not in hidden]
        for progress in ended[:SHOWN_ENDED] if has_ended else ():
            _show_operation(progress)
        if not operations and empty_words:
            st.caption(empty_words)


def poll_seconds(is_armed: bool) -> int:
    """The seconds of an armed one are counted down."""
    return POLL_SECONDS_ARMED if is_armed else POLL_SECONDS


def _live(is_armed_only: bool, without: str) -> None:
    guarded_part(lambda: _show_running(is_armed_only, without))


def _show_running(is_armed_only: bool, without: str) -> None:
    operations = reads.active_operations()
    drawn = session.drawn()
    if drawn is not None and (reads.ids_of_active(operations), reads.has_armed(operations)) != (drawn.active_operations, drawn.has_armed):
        st.rerun()  # once: the tables follow what was settled, and polling begins, changes or stops
    running = [found for found in operations if found.is_active and found.operation_id != without
               and (found.state is OperationState.ARMED or not is_armed_only)]
    if not running:
        return
    with st.container(key="live-running", gap="small"):
        for progress in running[:SHOWN_RUNNING]:
            _show_operation(progress)
        if len(running) > SHOWN_RUNNING:
            st.page_link(operations_page(), icon=":material/playlist_play:", query_params={"state": [str(state) for state in _AT_WORK]},
                         label=_("{count} more operations run").format(count=len(running) - SHOWN_RUNNING))


def _show_operation(progress: Progress) -> None:
    with st.container(border=True, key=f"operation-{progress.operation_id}", gap="xsmall"):
        with st.container(horizontal=True, wrap=False, gap="medium", vertical_alignment="center"):
            is_armed = progress.state is OperationState.ARMED
            if is_armed:
                show_operation_buttons(progress)  # Undo stands first: at the right the notice would lie on it
            st.html(operation_block(progress, held=held_back(progress), starts_in=seconds_to_start(progress)), width="stretch")
            with st.container(horizontal=True, width="content", wrap=False, gap="small", vertical_alignment="center"):
                if not is_armed:
                    show_operation_buttons(progress)
                is_listed = st.toggle(_("Show items"), key=f"items-{progress.operation_id}")
                st.page_link(operations_page(), label=_("Open"), query_params={"operation": progress.operation_id}, width="content",
                             help=_("Its page: every item with its outcome"))
                if not progress.is_active:
                    st.button(_("Hide"), key=f"hide-{progress.operation_id}", type="tertiary", on_click=session.hide_operation,
                              args=(progress.operation_id,))
        if is_listed:
            _list_items(progress)


def seconds_to_start(progress: Progress) -> int | None:
    """Of an armed operation, for its countdown; not below 0."""
    if progress.state is not OperationState.ARMED or progress.starts_at is None:
        return None
    return max(0, ceil((progress.starts_at - utc_now()).total_seconds()))


def held_back(progress: Progress) -> str:
    """Whom what waits in it waits for, in a sentence, because they are out; "" when all of it can go on."""
    covers = progress.waiting_covers
    texts = progress.counts[ItemState.PLANNED] + progress.counts[ItemState.QUEUED] + progress.unwritten - covers
    out = {held.is_of_covers for held in reads.crew().held}
    if covers and True in out:
        if not texts:
            return _("Waits for the painters of covers, which are held back.")
        return _("Waits for the model and for the painters of covers, which are held back.") if False in out else _(
            "Covers wait for their painters, which are held back; texts go on.")
    if texts and False in out:
        return _("Texts wait for the model, which is held back; covers go on.") if covers else _("Waits for the model, which is held back.")
    return ""


@st.cache_data(ttl=3, show_spinner=False, max_entries=100, hash_funcs={Progress: repr})
def operation_block(progress: Progress, *, held: str = "", starts_in: int | None = None, is_whole: bool = False) -> str:
    """Name, state, marks, bar and numbers of an operation. The same progress is drawn once for all sessions.

    `held`: see `held_back`; what waits goes on waiting. `is_whole`: marks and bar of one that ended too.
    """
    if not progress.is_active and not is_whole:
        return f'<div class="rd">{_head(progress, _end_words(progress), _who_and_end(progress))}{_named_causes(progress)}</div>'
    rows = reads.items_of(progress.operation_id, MARKED_ITEMS) if progress.total <= MARKED_ITEMS else ()
    if len(rows) == progress.total:  # read a moment later than the counts: one of the two must speak for both
        counted = Counter(row.state for row in rows)
        progress = replace(progress, counts={state: counted[state] for state in ItemState},
                           cancelling=Counter(row.state for row in rows if row.is_cancelling),
                           not_started=sum(row.is_not_started for row in rows))
    parts = count_parts(progress.counts, progress.cancelling, progress.not_started)
    who = f'<span class="rd-push rd-quiet rd-wrap">{escaped(_who(progress))}</span>'
    numbers = pace(progress, is_held=bool(held), starts_in=starts_in) if progress.is_active else _end_words(progress)
    lines = [_head(progress, numbers), _state_line(progress, held),
             blocks.marks(rows, item_words) if rows else "", blocks.bar(parts, progress.total),
             f'<div class="rd-row rd-small">{blocks.legend(parts)}{who}</div>']
    if progress.counts[ItemState.FAILED] and not is_whole:
        lines.append(_failures(progress))
    if not progress.is_active:
        lines.append(_named_causes(progress))
    return f'<div class="rd">{"".join(lines)}</div>'


_BAR_ORDER = (ItemState.SUCCEEDED, ItemState.SKIPPED, ItemState.FAILED, ItemState.CANCELLED, ItemState.RUNNING, ItemState.QUEUED,
              ItemState.PLANNED)


def count_parts(counts: dict[ItemState, int], cancelling: dict[ItemState, int], not_started: int = 0) -> list[tuple[Look, int]]:
    """For bar and legend; those that are stopping stand beside those that run, those that were never begun beside the skipped ones."""
    told = {**cancelling, ItemState.SKIPPED: not_started}
    parts = [(ITEM_STATES[state], counts[state] - told.get(state, 0)) for state in _BAR_ORDER]
    return [*parts[:4], (NOT_STARTED, not_started), (CANCELLING, sum(cancelling.values())), *parts[4:]]


def _end_words(progress: Progress) -> str:
    """In the head; where causes are named the whole sentence stands below, once."""
    return "" if progress.outcome_causes else outcome_words(progress)


def _named_causes(progress: Progress) -> str:
    """At the end: what is broken now, by name."""
    return f'<div class="rd-small rd-wrap">{escaped(outcome_sentence(progress))}</div>' if progress.outcome_causes else ""


def _state_line(progress: Progress, held: str) -> str:
    """Who paused or cancelled it, and why; what it waits for."""
    words = held if held and progress.state is OperationState.RUNNING else state_words(progress)
    return f'<div class="rd-small rd-wrap">{escaped(words)}</div>' if words else ""


def state_words(progress: Progress) -> str:
    by = progress.state_by or _("somebody")
    reason = f": “{progress.state_reason}”" if progress.state_reason else ""
    if progress.state is OperationState.PAUSED:
        return _("Paused by {actor}{reason}").format(actor=by, reason=reason)
    if progress.state is OperationState.STOPPED:
        return _("Stopped by itself{reason}").format(reason=f": {progress.state_reason}" if progress.state_reason else "")
    if progress.state is OperationState.UNDONE:
        return _("Undone by {actor}").format(actor=by)
    if progress.state is OperationState.CANCELLED:
        words = _("Cancelled by {actor}{reason}").format(actor=by, reason=reason)
        return words + (_(". Waiting for {items} to stop.").format(items=wording.items(progress.cancelling_count))
                        if progress.cancelling_count else "")
    return ""


def _head(progress: Progress, numbers: str, who: str = "") -> str:
    name = escaped(_("Retry: {scope}").format(scope=progress.name))
    is_stopping = progress.state is OperationState.CANCELLED and progress.is_active
    look = CANCELLING if is_stopping else OPERATION_STATES[progress.state]
    return (f'<div class="rd-row" style="flex-wrap:nowrap">{blocks.toned(look)}'
            f'<span class="rd-strong rd-cut" style="flex:0 1 auto" title="{name}">{name}</span>'
            f'<span class="rd-quiet rd-small rd-cut" style="flex:0 3 auto" title="{escaped(who)}">{escaped(who)}</span>'
            f'<span class="rd-push rd-strong" style="flex:none">{escaped(numbers)}</span></div>')


def _who(progress: Progress) -> str:
    who = _("by {actor}").format(actor=progress.actor_id)
    return f"{who}, “{progress.reason}”" if progress.reason else who


def _who_and_end(progress: Progress) -> str:
    """Who started it, and who ended it before its time."""
    return ". ".join(filter(None, (_who(progress), state_words(progress))))


def pace(progress: Progress, *, is_held: bool = False, starts_in: int | None = None) -> str:
    """"12 of 21 done, 48 a minute, 12 s left"; without a forecast when nothing more is begun."""
    if progress.state is OperationState.CANCELLED:
        return outcome_words(progress)
    if progress.unwritten:
        return _("being prepared: {written:,} of {total:,} items, starts then").format(
            written=progress.total - progress.unwritten, total=progress.total)
    words = _("{settled:,} of {total:,} done").format(settled=progress.settled, total=progress.total)
    if starts_in is not None:
        words += _(", starts in {count} s").format(count=starts_in) if starts_in else _(", starts now")
    if progress.state is not OperationState.RUNNING or is_held:
        return words
    if progress.items_per_minute:
        words += _(", {rate:.0f} a minute").format(rate=progress.items_per_minute)
    if progress.seconds_left is not None:
        words += _(", {span} left").format(span=span(progress.seconds_left))
    return words


def outcome_sentence(progress: Progress) -> str:
    """"21 retried, 20 healthy, 1 failed again: Model refused: …": with what is broken now, by name."""
    causes = progress.outcome_causes
    if not causes:
        return outcome_words(progress)
    named = "; ".join(cause.words if len(causes) == 1 else f"{cause.words} ({cause.count:,})" for cause in causes[:NAMED_CAUSES])
    more = progress.outcome_cause_count - NAMED_CAUSES
    named += ngettext("; and {count} more cause", "; and {count} more causes", more).format(count=more) if more > 0 else ""
    return f"{outcome_words(progress)}: {named}"


def outcome_words(progress: Progress) -> str:
    """"21 retried, 20 healthy, 1 failed again"."""
    if progress.state is OperationState.UNDONE:
        return _("nothing was begun, {items} taken back").format(items=wording.items(progress.total))
    words = [_("{count:,} retried").format(count=progress.tried)]
    if progress.counts[ItemState.CANCELLED]:
        words.append(_("{count:,} cancelled").format(count=progress.counts[ItemState.CANCELLED]))
    if progress.skipped:
        words.append(_("{count:,} skipped").format(count=progress.skipped))
    if progress.not_started:
        words.append(_("{count:,} not started").format(count=progress.not_started))
    if progress.outcome_healthy is not None:
        words.append(_("{count:,} healthy").format(count=progress.outcome_healthy))
    for kind, count in progress.outcome_problems.items():
        again = _("failed again") if kind == ProblemKind.FAILED else _("now {problem}").format(
            problem=wording.PROBLEM_KINDS[ProblemKind(kind)].lower())
        words.append(f"{count:,} {again}")
    if progress.outcome_in_progress:
        words.append(_("{count:,} left to others").format(count=progress.outcome_in_progress))
    if progress.outcome_waiting:
        words.append(_("{count:,} not due yet").format(count=progress.outcome_waiting))
    if progress.outcome_gone:
        words.append(_("{count:,} gone").format(count=progress.outcome_gone))
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


def _list_items(progress: Progress) -> None:
    failed = reads.items_in_state(progress.operation_id, ItemState.FAILED, LISTED_ITEMS)
    rows = [*failed, *(row for row in reads.items_of(progress.operation_id, LISTED_ITEMS) if row.state is not ItemState.FAILED)]
    frame = pd.DataFrame({
        _("State"): [item_look(row).text for row in rows],
        _("Item"): [item_words(row) for row in rows],
        _("Attempt"): pd.array([row.begun_attempts or None for row in rows], dtype="Int64"),
        _("What came of it"): [item_outcome(row) for row in rows],
        _("Settled"): [age(row.settled_at) if row.settled_at else "" for row in rows],
    })
    st.dataframe(frame, hide_index=True, height=min(36 + 35 * len(rows), 320), key=f"list-{progress.operation_id}")
    if progress.total > len(rows):
        st.caption(_("What failed, and the first of the others: {shown:,} of {total:,} items.").format(
            shown=len(rows), total=progress.total))
