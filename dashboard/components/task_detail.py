"""One task: how it stands, its steps and items, the error in full, what was done to it. Polled while it lives."""

from hashlib import sha1

import pandas as pd
import streamlit as st

from backend.clock import utc_now
from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.status import ItemState, TaskStatus
from backend.content.stopping import CancelScope, may_cancel_item, may_force_stop
from backend.i18n import _
from backend.views.ledger import Outcome
from backend.views.operations import ItemRow
from backend.views.task_progress import TaskProgress
from backend.views.tasks import FailedConcept, TaskDetail, TaskRow
from dashboard import address, callbacks, reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks
from dashboard.components.item_words import item_outcome, item_words
from dashboard.components.owner_links import show_owner_link
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help, starters_of_task
from dashboard.components.task_events import show_events
from dashboard.components.task_words import task_words, type_words
from dashboard.durations import clock_time, span
from dashboard.palette import CANCELLING, ITEM_STATES, OUTCOMES, item_look, task_look
from dashboard.session import ITEMS, StopAim
from dashboard.untrusted import escaped, plain

POLL_SECONDS = 2
ROW_HEIGHT = 32
SHOWN_ERRORS = 10


def show_unknown(task_id: str) -> None:
    st.warning(_("There is no task with the id **{task_id}**.").format(task_id=plain(task_id)), icon=":material/search_off:")


def show_back() -> None:
    st.button(_("All tasks"), key="all-tasks", icon=":material/list:", type="tertiary", on_click=_close)


def _close() -> None:
    address.forget(["task"])
    session.forget_chosen(ITEMS)


def show_task(found: TaskDetail) -> None:
    """Everything about one task."""
    st.fragment(_live_task, run_every=POLL_SECONDS if found.is_live else None)(found.row.task_id, found.is_live)


def _live_task(task_id: str, was_live: bool) -> None:
    guarded_part(lambda: _show(task_id, was_live))


def _show(task_id: str, was_live: bool) -> None:
    found = reads.task(task_id)
    if found is None or found.is_live != was_live:
        st.rerun()  # once: polling begins or stops
    _show_head(found)
    with st.container(key="task-body"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        _show_error(found)
        if found.items:
            _show_items(found)
        else:
            _show_failed_concepts(found)
    with right:
        _show_facts(found)
        st.subheader(_("What happened"), anchor=False)
        show_events(reads.task_events(found))


def _show_head(found: TaskDetail) -> None:
    row = found.row
    look = task_look(row.status, is_cancelling=row.is_cancelling)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(f'<div class="rd rd-row">{blocks.toned(look)}<span class="rd-strong">{escaped(type_words(row.task_type))}</span></div>',
                    width="content")
            _show_owner(found)
            st.space("stretch")
            _offer_retry(row)
            _offer_cancel(row)
        if row.progress is not None and row.progress.total:
            st.html(_progress_block(row.progress))


def _show_owner(found: TaskDetail) -> None:
    """A link to the roadmap, or to the first chapter of the novel that it works on, as far as it tells."""
    row = found.row
    title = row.owner_title or row.owner_id
    if row.owner_kind and row.owner_title:
        numbers = [item.key.part for item in found.items if item.key.kind is ContentKind.CHAPTER]
        numbers = numbers or [dict(found.request).get("chapter_number", "")]
        chapters = [int(number) for number in numbers if number.isascii() and number.isdecimal()]
        show_owner_link(row.owner_kind, row.owner_id, title, chapter_number=min(chapters, default=None))
    elif title:
        gone = "" if row.owner_title else " " + _("(it is gone)")
        st.markdown(plain(title) + gone, width="content")


def _progress_block(progress: TaskProgress) -> str:
    """Bar and numbers; what waits is the rest."""
    parts = [(ITEM_STATES[ItemState.SUCCEEDED], progress.succeeded), (ITEM_STATES[ItemState.SKIPPED], progress.skipped),
             (ITEM_STATES[ItemState.FAILED], progress.failed), (ITEM_STATES[ItemState.CANCELLED], progress.cancelled),
             (CANCELLING, progress.cancelling), (ITEM_STATES[ItemState.RUNNING], progress.running),
             (OUTCOMES[Outcome.WAITING], progress.total - progress.done - progress.running - progress.cancelling)]
    done = _("{done:,} of {total:,} done").format(done=progress.done, total=progress.total)
    return (f'<div class="rd">{blocks.bar(parts, progress.total)}<div class="rd-row rd-small">'
            f'<span class="rd-strong">{escaped(done)}</span>{blocks.legend(parts)}</div></div>')


def _offer_cancel(row: TaskRow) -> None:
    if not row.may_be_cancelled:
        return
    starters = starters_of_task(row)
    st.button(_("Cancel task"), key=f"cancel-task-{row.task_id}", icon=":material/cancel:", on_click=callbacks.ask_stop,
              disabled=row.is_cancelling or not may_cancel(starters), args=(StopAim(task_words(row), task_ids=(row.task_id,)),),
              help=cancel_help(_("It is being cancelled.") if row.is_cancelling else _("Stop what is left of it; what is done stays."),
                               starters))


def _offer_retry(row: TaskRow) -> None:
    """Pressable when the action would find something."""
    has_failed = bool(reads.failed_keys_of_tasks((row.task_id,)))
    st.button(_("Retry what failed"), key=f"retry-task-{row.task_id}", icon=":material/replay:",
              disabled=not has_failed or not may_retry(), on_click=callbacks.plan_retry_of_tasks, args=((row.task_id,), _("this task")),
              help=retry_help(_("Plan a retry of what failed in this task and is a problem now.") if has_failed
                              else _("Nothing that failed in this task is a problem now.")))


def _show_error(found: TaskDetail) -> None:
    if found.row.error:
        _show_in_full(_("Error"), found.row.error)


def _show_in_full(words: str, error: str) -> None:
    """To read and to copy."""
    with st.container(gap="xsmall"):
        st.html(f'<div class="rd rd-strong">{escaped(words)}</div>')
        st.code(error, language=None, wrap_lines=True)


def _show_facts(found: TaskDetail) -> None:
    """What the platform's row says, in one table."""
    row = found.row
    took = span(found.duration_seconds) if found.duration_seconds is not None and not found.is_live else ""
    facts = [
        (_("Id"), row.task_id), (_("User"), row.user_id), (_("Step"), _step(row)), (_("About"), _about(row)),
        (_("Created"), clock_time(row.created_at)), (_("Changed"), clock_time(row.updated_at)),
        (_("Ended"), clock_time(row.completed_at) if row.completed_at else ""), (_("Took"), took),
        *((_("Started by"), f"{note.actor_id}" + (f": “{note.reason}”" if note.reason else "")) for note in found.operations),
        (_("Asked for"), "; ".join(f"{name}: {value}" for name, value in found.request if value and not found.operations)),
        (_("Not readable"), ", ".join(found.unreadable))]
    st.html(blocks.table(
        ([f'<span class="rd-quiet">{escaped(name)}</span>', f'<span class="rd-wrap">{escaped(words)}</span>']
         for name, words in facts if words), is_first_narrow=True))


def _step(row: TaskRow) -> str:
    """The step, unless it only says the status again."""
    return row.current_step.replace("_", " ") if row.current_step != row.status else ""


def _about(row: TaskRow) -> str:
    kind = wording.CONTENT_KINDS[ContentKind(row.content_type)] if row.content_type in set(ContentKind) else row.content_type
    return ", ".join(filter(None, (kind, row.concept_id)))


def _show_items(found: TaskDetail) -> None:
    """Items with what came of them; the chosen ones are read in full, cancelled, or stopped by force when that has taken too long."""
    chosen = [item for item in found.items if str(item.item_id) in session.chosen_ids(ITEMS) and not item.state.is_settled]
    st.subheader(_("Items"), anchor=False)
    failed = [item for item in found.items if item.error_message]
    if len(failed) > 1:  # the error of a single one is shown anyway
        st.caption(_("Choose a failed item to read its error in full, below."))
    if found.is_live:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="item-bar"):
            _offer_cancel_items(found.row, chosen)
            _offer_force_stop(found)
    shown = [str(item.item_id) for item in found.items]
    key = f"task-items-{session.table_generation()}-{sha1(' '.join(shown).encode(), usedforsecurity=False).hexdigest()[:16]}"
    marked = set(session.chosen_ids(ITEMS))
    st.dataframe(
        _frame(found.items), hide_index=True, key=key, height=min(ROW_HEIGHT * len(shown) + 38, 520), row_height=ROW_HEIGHT,
        on_select=lambda: session.choose_rows(ITEMS, key, shown), selection_mode="multi-row", placeholder="", column_config=_columns(),
        selection_default={"selection": {"rows": [at for at, item_id in enumerate(shown) if item_id in marked]}})
    total = found.row.progress.total if found.row.progress else len(shown)
    if total > len(shown):
        st.caption(_("The first {shown:,} of {total:,} items.").format(shown=len(shown), total=total))
    _show_item_errors(failed, marked)


def _show_item_errors(failed: list[ItemRow], marked: set[str]) -> None:
    """In full, of the chosen items or of the only one that failed; the table has room for one line."""
    chosen = failed if len(failed) == 1 else [item for item in failed if str(item.item_id) in marked]
    for item in chosen[:SHOWN_ERRORS]:
        _show_in_full(item_words(item), item.error_message)
    if len(chosen) > SHOWN_ERRORS:
        st.caption(_("The first {shown:,} of {total:,} chosen errors.").format(shown=SHOWN_ERRORS, total=len(chosen)))


def _offer_cancel_items(row: TaskRow, chosen: list[ItemRow]) -> None:
    able = [item for item in chosen if may_cancel_item(item.state, item.cancel_requested_at)]
    items = wording.items(len(able))
    words = item_words(able[0]) if len(able) == 1 else _("{items} of {task}").format(items=items, task=task_words(row))
    st.button(_("Cancel {items}").format(items=items) if able else _("Cancel selected items"), key="cancel-items", icon=":material/cancel:",
              disabled=not able or not may_cancel(row.starter_ids), on_click=callbacks.ask_stop,
              args=(StopAim(words, scope=CancelScope.of(*(item.key for item in able))),) if able else (),
              help=cancel_help(_("Stop the chosen items; the others go on.") if able else _("Choose items that have not ended."),
                               row.starter_ids))


def _offer_force_stop(found: TaskDetail) -> None:
    """Once an item was told to stop and did not within the grace period."""
    stuck = [item for item in found.items
             if may_force_stop(item.state, item.cancel_requested_at, utc_now(), reads.force_stop_seconds())]
    if stuck:
        words = wording.items(len(stuck))
        st.button(_("Force stop {items}").format(items=words), key="force-stop", icon=":material/dangerous:",
                  disabled=not may_cancel(found.row.starter_ids), on_click=callbacks.ask_stop,
                  args=(StopAim(task_words(found.row), force_item_ids=tuple(item.item_id for item in stuck)),),
                  help=cancel_help(_("They were told to stop and did not. Kill their process; other items of it are queued again."),
                                   found.row.starter_ids))


def _frame(items: tuple[ItemRow, ...]) -> pd.DataFrame:
    return pd.DataFrame({
        "state": [item_look(item).text for item in items],
        "item": [item_words(item) for item in items],
        "attempt": pd.array([item.begun_attempts or None for item in items], dtype="Int64"),
        "outcome": [" ".join(item_outcome(item).split()) for item in items],
    }).style.map(_toned, subset=["state"]).format(na_rep="", subset=["attempt"])


_TONES = {look.text: look.colour for look in (*ITEM_STATES.values(), CANCELLING)}


def _toned(text: str) -> str:
    return f"color: {_TONES[text]}; font-weight: 600"


def _columns() -> dict:
    return {
        "state": st.column_config.TextColumn(_("State"), width=100),
        "item": st.column_config.TextColumn(_("Item"), width=215),
        "attempt": st.column_config.NumberColumn(_("Attempt"), width=55),
        "outcome": st.column_config.TextColumn(_("What came of it"), width=245),
    }


def _show_failed_concepts(found: TaskDetail) -> None:
    """What the platform noted as failed; a task of its own has no items."""
    st.subheader(_("What failed, as the platform noted it"), anchor=False)
    if not found.failed_concepts:
        told = [_("It noted nothing as failed."), _("This task was not started by Redrive, so it has no items.")]
        if found.row.status in (TaskStatus.FAILED, TaskStatus.PARTIAL_FAILURE):
            told.insert(1, _("Retrying what failed therefore takes every problem of what the task was about."))
        st.caption(" ".join(told))
        return
    st.html(blocks.table((_failed_row(entry) for entry in found.failed_concepts), (_("Concept"), _("Content"), _("Reason"))))


def _failed_row(entry: FailedConcept) -> list[str]:
    kinds = ", ".join(wording.CONTENT_KINDS[ContentKind(word)] if word in set(ContentKind) else word
                      for word in map(str.strip, entry.content_type.split(",")) if word)
    return [f'<span class="rd-wrap">{escaped(entry.concept_id)}</span>', escaped(kinds),
            f'<span class="rd-wrap">{escaped(entry.reason)}</span>']
