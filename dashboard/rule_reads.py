"""Reads of the page of automatic retries, shared by all sessions for two seconds."""

import streamlit as st

from backend.actions.actors import Permission
from backend.views import automatic
from dashboard import reads

_calm = st.cache_data(ttl=2, show_spinner=False, max_entries=50)


@_calm
def rules() -> automatic.RulesView:
    return automatic.rules(reads.connected())


@_calm
def runs(rule_id: str) -> tuple[automatic.Run, ...]:
    return automatic.runs(reads.connected(), rule_id)


@_calm
def starter_of(operation_id: str) -> automatic.Starter | None:
    return automatic.starter_of(reads.connected(), operation_id)


def may_automate() -> bool:
    return reads.actor().may(Permission.AUTOMATE)


def forget_after_action() -> None:
    """What an action has just changed is read anew."""
    for read in (rules, runs, starter_of):
        read.clear()
    reads.forget_after_action()
