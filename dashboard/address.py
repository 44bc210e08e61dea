"""The URL: the truth for what is looked at (filters, sort, page, roadmap, cell). The one place that touches st.query_params."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import streamlit as st

TICK = timedelta(seconds=1)


def values(name: str) -> list[str]:
    return [_without_nul(value) for value in st.query_params.get_all(name)]


def value(name: str, default: str = "") -> str:
    return _without_nul(st.query_params.get(name, default))


def _without_nul(value: str) -> str:
    """PostgreSQL takes no NUL, and no id holds one."""
    return value.replace("\x00", "")


def write(name: str, values: str | Sequence[str]) -> None:
    """Set a parameter; an empty value removes it."""
    if values:
        st.query_params[name] = values
    elif name in st.query_params:
        del st.query_params[name]
    else:
        return
    st.session_state["sent_url"] = _url()
    if "drawn_url" in st.session_state:  # a live part that writes draws itself for it
        st.session_state["drawn_url"] = _url()


def forget(names: Iterable[str]) -> None:
    for name in names:
        write(name, "")


# The address that the page is drawn for and that of the browser can part in two ways. Streamlit joins a rerun that waits with one that
# comes after it, and takes the address of the second: a tick of a live part that left the browser before it knew what a click had opened
# draws the page as it was. And a link to the page on which it stands changes the page, but not what the browser takes for its address.

def forget_drawn() -> None:
    """The page is being drawn."""
    for name in ("drawn_url", "other_url"):
        st.session_state.pop(name, None)


def remember_drawn() -> None:
    """The page is drawn, for the address that is known now."""
    st.session_state["drawn_url"] = _url()
    _forget_sent()


def is_overtaken(now: datetime) -> bool:
    """In a tick: the browser shows what a click opened, and the page was drawn without. A browser that is behind is told where it is.

    Neither is said of one tick that was still under way, but after a second.
    """
    shown = _url()
    drawn = st.session_state.get("drawn_url", shown)
    if shown == drawn:
        st.session_state.pop("other_url", None)
        _forget_sent()
        return False
    seen, since = st.session_state.get("other_url", (None, now))
    if seen != shown:
        st.session_state["other_url"] = shown, now
        return False
    if now - since < TICK:
        return False
    if shown == st.session_state.get("sent_url"):
        return True
    st.query_params.from_dict(drawn)
    return False


def _forget_sent() -> None:
    """What was sent is drawn."""
    if st.session_state.get("sent_url") == st.session_state.get("drawn_url"):
        st.session_state.pop("sent_url", None)


def _url() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}
