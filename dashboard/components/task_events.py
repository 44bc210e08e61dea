"""The log of a task, newest first. It is told from PostgreSQL each time, so a reload shows the same lines."""

import streamlit as st

from backend.content import wording
from backend.content.status import ItemState
from backend.i18n import _
from backend.views.task_log import EventKind, TaskEvent
from dashboard.components import blocks
from dashboard.components.item_words import item_outcome, item_words
from dashboard.durations import short_time
from dashboard.palette import BLUE, CANCELLING, GREY, ITEM_STATES, RED, Look, task_look
from dashboard.untrusted import escaped

SHOWN_EVENTS = 400
LOG_HEIGHT = 460
ACTIONS = {
    "retry": _("Retry confirmed"), "retry_over_limit": _("Retry over the limit confirmed"), "cancel": _("Cancel"),
    "force_stop": _("Force stop"), "pause": _("Pause"), "resume": _("Resume"), "undo": _("Undo"),
    "change_limits": _("Limits changed"), "stop": _("Stopped by itself"),
}


def show_events(events: tuple[TaskEvent, ...]) -> None:
    shown = events[::-1][:SHOWN_EVENTS]
    with st.container(height=LOG_HEIGHT if len(shown) > 12 else "content", key="task-log", border=False):
        st.html(blocks.table(
            ([f'<span class="rd-quiet">{escaped(short_time(event.at))}</span>', _line(event)] for event in shown), is_first_narrow=True))
    if len(events) > len(shown):
        st.caption(_("The last {shown:,} of {total:,} events.").format(shown=len(shown), total=len(events)))


def _line(event: TaskEvent) -> str:
    look, words, detail = event_words(event)
    more = f' <span class="rd-quiet rd-wrap">{escaped(detail)}</span>' if detail else ""
    return (f'<span style="color:{look.colour};font-weight:700" aria-hidden="true">{look.symbol}</span> '
            f'<span class="rd-wrap">{escaped(words)}</span>{more}')


def event_words(event: TaskEvent) -> tuple[Look, str, str]:
    """(look, what happened, what goes with it)."""
    item = item_words(event.item) if event.item else ""
    match event.kind:
        case EventKind.CREATED:
            return Look(GREY, "+", ""), _("Task created for {user}").format(user=event.actor_id), ""
        case EventKind.QUEUED:
            words = item if event.count == 1 else wording.items(event.count)
            return ITEM_STATES[ItemState.QUEUED], _("{items} queued").format(items=words), ""
        case EventKind.STARTED:
            return ITEM_STATES[ItemState.RUNNING], _("{item} begun").format(item=item), _attempt(event) if event.item.attempt > 1 else ""
        case EventKind.LOST:
            return Look(RED, "✕", ""), _("{item}: worker lost, sent again").format(item=item), f"{_attempt(event)}, {event.detail}"
        case EventKind.GIVEN_BACK:
            detail = ", ".join(filter(None, (_attempt(event), event.detail)))
            return ITEM_STATES[ItemState.QUEUED], _("{item} given back, it does not count as a try").format(item=item), detail
        case EventKind.UNQUEUED:
            words = item if event.count == 1 else wording.items(event.count)
            return ITEM_STATES[ItemState.PLANNED], _("{items} taken back from the queue").format(items=words), ""
        case EventKind.TOLD_TO_STOP:
            return CANCELLING, _("{item} told to stop by {actor}").format(item=item, actor=event.actor_id), event.detail
        case EventKind.SETTLED:
            look = ITEM_STATES[event.item.state]
            if event.item.state is ItemState.CANCELLED and event.item.cancelled_by:
                return look, _("{item} cancelled by {actor}").format(item=item, actor=event.item.cancelled_by), event.item.cancel_reason
            return look, f"{item} {look.word.lower()}", item_outcome(event.item)
        case EventKind.FAILED_CONCEPT:
            return ITEM_STATES[ItemState.FAILED], _("{concept} failed").format(concept=event.failed.concept_id), event.failed.reason
        case EventKind.ACTION:
            words = ACTIONS.get(event.action, event.action)
            return Look(BLUE, "●", ""), _("{action} by {actor}").format(action=words, actor=event.actor_id), event.detail
        case EventKind.ENDED:
            look = task_look(event.action, is_cancelling=False)
            return look, _("Task ended: {status}").format(status=look.word.lower()), ""


def _attempt(event: TaskEvent) -> str:
    return _("attempt {attempt}").format(attempt=event.item.attempt)
