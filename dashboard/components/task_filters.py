"""The filters of the task list. The URL is their truth: a link shows the same tasks to everybody."""

from dataclasses import dataclass

import streamlit as st

from backend.content import wording
from backend.content.status import TaskStatus, TaskType
from backend.i18n import _
from backend.views.tasks import Cursor, TaskFilter
from dashboard import address, session
from dashboard.components import filter_widgets
from dashboard.palette import TASK_STATUSES

NAMES = ("status", "type", "owner", "user", "age", "text")
HOUR, DAY = 3_600, 86_400
AGES = {  # word in the URL -> (at most so old, at least so old) in seconds
    "under-1h": (HOUR, 0), "under-1d": (DAY, 0), "under-7d": (7 * DAY, 0),
    "over-1h": (0, HOUR), "over-1d": (0, DAY), "over-7d": (0, 7 * DAY)}
AGE_WORDS = {
    "under-1h": _("Under 1 hour"), "under-1d": _("Under 1 day"), "under-7d": _("Under 7 days"), "over-1h": _("Over 1 hour"),
    "over-1d": _("Over 1 day"), "over-7d": _("Over 7 days")}


@dataclass(frozen=True, slots=True)
class AskedTasks:
    filter: TaskFilter
    before: Cursor | None
    after: Cursor | None
    not_understood: tuple[str, ...]


def asked_task() -> str:
    """The one task that the URL names."""
    return address.value("task").strip()


def read_filter() -> AskedTasks:
    """Filter and place that the URL describes."""
    unknown: list[str] = []
    statuses = tuple(filter_widgets.known("status", TaskStatus, unknown))
    types = tuple(filter_widgets.known("type", TaskType, unknown))
    youngest, oldest = filter_widgets.single(filter_widgets.known("age", lambda word: AGES[word], unknown), (0, 0))
    before = filter_widgets.single(filter_widgets.known("before", Cursor.parse, unknown), None)
    after = None if before else filter_widgets.single(filter_widgets.known("after", Cursor.parse, unknown), None)
    return AskedTasks(TaskFilter(
        statuses=statuses, types=types, owner_id=address.value("owner").strip(), user=address.value("user").strip(),
        minimum_age_seconds=oldest, maximum_age_seconds=youngest, text=address.value("text").strip(),
    ), before, after, tuple(unknown))


def show_filters(asked: AskedTasks, counts: dict[str, int], owners: dict[str, str]) -> None:
    """The widgets. `counts` are of every status within the other filters."""
    filter_widgets.show_not_understood(asked.not_understood)
    shown = [status for status in TaskStatus if counts.get(status) or status in asked.filter.statuses]
    filter_widgets.pills(_("Status"), "status", shown, lambda status: (
        f"{TASK_STATUSES[status].mark} {TASK_STATUSES[status].word} {counts.get(status, 0):,}"))
    with st.grid(min_column_width=150, vertical_alignment="bottom", gap="small"):
        filter_widgets.multiselect(_("Type"), "type", list(TaskType), wording.TASK_TYPES.__getitem__)
        filter_widgets.choose(_("Roadmap or novel"), "owner", filter_widgets.with_asked(owners, asked.filter.owner_id),
                              _("Any, or an id"), takes_new=True)
        filter_widgets.choose(_("Age"), "age", AGE_WORDS, _("Any age"))
        filter_widgets.search(_("User"), "user", _("e.g. user-7"), icon=":material/person:")
        filter_widgets.search(_("Text of the error"), "text", _("e.g. timeout"))


def clear_filters() -> None:
    filter_widgets.clear(NAMES)


def turn_to(name: str, cursor: Cursor | None) -> None:
    """Callback of the paging: `name` is before or after; neither is the first page."""
    address.forget(["before", "after"])
    if cursor is not None:
        address.write(name, str(cursor))
    session.want_page()
