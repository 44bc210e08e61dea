"""The filters of the problem list. The URL is their truth: a link shows the same problems to everybody."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter
from backend.i18n import _, ngettext
from backend.views.listing import CauseRow, Counts
from dashboard import session
from dashboard.palette import PROBLEM_KINDS
from dashboard.untrusted import plain

AGES = {"1h": 3_600, "1d": 86_400, "7d": 7 * 86_400}
AGE_WORDS = {"": _("Any age"), "1h": _("Over 1 hour"), "1d": _("Over 1 day"), "7d": _("Over 7 days")}
ATTEMPTS = ("", "1", "2", "3", "5")
Value = TypeVar("Value")
NAMES = ("problem", "kind", "owner", "cause", "age", "attempts", "text")


@dataclass(frozen=True, slots=True)
class AskedFor:
    filter: ProblemFilter
    not_understood: tuple[str, ...]  # "age=soon": what the URL asks for and nobody knows


def read_filter() -> AskedFor:
    """The filter that the URL describes."""
    unknown: list[str] = []
    return AskedFor(ProblemFilter(
        problem_kinds=tuple(_known("problem", ProblemKind, unknown)),
        kinds=tuple(_known("kind", ContentKind, unknown)),
        owner_id=session.url_value("owner"),
        cause_id=session.url_value("cause"),
        minimum_age_seconds=sum(_known("age", lambda word: AGES[word], unknown)[:1]),
        minimum_attempts=sum(_known("attempts", _positive, unknown)[:1]),
        text=session.url_value("text").strip(),
    ), tuple(unknown))


def _known(name: str, parse: Callable[[str], Value], unknown: list[str]) -> list[Value]:
    values: list[Value] = []
    for word in session.url_values(name):
        try:
            values.append(parse(word))
        except (ValueError, KeyError):
            unknown.append(f"{name}={word}")
    return values


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) > 1_000:
        raise ValueError(word)
    return int(word)


def show_filters(asked: AskedFor, counts: Counts, owners: dict[str, str], causes: tuple[CauseRow, ...]) -> None:
    """The widgets. `counts` are of all problems, so that a choice tells what it would find."""
    if asked.not_understood:
        st.warning(_("The address asks for {words}, which is not a filter; it was left out, so more is shown.").format(
            words=plain(", ".join(asked.not_understood))), icon=":material/link_off:")
    kinds = [kind for kind in PROBLEM_KINDS if counts.by_problem_kind.get(kind) or kind in asked.filter.problem_kinds]
    _pills(_("Problem"), "problem", kinds,
           lambda kind: f"{PROBLEM_KINDS[kind].mark} {PROBLEM_KINDS[kind].word} {counts.by_problem_kind.get(kind, 0):,}")
    with st.grid(min_column_width=150, vertical_alignment="bottom", gap="small"):
        _multiselect(_("Content"), "kind", list(ContentKind),
                     lambda kind: f"{wording.CONTENT_KINDS[kind]} ({counts.by_kind.get(kind, 0):,})")
        _choose(_("Roadmap or novel"), "owner", _with(owners, asked.filter.owner_id), _("All"))
        titles = {row.cause_id: f"{row.problem_count:,} · {row.title}" for row in causes}
        _choose(_("Cause"), "cause", _with(titles, asked.filter.cause_id), _("All"))
        _choose(_("Age"), "age", {word: AGE_WORDS[word] for word in AGES}, AGE_WORDS[""])
        _choose(_("Attempts"), "attempts", {word: attempts_words(int(word)) for word in _attempt_choices()}, _("Any"))
        session.seed_widget("filter-text", session.url_value("text"))
        st.text_input(_("Text"), key="filter-text", type="search", placeholder=_("e.g. timeout"),
                      icon=":material/search:", on_change=_changed, args=("text",))


def attempts_words(count: int) -> str:
    return ngettext("{count} or more", "{count} or more", count).format(count=count)


def _attempt_choices() -> list[str]:
    asked = session.url_value("attempts")
    known = [word for word in ATTEMPTS if word]
    return sorted({*known, asked}, key=int) if asked.isdecimal() and int(asked) <= 1_000 else known


def _with(titles: dict[str, str], asked: str) -> dict[str, str]:
    return titles if not asked or asked in titles else {asked: asked, **titles}


def _pills(label: str, name: str, options: list, words: Callable) -> None:
    session.seed_widget(f"filter-{name}", [kind for kind in options if kind in session.url_values(name)])
    st.pills(label, options, selection_mode="multi", key=f"filter-{name}", format_func=words, on_change=_changed, args=(name,),
             label_visibility="collapsed")


def _multiselect(label: str, name: str, options: list, words: Callable) -> None:
    session.seed_widget(f"filter-{name}", [kind for kind in options if kind in session.url_values(name)])
    st.multiselect(label, options, key=f"filter-{name}", format_func=words, on_change=_changed, args=(name,), placeholder=_("All"))


def _choose(label: str, name: str, titles: dict[str, str], everything: str) -> None:
    asked = session.url_value(name)
    session.seed_widget(f"filter-{name}", asked if asked in titles else None)
    st.selectbox(label, list(titles), key=f"filter-{name}", format_func=lambda word: titles.get(word, word), on_change=_changed,
                 args=(name,), placeholder=everything, index=None)


def _changed(name: str) -> None:
    """Callback: the widget's value goes to the URL, and the list starts at its first page again."""
    value = session.widget_value(f"filter-{name}")
    session.write_url(name, [str(word) for word in value] if isinstance(value, list | tuple) else str(value or "").strip())
    session.forget_url(["page"])


def as_query(problem_filter: ProblemFilter) -> dict[str, str | list[str]]:
    """The filter as query parameters of a link; what does not narrow is left out."""
    ages = {seconds: word for word, seconds in AGES.items()}
    values: dict[str, str | list[str]] = {
        "problem": [str(kind) for kind in problem_filter.problem_kinds], "kind": [str(kind) for kind in problem_filter.kinds],
        "owner": problem_filter.owner_id, "cause": problem_filter.cause_id, "age": ages.get(problem_filter.minimum_age_seconds, ""),
        "attempts": str(problem_filter.minimum_attempts or ""), "text": problem_filter.text}
    return {name: value for name, value in values.items() if value}


def clear_filters() -> None:
    session.forget_url([*NAMES, "page"])
