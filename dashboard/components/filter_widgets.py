"""Filters of a list, whatever it lists: each widget shows what the URL says and writes its choice there; a default leaves the URL."""

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import streamlit as st

from backend.i18n import _
from dashboard import address, session
from dashboard.untrusted import plain

PLACES = ("page", "before", "after")  # where in the list one is: another filter starts at its first page
Value = TypeVar("Value")


def known(name: str, parse: Callable[[str], Value], unknown: list[str]) -> list[Value]:
    values: list[Value] = []
    for word in address.values(name):
        try:
            values.append(parse(word))
        except (ValueError, KeyError):
            unknown.append(f"{name}={word}")
    return values


def single(values: list[Value], default: Value) -> Value:
    """The first of what the URL gives for a filter that takes one value."""
    return values[0] if values else default


def show_not_understood(words: Iterable[str]) -> None:
    if found := ", ".join(words):
        st.warning(_("The address asks for {words}, which is not a filter; it was left out, so more is shown.").format(
            words=plain(found)), icon=":material/link_off:")


def with_asked(titles: dict[str, str], asked: str) -> dict[str, str]:
    """What the URL asks for is a choice too, listed or not."""
    return titles if not asked or asked in titles else {asked: asked, **titles}


def pills(label: str, name: str, options: list, words: Callable) -> None:
    session.seed_widget(f"filter-{name}", [kind for kind in options if kind in address.values(name)])
    st.pills(label, options, selection_mode="multi", key=f"filter-{name}", format_func=words, on_change=changed, args=(name,),
             label_visibility="collapsed")


def multiselect(label: str, name: str, options: list, words: Callable) -> None:
    session.seed_widget(f"filter-{name}", [kind for kind in options if kind in address.values(name)])
    st.multiselect(label, options, key=f"filter-{name}", format_func=words, on_change=changed, args=(name,), placeholder=_("All"))


def choose(label: str, name: str, titles: dict[str, str], everything: str, *, takes_new: bool = False,
           is_label_shown: bool = True) -> None:
    """With `takes_new` one may type what is not listed: an id."""
    asked = address.value(name)
    session.seed_widget(f"filter-{name}", asked if asked in titles else None)
    st.selectbox(label, list(titles), key=f"filter-{name}", format_func=lambda word: titles.get(word, word), on_change=changed,
                 args=(name,), placeholder=everything, index=None, accept_new_options=takes_new,
                 label_visibility="visible" if is_label_shown else "collapsed")


def changed(name: str) -> None:
    """Callback: the widget's value goes to the URL, and the list starts at its first page again."""
    value = session.widget_value(f"filter-{name}")
    address.write(name, [str(word) for word in value] if isinstance(value, list | tuple) else str(value or "").strip())
    address.forget(PLACES)


def search(label: str, name: str, placeholder: str, icon: str = ":material/search:", *, is_label_shown: bool = True,
           width: Literal["stretch"] | int = "stretch") -> None:
    session.seed_widget(f"filter-{name}", address.value(name))
    st.text_input(label, key=f"filter-{name}", type="search", placeholder=placeholder, icon=icon, on_change=changed, args=(name,),
                  label_visibility="visible" if is_label_shown else "collapsed", width=width)


def clear(names: Iterable[str]) -> None:
    address.forget([*names, *PLACES])
