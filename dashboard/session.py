"""What st.session_state holds, with names and types: what a person is about to do (selection, open plan) and what they have to be told
(notices). What is looked at is in the URL: dashboard.address.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import uuid4

import streamlit as st

from backend.clock import utc_now
from backend.content.keys import ContentKey
from backend.content.limits import OperationLimits
from backend.content.plans import Plan
from backend.content.stopping import CancelReason, CancelScope

NOTICE_SHOWN = timedelta(seconds=20)


class NoticeKind(StrEnum):
    DONE = "done"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    kind: NoticeKind
    text: str
    told_at: datetime


# --- notices: kept until they were shown after the rerun

def notify(kind: NoticeKind, text: str) -> None:
    st.session_state.setdefault("notices", []).append(Notice(kind, text, utc_now()))


def take_brief_notices() -> list[Notice]:
    """Notices for a toast; each is given once."""
    kept = st.session_state.get("notices", [])
    st.session_state["notices"] = [notice for notice in kept if notice.kind is not NoticeKind.DONE]
    return [notice for notice in kept if notice.kind is NoticeKind.DONE]


def lasting_notices() -> list[Notice]:
    """Notices to read in peace: they stay for some seconds, or until the next action."""
    since = utc_now() - NOTICE_SHOWN
    st.session_state["notices"] = [notice for notice in st.session_state.get("notices", []) if notice.told_at > since]
    return list(st.session_state["notices"])


def forget_notices() -> None:
    st.session_state["notices"] = []


# --- selection: content keys, whatever table shows them

def selected() -> tuple[ContentKey, ...]:
    """In the order of choosing."""
    return tuple(st.session_state.get("selected", {}))


def select(keys: Iterable[ContentKey]) -> None:
    st.session_state["selected"] = dict.fromkeys(keys)


def select_rows(table_key: str, shown: Sequence[ContentKey]) -> None:
    """Callback of a table: its chosen positions become keys at once; what is chosen on other pages stays."""
    state = st.session_state.get(table_key)
    rows = state["selection"]["rows"] if state else []
    on_this_page = set(shown)
    others = [key for key in selected() if key not in on_this_page]
    select([*others, *(shown[row] for row in rows if row < len(shown))])


def clear_selection() -> None:
    st.session_state["selected"] = {}
    st.session_state["table_generation"] = table_generation() + 1


def table_generation() -> int:
    """Part of the table's widget key: a new one forgets the marks that the browser keeps."""
    return st.session_state.get("table_generation", 0)


# --- other selections, by name

TASKS, ITEMS = "tasks", "items"  # ids of each

def chosen_ids(name: str) -> tuple[str, ...]:
    """In the order of choosing."""
    return tuple(st.session_state.get(f"chosen_{name}", {}))


def choose_ids(name: str, ids: Iterable[str]) -> None:
    st.session_state[f"chosen_{name}"] = dict.fromkeys(ids)


def choose_rows(name: str, table_key: str, shown: Sequence[str]) -> None:
    """Callback of a table, as `select_rows`."""
    state = st.session_state.get(table_key)
    rows = state["selection"]["rows"] if state else []
    others = [found for found in chosen_ids(name) if found not in set(shown)]
    choose_ids(name, [*others, *(shown[row] for row in rows if row < len(shown))])


def forget_chosen(name: str) -> None:
    choose_ids(name, ())
    st.session_state["table_generation"] = table_generation() + 1


# --- what the open dialog would stop

@dataclass(frozen=True, slots=True)
class StopAim:
    """Exactly one of scope, tasks, operation to cancel, operation to pause, and items to stop by force."""

    words: str                        # what it is, for people
    scope: CancelScope | None = None
    task_ids: tuple[str, ...] = ()
    operation_id: str = ""
    paused_operation_id: str = ""
    force_item_ids: tuple[int, ...] = ()  # to be stopped by force
    detail: str = ""                  # what will happen, beyond what the dialog says anyway

    @property
    def needs_words(self) -> bool:
        """What goes beyond the usual is asked for a reason."""
        return bool(self.force_item_ids) or (self.scope is not None and self.scope.is_everything)


def open_stop() -> StopAim | None:
    return st.session_state.get("open_stop")


def show_stop(aim: StopAim) -> None:
    close_plan()
    st.session_state["open_stop"] = aim
    st.session_state["stop_note"] = ""
    st.session_state["stop_reason"] = CancelReason.NOT_NEEDED


def stop_note() -> str:
    return (st.session_state.get("stop_note") or "").strip()


def stop_reason() -> CancelReason:
    return CancelReason(st.session_state.get("stop_reason") or CancelReason.OTHER)


def close_stop() -> None:
    st.session_state["open_stop"] = None


# --- the operation whose limits the open dialog changes

@dataclass(frozen=True, slots=True)
class LimitsAim:
    operation_id: str
    before: OperationLimits  # as they were when the dialog was opened


def open_limits() -> LimitsAim | None:
    return st.session_state.get("open_limits")


def show_limits(aim: LimitsAim) -> None:
    close_plan()
    close_stop()
    st.session_state["open_limits"] = aim
    st.session_state["limits_reason"] = ""


def limits_reason() -> str:
    return (st.session_state.get("limits_reason") or "").strip()


def close_limits() -> None:
    st.session_state["open_limits"] = None


# --- the chapter that the open dialog would write anew

REGENERATION_FIELDS = ("regenerate_note", "regenerate_model", "regenerate_temperature", "regenerate_own_temperature")


def open_regeneration() -> str:
    """Its chapter_id; "" when the dialog is closed."""
    return st.session_state.get("open_regeneration", "")


def show_regeneration(chapter_id: str) -> None:
    close_plan()
    close_stop()
    st.session_state["open_regeneration"] = chapter_id
    for name in REGENERATION_FIELDS:
        st.session_state.pop(name, None)


def close_regeneration() -> None:
    st.session_state["open_regeneration"] = ""


# --- the plan in the open dialog: what is confirmed is what was shown

PLAN = "plan"  # names the fields of limits in its dialog


def open_plan() -> Plan | None:
    return st.session_state.get("open_plan")


def show_plan(plan: Plan, scope_words: str, reason: str = "") -> None:
    close_stop()
    st.session_state["open_plan"] = plan
    st.session_state["plan_scope_words"] = scope_words
    st.session_state["plan_reason"] = reason
    st.session_state["plan_count"] = ""


def plan_scope_words() -> str:
    return st.session_state.get("plan_scope_words", "")


def plan_reason() -> str:
    return (st.session_state.get("plan_reason") or "").strip()


def plan_count() -> int | None:
    """The count that was typed to confirm a large plan. None: no number."""
    typed = (st.session_state.get("plan_count") or "").translate(str.maketrans("", "", " ,.'’"))
    return int(typed) if typed.isdecimal() and len(typed) < 12 else None


def close_plan() -> None:
    st.session_state["open_plan"] = None


# --- what the page was drawn with: when it changes, the whole page is drawn again, once

@dataclass(frozen=True, slots=True)
class Drawn:
    active_operations: frozenset[str]
    is_database_up: bool = True
    is_redis_up: bool = True
    is_maintained: bool = True
    has_workers: bool = True
    held_providers: tuple[str, ...] = ()
    unserved_queues: frozenset[str] = frozenset()
    has_armed: bool = False


def remember_drawn(drawn: Drawn) -> None:
    st.session_state["drawn"] = drawn


def drawn() -> Drawn | None:
    return st.session_state.get("drawn")


def hide_operation(operation_id: str) -> None:
    st.session_state["hidden_operations"] = hidden_operations() | {operation_id}


def hidden_operations() -> frozenset[str]:
    return st.session_state.get("hidden_operations", frozenset())


# --- offers that were answered, or waved away

def is_answered(offer: str) -> bool:
    return offer in st.session_state.get("answered_offers", frozenset())


def answer(offer: str) -> None:
    st.session_state["answered_offers"] = st.session_state.get("answered_offers", frozenset()) | {offer}


# --- this window, among others of the same person

def window_id() -> str:
    return st.session_state.setdefault("window_id", uuid4().hex)


# --- outage: a fragment that met one asks for the whole page to look again

def suspect_outage() -> None:
    st.session_state["is_outage_suspected"] = True


def take_outage_suspicion() -> bool:
    return st.session_state.pop("is_outage_suspected", False)


# --- a button in a live part has done something that the whole page has to show

def want_page() -> None:
    st.session_state["is_page_wanted"] = True


def take_page_wanted() -> bool:
    return st.session_state.pop("is_page_wanted", False)


# --- widgets

def seed_widget(widget_key: str, value: object) -> None:
    """The widget shows what the URL says."""
    st.session_state[widget_key] = value


def has_widget(widget_key: str) -> bool:
    """It was drawn with the page that the person looks at."""
    return widget_key in st.session_state


def widget_value(widget_key: str) -> object:
    return st.session_state.get(widget_key)
