"""Problems grouped by cause: how many, where, since when, and one click to retry them all."""

import streamlit as st

from backend.content import wording
from backend.content.scopes import ProblemFilter, Scope
from backend.i18n import _, ngettext
from backend.views.listing import CauseRow
from dashboard import callbacks
from dashboard.components.filters import as_query
from dashboard.components.permission import may_retry, retry_help
from dashboard.durations import age
from dashboard.navigation import problems_page
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
    aim = _within(narrowed, row.cause_id)
    words = wording.scope(Scope.matching(aim), cause=row.title)
    st.page_link(problems_page(), label=_("Show"), icon=":material/filter_list:", query_params=as_query(aim),
                 help=_("The problems of this cause"))
    st.button(_("Retry all"), key=f"retry-cause-{row.cause_id}", icon=":material/replay:", disabled=not may_retry(),
              help=retry_help(plain(_("Plan a retry of {items} with this cause").format(items=wording.items(row.problem_count)))),
              on_click=callbacks.plan_retry, args=(Scope.matching(aim), words))


def _within(narrowed: ProblemFilter, cause_id: str) -> ProblemFilter:
    return ProblemFilter(
        narrowed.problem_kinds, narrowed.kinds, narrowed.owner_id, cause_id, narrowed.minimum_age_seconds,
        narrowed.minimum_attempts, narrowed.text)


def _block(row: CauseRow) -> str:
    owners = ngettext("{count} roadmap or novel", "{count} roadmaps or novels", row.owner_count).format(count=row.owner_count)
    title = row.title if len(row.title) <= TITLE_CHARACTERS else row.title[:TITLE_CHARACTERS] + "…"
    return (f'<div class="rd" style="display:flex;gap:.9rem;align-items:baseline"><span class="rd-number" style="min-width:2.6rem;'
            f'text-align:right">{row.problem_count:,}</span><span style="min-width:0"><div class="rd-wrap rd-two-lines" '
            f'title="{escaped(row.sample[:500])}">{escaped(title)}</div><div class="rd-quiet rd-small">'
            f'{escaped(owners)} · {escaped(_("oldest {age}").format(age=age(row.oldest_since_at)))}</div></span></div>')
