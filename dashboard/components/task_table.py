"""The list of tasks: chosen by id, so that the choice survives refresh and paging; polled while one of them lives."""

from hashlib import sha1
from urllib.parse import quote

import pandas as pd
import streamlit as st

from backend.content.keys import OwnerKind
from backend.i18n import _, ngettext
from backend.views.tasks import TaskPage, TaskRow
from dashboard import callbacks, reads, session
from dashboard.boundary import guarded_part
from dashboard.components.chapter_words import chapter_address
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help, starters_of_task
from dashboard.components.task_filters import AskedTasks, clear_filters, read_filter, turn_to
from dashboard.components.task_words import progress_words, task_words, type_words
from dashboard.palette import CANCELLING, TASK_STATUSES, task_look
from dashboard.session import TASKS, NoticeKind, StopAim

PAGE_SIZE = 50
POLL_SECONDS = 3
ROW_HEIGHT = 32
NAMED = 5


def read_page(asked: AskedTasks) -> TaskPage:
    return reads.task_page(asked.filter, asked.before, asked.after, PAGE_SIZE)


def show_tasks(page: TaskPage, asked: AskedTasks) -> None:
    """Bar, paging and table, or the empty case in words."""
    if not page.rows:
        _show_nothing(asked)
        return
    is_live = any(row.may_be_cancelled for row in page.rows)
    st.fragment(_live_list, run_every=POLL_SECONDS if is_live else None)()


def _show_nothing(asked: AskedTasks) -> None:
    if asked.filter.is_everything and not asked.before:
        st.info(_("The platform has no task yet."), icon=":material/checklist:")
        return
    st.info(_("No task matches these filters.") if not asked.before else _("There is no older task."), icon=":material/filter_alt_off:")
    if asked.before:
        st.button(_("Newest tasks"), key="tasks-newest", on_click=turn_to, args=("before", None))
    else:
        st.button(_("Clear filters"), key="clear-filters", on_click=clear_filters)


def _live_list() -> None:
    guarded_part(_list)


def _list() -> None:
    page = read_page(read_filter())
    if not page.rows:
        st.rerun()
    _show_bar(_prune(), page)
    _show_table(page)


def _prune() -> tuple[TaskRow, ...]:
    """The chosen tasks that are there still; says when some are not."""
    chosen = session.chosen_ids(TASKS)
    kept = reads.task_rows(chosen)
    gone = len(chosen) - len(kept)
    if gone:
        session.choose_ids(TASKS, [row.task_id for row in kept])
        session.notify(NoticeKind.INFO, ngettext(
            "{count} task of your selection is gone and was dropped from it.",
            "{count} tasks of your selection are gone and were dropped from it.", gone).format(count=gone))
    return kept


def _show_bar(chosen: tuple[TaskRow, ...], page: TaskPage) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="task-bar"):
        _offer_cancel(chosen)
        _offer_retry(chosen)
        if chosen:
            elsewhere = len(chosen) - len({row.task_id for row in chosen} & {row.task_id for row in page.rows})
            if elsewhere:
                st.caption(_("{count:,} of them on other pages").format(count=elsewhere), width="content")
            st.button(_("Clear selection"), key="clear-tasks", type="tertiary", on_click=session.forget_chosen, args=(TASKS,))
        else:
            st.caption(_("Nothing chosen."), width="content")
        st.space("stretch")
        _show_paging(page)


def count_words(count: int) -> str:
    return ngettext("{count} task", "{count} tasks", count).format(count=f"{count:,}")


def _offer_cancel(chosen: tuple[TaskRow, ...]) -> None:
    """Pressable when at least one of them may be cancelled; the others are refused by name."""
    alive = [row for row in chosen if row.may_be_cancelled]
    able = [row for row in alive if may_cancel(starters_of_task(row))]
    starters = {actor for row in alive for actor in starters_of_task(row)}
    label = _("Cancel {tasks}").format(tasks=count_words(len(chosen))) if chosen else _("Cancel selected tasks")
    ended = len(chosen) - len(alive)
    detail = ngettext("{count} of them has ended already and will be refused.", "{count} of them have ended already and will be refused.",
                      ended).format(count=ended) if ended else ""
    words = _("Stop what is pending or processing.") if alive else _("Choose tasks that are pending or processing.")
    st.button(label, key="cancel-tasks", icon=":material/cancel:", disabled=not able,
              help=words if able or not alive else cancel_help(words, starters), on_click=callbacks.ask_stop,
              args=(StopAim(names(chosen), task_ids=tuple(row.task_id for row in chosen), detail=detail),))


def _offer_retry(chosen: tuple[TaskRow, ...]) -> None:
    """Pressable when the action would find something."""
    words, task_ids = count_words(len(chosen)), tuple(row.task_id for row in chosen)
    has_failed = bool(task_ids) and bool(reads.failed_keys_of_tasks(task_ids))
    told = (_("Choose rows in the table first.") if not chosen
            else _("Plan a retry of what failed in the chosen tasks and is a problem now.") if has_failed
            else _("Nothing that failed in the chosen tasks is a problem now."))
    st.button(_("Retry what failed in {tasks}").format(tasks=words) if chosen else _("Retry what failed"), key="retry-tasks",
              icon=":material/replay:", disabled=not has_failed or not may_retry(), on_click=callbacks.plan_retry_of_tasks,
              args=(task_ids, words), help=retry_help(told))


def names(chosen: tuple[TaskRow, ...]) -> str:
    """The first of them by name."""
    told = "; ".join(task_words(row) for row in chosen[:NAMED])
    return told if len(chosen) <= NAMED else _("{tasks}: {first}, and more").format(tasks=count_words(len(chosen)), first=told)


def _show_paging(page: TaskPage) -> None:
    if page.newer is not None:
        st.button(_("Newest"), key="tasks-newest", type="tertiary", on_click=turn_to, args=("before", None))
    if page.newer is not None or page.older is not None:
        st.button(_("Newer"), key="tasks-newer", icon=":material/chevron_left:", disabled=page.newer is None, on_click=turn_to,
                  args=("after", page.newer))
        st.button(_("Older"), key="tasks-older", icon=":material/chevron_right:", icon_position="right", disabled=page.older is None,
                  on_click=turn_to, args=("before", page.older))


def _show_table(page: TaskPage) -> None:
    shown = [row.task_id for row in page.rows]
    chosen = set(session.chosen_ids(TASKS))
    digest = sha1("\n".join(shown).encode(), usedforsecurity=False).hexdigest()[:16]
    key = f"tasks-{session.table_generation()}-{digest}"
    st.dataframe(
        _frame(page.rows), hide_index=True, key=key, height=min(ROW_HEIGHT * len(shown) + 38, 720), row_height=ROW_HEIGHT,
        on_select=lambda: session.choose_rows(TASKS, key, shown), selection_mode="multi-row", placeholder="",
        selection_default={"selection": {"rows": [position for position, found in enumerate(shown) if found in chosen]}},
        column_order=_order(page.rows), column_config=_columns())


def _frame(rows: tuple[TaskRow, ...]) -> pd.DataFrame:
    return pd.DataFrame({
        "status": [task_look(row.status, is_cancelling=row.is_cancelling).text for row in rows],
        "type": [type_words(row.task_type) for row in rows],
        "owner": [row.owner_title or row.owner_id for row in rows],
        "progress": [progress_words(row.progress) for row in rows],
        "error": [" ".join(row.error.split()) for row in rows],
        "created": [row.created_at for row in rows],
        "user": [row.user_id for row in rows],
        "open": [f"/tasks?task={quote(row.task_id)}" for row in rows],
        "page": [_owner_address(row) for row in rows],
    }).style.map(_toned, subset=["status"])


def _owner_address(row: TaskRow) -> str | None:
    """None: the roadmap or novel is gone."""
    if not row.owner_title:
        return None
    return chapter_address(row.owner_id) if row.owner_kind is OwnerKind.NOVEL else f"/roadmap?id={quote(row.owner_id)}"


def _order(rows: tuple[TaskRow, ...]) -> list[str]:
    """Without columns that would be empty."""
    is_filled = {"error": any(row.error for row in rows), "page": any(map(_owner_address, rows))}
    return [name for name in _columns() if is_filled.get(name, True)]


_TONES = {look.text: look.colour for look in (*TASK_STATUSES.values(), CANCELLING)}


def _toned(text: str) -> str:
    return f"color: {_TONES[text]}; font-weight: 600" if text in _TONES else ""


def _columns() -> dict:
    return {
        "open": st.column_config.LinkColumn(_("Task"), display_text=_("Open"), width=55),
        "status": st.column_config.TextColumn(_("Status"), width=115),
        "type": st.column_config.TextColumn(_("Type"), width=135),
        "owner": st.column_config.TextColumn(_("Roadmap or novel"), width=165),
        "progress": st.column_config.TextColumn(_("Progress"), width=115),
        "error": st.column_config.TextColumn(_("Error"), width=172),
        "created": st.column_config.DatetimeColumn(_("Created"), format="distance", width=118),
        "user": st.column_config.TextColumn(_("User"), width=80),
        "page": st.column_config.LinkColumn(_("Page"), display_text=_("Open"), width=55, help=_("Of its roadmap or novel")),
    }
