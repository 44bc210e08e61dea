"""Causes of what is broken: how many, where, since when, where each stands, and one click to retry them all."""

from dataclasses import replace

import streamlit as st

from backend.content import wording
from backend.content.scopes import ProblemFilter, Scope
from backend.i18n import _
from backend.views.listing import CauseRow
from dashboard import callbacks
from dashboard.components import blocks
from dashboard.components.cause_words import day_words, owner_words, success_words, until_words
from dashboard.components.filters import as_query
from dashboard.components.permission import may_retry, retry_help
from dashboard.durations import age
from dashboard.navigation import cause_page, problems_page
from dashboard.palette import CAUSE_STATES
from dashboard.untrusted import escaped, plain

TITLE_CHARACTERS = 150


def show_causes(rows: tuple[CauseRow, ...], narrowed: ProblemFilter = ProblemFilter()) -> None:  # noqa: B008  frozen
    """The causes, the largest first. `narrowed` is the filter they were counted in, and stays in what is retried."""
    for row in rows:
        with st.container(border=True, key=f"cause-{row.cause_id}", horizontal=True, wrap=False, vertical_alignment="center",
                          gap="small"):
            st.html(_block(row), width="stretch")
            _offer(row, narrowed)


def _offer(row: CauseRow, narrowed: ProblemFilter) -> None:
    aim = replace(narrowed, cause_id=row.cause_id)
    words = wording.scope(Scope.matching(aim), cause=row.title)
    st.page_link(cause_page(), label=_("Open"), icon=":material/hub:", query_params={"id": row.cause_id},
                 help=_("Everything about this cause: what helps, what was tried, who sees to it"))
    st.page_link(problems_page(), label=_("Show"), icon=":material/filter_list:", query_params=as_query(aim),
                 help=_("The problems of this cause"))
    told = (_("Plans leave it out: it is ignored. Open it to decide anew.") if row.is_left_out
            else plain(_("Plan a retry of {items} with this cause").format(items=wording.items(row.problem_count))))
    st.button(_("Retry all"), key=f"retry-cause-{row.cause_id}", icon=":material/replay:", disabled=not may_retry() or row.is_left_out,
              help=retry_help(told), on_click=callbacks.plan_retry, args=(Scope.matching(aim), words))


def _block(row: CauseRow) -> str:
    title = row.title if len(row.title) <= TITLE_CHARACTERS else row.title[:TITLE_CHARACTERS] + "…"
    until = until_words(row.state, row.ignored_until_at, row.ignored_until_count)
    told = [owner_words(row.owner_count), day_words(row.day_count), _("oldest {age}").format(age=age(row.oldest_since_at)),
            success_words(row.succeeded, row.failed), _("seen to by {person}").format(person=row.assignee) if row.assignee else ""]
    state = blocks.toned(CAUSE_STATES[row.state], " ".join(filter(None, (CAUSE_STATES[row.state].word, until))))
    return (f'<div class="rd" style="display:flex;gap:.9rem;align-items:baseline"><span class="rd-number" style="min-width:2.6rem;'
            f'text-align:right">{row.problem_count:,}</span><span style="min-width:0"><div class="rd-wrap rd-two-lines" '
            f'title="{escaped(row.sample[:500])}">{escaped(title)}</div><div class="rd-small">{state} <span class="rd-quiet">· '
            f'{escaped(" · ".join(filter(None, told)))}</span></div></span></div>')
