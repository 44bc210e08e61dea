"""The filters of the problem list. The URL is their truth: a link shows the same problems to everybody."""

from dataclasses import dataclass

import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter
from backend.i18n import _, ngettext
from backend.views.listing import CauseRow, Counts
from dashboard import address, reads
from dashboard.components import filter_widgets
from dashboard.palette import PROBLEM_KINDS

AGES = {"1h": 3_600, "1d": 86_400, "7d": 7 * 86_400}
AGE_WORDS = {"": _("Any age"), "1h": _("Over 1 hour"), "1d": _("Over 1 day"), "7d": _("Over 7 days")}
ATTEMPTS = ("", "1", "2", "3", "5")
NAMES = ("problem", "kind", "owner", "cause", "age", "attempts", "text")


@dataclass(frozen=True, slots=True)
class AskedFor:
    filter: ProblemFilter
    not_understood: tuple[str, ...]  # "age=soon": what the URL asks for and nobody knows


def read_filter() -> AskedFor:
    """The filter that the URL describes."""
    unknown: list[str] = []
    return AskedFor(ProblemFilter(
        problem_kinds=tuple(filter_widgets.known("problem", ProblemKind, unknown)),
        kinds=tuple(filter_widgets.known("kind", ContentKind, unknown)),
        owner_id=address.value("owner"),
        cause_id=address.value("cause"),
        minimum_age_seconds=sum(filter_widgets.known("age", lambda word: AGES[word], unknown)[:1]),
        minimum_attempts=sum(filter_widgets.known("attempts", _positive, unknown)[:1]),
        text=address.value("text").strip(),
    ), tuple(unknown))


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) > 1_000:
        raise ValueError(word)
    return int(word)


def show_filters(asked: AskedFor, counts: Counts, owners: dict[str, str], causes: tuple[CauseRow, ...]) -> None:
    """The widgets. `counts` are of all problems, so that a choice tells what it would find."""
    filter_widgets.show_not_understood(asked.not_understood)
    kinds = [kind for kind in PROBLEM_KINDS if counts.by_problem_kind.get(kind) or kind in asked.filter.problem_kinds]
    filter_widgets.pills(_("Problem"), "problem", kinds,
           lambda kind: f"{PROBLEM_KINDS[kind].mark} {PROBLEM_KINDS[kind].word} {counts.by_problem_kind.get(kind, 0):,}")
    with st.grid(min_column_width=150, vertical_alignment="bottom", gap="small"):
        filter_widgets.multiselect(_("Content"), "kind", list(ContentKind),
                     lambda kind: f"{wording.CONTENT_KINDS[kind]} ({counts.by_kind.get(kind, 0):,})")
        filter_widgets.choose(_("Roadmap or novel"), "owner", filter_widgets.with_asked(owners, asked.filter.owner_id), _("All"))
        filter_widgets.choose(_("Cause"), "cause", _cause_choices(causes, asked.filter.cause_id), _("All"))
        filter_widgets.choose(_("Age"), "age", {word: AGE_WORDS[word] for word in AGES}, AGE_WORDS[""])
        filter_widgets.choose(_("Attempts"), "attempts", {word: attempts_words(int(word)) for word in _attempt_choices()}, _("Any"))
        filter_widgets.search(_("Text"), "text", _("e.g. timeout"))


def _cause_choices(causes: tuple[CauseRow, ...], asked_id: str) -> dict[str, str]:
    """cause_id -> words. One that the URL asks for and that was merged stands in the place of the cause that it belongs to now."""
    titles = {row.cause_id: f"{row.problem_count:,} · {row.title}" for row in causes}
    if not asked_id or asked_id in titles:
        return titles
    belongs_to, title = reads.cause_name(asked_id)
    return {asked_id: titles.pop(belongs_to, title), **titles}


def attempts_words(count: int) -> str:
    return ngettext("{count} or more", "{count} or more", count).format(count=count)


def _attempt_choices() -> list[str]:
    asked = address.value("attempts")
    known = [word for word in ATTEMPTS if word]
    return sorted({*known, asked}, key=int) if asked.isdecimal() and int(asked) <= 1_000 else known


def as_query(problem_filter: ProblemFilter) -> dict[str, str | list[str]]:
    """The filter as query parameters of a link; what does not narrow is left out."""
    ages = {seconds: word for word, seconds in AGES.items()}
    values: dict[str, str | list[str]] = {
        "problem": [str(kind) for kind in problem_filter.problem_kinds], "kind": [str(kind) for kind in problem_filter.kinds],
        "owner": problem_filter.owner_id, "cause": problem_filter.cause_id, "age": ages.get(problem_filter.minimum_age_seconds, ""),
        "attempts": str(problem_filter.minimum_attempts or ""), "text": problem_filter.text}
    return {name: value for name, value in values.items() if value}


def clear_filters() -> None:
    filter_widgets.clear(NAMES)
