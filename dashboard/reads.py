"""Every read of the pages, shared by all sessions for a second or two: a polling crowd costs one query.

A failed read raises and is never kept. Only the Redrive (engine, Redis, object store) is a shared resource.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import streamlit as st

from backend import settings
from backend.actions import limits, retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.content import prices, wording
from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits
from backend.content.plans import Plan
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelScope
from backend.redrive import Redrive
from backend.views import (
    availability,
    ledger,
    listing,
    operation_groups,
    operation_list,
    operations,
    overview,
    roadmap,
    task_log,
    tasks,
    triggered,
    workers,
)
from backend.views import causes as cause_views

_BY_REPR = {ProblemFilter: repr, ContentKey: repr, tasks.TaskFilter: repr, tasks.Cursor: repr, tasks.TaskDetail: repr,
            operations.Progress: repr, CancelScope: repr}
_polled = st.cache_data(ttl=1, show_spinner=False, max_entries=200, hash_funcs=_BY_REPR)
_calm = st.cache_data(ttl=2, show_spinner=False, max_entries=200, hash_funcs=_BY_REPR)
_slow = st.cache_data(ttl=15, show_spinner=False, max_entries=20)


@st.cache_resource(show_spinner=False)
def connected() -> Redrive:
    return connect(settings.load(), pool_size=settings.WEB_CONNECTIONS)


def actor() -> Actor:
    """Who sits before the page; one person until sign-in exists."""
    given = connected().settings
    return Actor(given.operator, Role(given.operator_role))


def ask_database() -> None:
    """Raises when PostgreSQL does not answer. Never cached."""
    availability.ask_database(connected())


@_calm
def read_overview() -> overview.Overview:
    return overview.overview(connected())


@_slow
def trend(hours: int) -> tuple[overview.TrendPoint, ...]:
    return overview.trend(connected(), hours=hours)


@_calm
def crew() -> overview.Crew:
    return overview.crew(connected())


@_polled
def active_operations() -> tuple[operations.Progress, ...]:
    return operations.active_operations(connected())


def ids_of_active(found: tuple[operations.Progress, ...]) -> frozenset[str]:
    return frozenset(progress.operation_id for progress in found if progress.is_active)


def has_armed(found: tuple[operations.Progress, ...]) -> bool:
    return any(progress.state is OperationState.ARMED for progress in found)


@_polled
def items_of(operation_id: str, limit: int) -> tuple[operations.ItemRow, ...]:
    return operations.item_rows(connected(), operation_id, limit=limit)


@_polled
def items_in_state(operation_id: str, state: ItemState, limit: int) -> tuple[operations.ItemRow, ...]:
    return operations.item_rows(connected(), operation_id, limit=limit, states=(state,))


@_polled
def operation(operation_id: str) -> operations.Progress | None:
    return operations.progress(connected(), operation_id)


@_polled
def operation_page(states: tuple[OperationState, ...], words: str, before: datetime | None, limit: int) -> operation_list.OperationPage:
    return operation_list.operation_page(connected(), states=states, words=words, before=before, limit=limit)


# These three are kept for an operation as it stands: what was read just before its end is never shown after it, when nobody polls any more.
@_polled
def ledger_page(
    found: operations.Progress, outcomes: tuple[ledger.Outcome, ...], words: str, after: int, limit: int,
) -> ledger.LedgerPage:
    return ledger.ledger_page(connected(), found.operation_id, outcomes=outcomes, words=words, after=after, limit=limit)


@_calm
def triggered_words(operation_id: str, names: int) -> str:
    """"Triggered 5, skipped 2 already successful (r1, r2)"; "" when the plan skipped nothing."""
    found = triggered.triggered(connected(), operation_id, names=names)
    if found is None or not found.skipped:
        return ""
    return wording.triggered(found.count, [(skipped.rule, skipped.count, skipped.names) for skipped in found.skipped])


@_calm
def causes_of_operation(found: operations.Progress) -> tuple[ledger.GroupRow, ...]:
    return ledger.groups(connected(), found.operation_id)


@_calm
def groups_of_operation(found: operations.Progress) -> tuple[operation_groups.OperationGroup, ...]:
    return operation_groups.groups_of(connected(), found.operation_id)


@_calm
def outcomes_over_time(found: operations.Progress) -> tuple[ledger.OutcomeBucket, ...]:
    return ledger.outcomes_over_time(connected(), found.operation_id)


@_calm
def owner_titles_of_operation(operation_id: str) -> dict[str, str]:
    return ledger.owner_titles(connected(), operation_id)


@_calm
def first_chapters_of_operation(operation_id: str) -> dict[str, int | None]:
    return ledger.first_chapters(connected(), operation_id)


def ledger_file(operation_id: str, as_text: Callable) -> Callable[[], str]:
    """Makes the whole ledger as CSV or JSON, when it is called: by a click, outside of any page."""
    redrive = connected()
    return lambda: as_text(ledger.ledger_rows(redrive, operation_id))


def zone_name() -> str:
    """Of quiet hours."""
    return connected().settings.time_zone


def default_limits(plan: Plan) -> OperationLimits:
    """Of the operation that it becomes, when whoever confirms it chooses none."""
    return retry.default_limits(connected(), plan)


def asks_why(plan: Plan, limits: OperationLimits) -> bool:
    """Confirming it with these limits needs a reason."""
    return bool(retry.asks_why(connected(), plan, limits))


def currency() -> str:
    """Of the price table."""
    return connected().settings.currency


def unpriced_models(kinds: Iterable[ContentKind]) -> tuple[str, ...]:
    """With one of them no budget of money for content of these kinds can be kept."""
    return prices.unpriced_models(connected().settings, kinds)


def unpriced_of_operation(operation_id: str) -> tuple[str, ...]:
    return limits.unpriced_models(connected(), operation_id)


def interactive_items() -> int:
    """A retry of at most so many items needs no dialog."""
    return connected().settings.interactive_items


@_calm
def problem_page(problem_filter: ProblemFilter, page: int, page_size: int, sort: str) -> listing.ProblemPage:
    return listing.problem_page(connected(), problem_filter, page=page, page_size=page_size, sort=listing.Sort(sort))


def still_problems(keys: tuple[ContentKey, ...]) -> dict[ContentKey, ProblemKind]:
    return listing.problems_of(connected(), list(keys))


@_calm
def counts(problem_filter: ProblemFilter) -> listing.Counts:
    return listing.counts(connected(), problem_filter)


@_calm
def causes(problem_filter: ProblemFilter, limit: int) -> tuple[listing.CauseRow, ...]:
    return listing.cause_rows(connected(), problem_filter, limit=limit)


@_polled
def cause(cause_id: str) -> cause_views.CauseDetail | None:
    return cause_views.cause(connected(), cause_id)


@_calm
def cause_name(cause_id: str) -> tuple[str, str]:
    return cause_views.name_of(connected(), cause_id)


@_polled
def recent_retries(cause_ids: tuple[str, ...]) -> tuple[cause_views.OperationOfCause, ...]:
    return cause_views.recent_retries(connected(), cause_ids)


@_calm
def other_causes(cause_id: str) -> dict[str, str]:
    return cause_views.other_causes(connected(), cause_id)


@_calm
def owner_titles() -> dict[str, str]:
    return listing.owner_titles(connected())


@_calm
def roadmap_choices(search: str, limit: int) -> tuple[roadmap.RoadmapChoice, ...]:
    return roadmap.roadmap_choices(connected(), search=search, limit=limit)


@_polled
def read_roadmap(roadmap_id: str) -> roadmap.RoadmapView | None:
    return roadmap.roadmap(connected(), roadmap_id)


@_calm
def saved_content(key: ContentKey) -> roadmap.SavedContent | None:
    return roadmap.saved_content(connected(), key)


@_calm
def history(key: ContentKey) -> tuple[operations.ItemRow, ...]:
    return operations.history(connected(), key)


def in_work(keys: tuple[ContentKey, ...]) -> frozenset[ContentKey]:
    return operations.in_work(connected(), keys)


@_calm
def starters_of(*keys: ContentKey) -> tuple[str, ...]:
    return operations.starters_of(connected(), keys)


@_calm
def working(scope: CancelScope) -> operations.Working:
    return operations.working(connected(), scope)


@_polled
def task_page(task_filter: tasks.TaskFilter, before: tasks.Cursor | None, after: tasks.Cursor | None, page_size: int) -> tasks.TaskPage:
    return tasks.task_page(connected(), task_filter, before=before, after=after, page_size=page_size)


@_calm
def task_counts(task_filter: tasks.TaskFilter) -> dict[str, int]:
    return tasks.status_counts(connected(), task_filter)


@_polled
def task_rows(task_ids: tuple[str, ...]) -> tuple[tasks.TaskRow, ...]:
    return tasks.task_rows(connected(), task_ids)


@_polled
def task(task_id: str) -> tasks.TaskDetail | None:
    return tasks.task(connected(), task_id)


@_calm
def failed_keys_of_tasks(task_ids: tuple[str, ...]) -> tuple[ContentKey, ...]:
    """What a retry of them would take."""
    return task_log.failed_keys(connected(), task_ids)


@_polled
def task_events(found: tasks.TaskDetail) -> tuple[task_log.TaskEvent, ...]:
    return task_log.task_events(connected(), found)


def force_stop_seconds() -> float:
    return connected().settings.force_stop_seconds


@_calm
def read_workers() -> workers.WorkersView:
    return workers.workers(connected())


@_slow
def unsaved_texts() -> workers.UnsavedTexts | None:
    return workers.unsaved_texts(connected())


_of_pages: list[Callable] = []  # reads that live in the module of their page


def also_forget(*found: Callable) -> None:
    """These reads are forgotten after every action too."""
    _of_pages.extend(found)


def forget_after_action() -> None:
    """What an action has just changed is read anew."""
    for read in (active_operations, items_of, items_in_state, problem_page, read_roadmap, history, task_page, task_counts,
                 task_rows, task, failed_keys_of_tasks, working, read_workers, crew,
                 operation, operation_page, ledger_page, causes_of_operation, groups_of_operation, outcomes_over_time, causes, cause,
                 recent_retries, other_causes, read_overview, *_of_pages):
        read.clear()
