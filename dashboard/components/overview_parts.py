"""The parts of the overview."""

import streamlit as st

from backend.content import wording
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import Priority
from backend.i18n import _, ngettext
from backend.views.overview import Crew, Overview, TrendPoint
from dashboard import callbacks
from dashboard.components import blocks, charts
from dashboard.components.header import is_behind
from dashboard.components.health import crew_lines
from dashboard.components.permission import may_retry, retry_help
from dashboard.durations import age
from dashboard.navigation import problems_page
from dashboard.palette import GREEN, PROBLEM_KINDS, Look
from dashboard.untrusted import escaped, plain

TREND_POINTS_AT_LEAST = 2


def show_totals(found: Overview) -> None:
    """How many in all, of which kind, and the oldest."""
    if not found.counts.total:
        _show_none(found)
        return
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.html(_total_block(found))
            st.space("stretch")
            st.button(_("Retry everything that is broken"), key="retry-everything", type="primary", icon=":material/replay:",
                      disabled=not may_retry(), help=retry_help(_("Plan a retry of every problem there is.")),
                      on_click=callbacks.plan_retry, args=(Scope.everything(), _("everything that is broken")))
        parts = [(PROBLEM_KINDS[kind], found.counts.by_problem_kind.get(kind, 0)) for kind in PROBLEM_KINDS]
        st.html(f'<div class="rd">{blocks.bar(parts, found.counts.total)}</div>')
        with st.container(horizontal=True, gap="small", key="kinds"):
            for kind, look in PROBLEM_KINDS.items():
                if count := found.counts.by_problem_kind.get(kind):
                    st.page_link(problems_page(), label=f"{look.mark} **{count:,}** {look.word.lower()}",
                                 query_params={"problem": str(kind)}, help=wording.PROBLEM_MEANINGS[kind])
        _show_oldest(found)


def _show_none(found: Overview) -> None:
    if is_behind(found.as_of):
        st.html(f'<div class="rd">{escaped(_("No problem was listed at that time."))}</div>')
        return
    st.html(f'<div class="rd">{blocks.toned(Look(GREEN, "✓", _("Nothing is broken.")))} '
            f'<span class="rd-quiet">{escaped(_("Every piece of content is there, or not due yet."))}</span></div>')


def _total_block(found: Overview) -> str:
    """Cancelled creations stand apart: somebody wanted them so."""
    cancelled = found.counts.by_problem_kind.get(ProblemKind.CANCELLED, 0)
    broken = found.counts.total - cancelled
    words = ngettext("problem", "problems", broken)
    beside = ngettext(", and {count} that was cancelled", ", and {count} that were cancelled", cancelled).format(count=f"{cancelled:,}")
    return (f'<div class="rd"><span class="rd-number">{broken:,}</span> {escaped(words)}'
            f'<span class="rd-quiet">{escaped(beside) if cancelled else ""}</span></div>')


def _show_oldest(found: Overview) -> None:
    oldest = found.oldest
    if oldest is None:
        return
    look = PROBLEM_KINDS[oldest.kind]
    title = oldest.title or oldest.owner_title
    st.html(f'<div class="rd rd-small rd-wrap"><span class="rd-quiet">{escaped(_("Oldest problem:"))}</span> {blocks.toned(look)} '
            f'<span class="rd-strong">{escaped(title)}</span> <span class="rd-quiet">{escaped(oldest.owner_title)} · '
            f'{escaped(age(oldest.since_at))} · {escaped(oldest.reason[:200])}</span></div>')


def show_causes_heading(found: Overview) -> None:
    st.subheader(_("Top causes"), anchor=False)
    if not found.causes:
        st.caption(_("No problem, so no cause."))


def show_age(found: Overview) -> None:
    st.subheader(_("How old the problems are"), anchor=False)
    if not found.counts.total:
        st.caption(_("No problem, so no age."))
        return
    st.altair_chart(charts.age_chart(found.by_age), alt=plain(_age_words(found)))


def _age_words(found: Overview) -> str:
    return ", ".join(f"{name}: {sum(kinds.values())}" for name, kinds in found.by_age.items())


def show_trend(points: tuple[TrendPoint, ...]) -> None:
    st.subheader(_("Problems in the last 24 hours"), anchor=False)
    if len({point.sampled_at for point in points}) < TREND_POINTS_AT_LEAST:
        st.caption(_("The trend begins with the second sample; maintenance takes one every half minute."))
        return
    last = max(point.sampled_at for point in points)
    total = sum(point.problem_count for point in points if point.sampled_at == last)
    st.altair_chart(charts.trend_chart(points), alt=_("Problems over the last 24 hours; now {count}").format(count=total))


def show_crew(crew: Crew) -> None:
    """Who is there to do the work."""
    st.subheader(_("Who works"), anchor=False)
    lines = "".join(f"<div>{blocks.toned(look)}</div>" for look in crew_lines(crew))
    queues = ""
    if crew.workers is not None and crew.waiting_jobs is not None:
        for priority, waiting in crew.waiting_jobs.items():
            alive = [worker for worker in crew.workers if worker.queue.endswith(f"-{priority}")]
            queues += (f'<tr><td>{escaped(_QUEUES[priority])}</td><td>{len(alive)}</td>'
                       f'<td>{sum(worker.is_busy for worker in alive)}</td><td>{waiting:,}</td></tr>')
        heads = "".join(f"<td>{escaped(word)}</td>" for word in (_("Queue"), _("Workers"), _("Busy"), _("Jobs waiting")))
        queues = f'<table class="rd-table rd-small" style="margin-top:.4rem"><tr class="rd-quiet">{heads}</tr>{queues}</table>'
    st.html(f'<div class="rd">{lines}{queues}</div>')


_QUEUES = {
    Priority.INTERACTIVE: _("Interactive: small retries"), Priority.BULK: _("Bulk: large retries"),
    Priority.AUTOMATIC: _("Automatic: asked for by machines"),
}
