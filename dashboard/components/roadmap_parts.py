"""The head of a roadmap: progress, its cover, what cannot be read, and one retry for all of it."""

from datetime import datetime

import streamlit as st

from backend.clock import utc_now
from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.problems import KeyState, ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.stopping import CancelScope
from backend.i18n import _, ngettext
from backend.views.roadmap import RoadmapView
from dashboard import callbacks
from dashboard.components import blocks
from dashboard.components.permission import may_retry, retry_help
from dashboard.components.scope_cancel import offer_cancel_of_scope
from dashboard.palette import Look, cell_look
from dashboard.untrusted import escaped, plain


def as_of(found: RoadmapView | None) -> datetime:
    return found.as_of if found else utc_now()


def show_unknown(roadmap_id: str) -> None:
    st.warning(_("There is no roadmap with the id **{roadmap_id}**, or it was deleted.").format(roadmap_id=plain(roadmap_id)),
               icon=":material/search_off:")


def show_summary(found: RoadmapView) -> None:
    """Progress by state, the cover, and the retry of everything that is broken here."""
    parts = _counted(found)
    total = sum(count for _look, count in parts)
    broken = found.state_counts[KeyState.PROBLEM] + (found.cover.state is KeyState.PROBLEM) + bool(found.faults)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.html(
            f'<div class="rd"><div class="rd-row"><span class="rd-strong">{escaped(_progress_words(found, total))}</span>'
            f'<span class="rd-row rd-small">{blocks.legend(parts)}</span></div>{blocks.bar(parts, total)}'
            f'<div class="rd-small">{_cover(found)}</div></div>', width="stretch")
        aim = ProblemFilter(owner_id=found.roadmap_id)
        st.button(_("Retry all of this roadmap"), key=f"retry-roadmap-{found.roadmap_id}", type="primary", icon=":material/replay:",
                  disabled=not may_retry() or not broken, on_click=callbacks.plan_retry,
                  args=(Scope.matching(aim), wording.scope(Scope.matching(aim), owner_title=found.title)),
                  help=retry_help(_("Plan a retry of every problem of this roadmap.") if broken else _("Nothing is broken here.")))
        offer_cancel_of_scope(CancelScope(owner_id=found.roadmap_id), found.title)


def _progress_words(found: RoadmapView, total: int) -> str:
    healthy = found.state_counts[KeyState.HEALTHY]
    return _("{healthy:,} of {total:,} pieces of content are healthy ({ratio:.0%})").format(
        healthy=healthy, total=total, ratio=found.ratio_healthy)


def _counted(found: RoadmapView) -> list[tuple[Look, int]]:
    """Cells by look, healthy first, problems by their kind."""
    looks = [cell_look(cell.state, cell.problem.kind if cell.problem else None) for row in found.concepts for cell in row.cells.values()]
    order = [cell_look(KeyState.HEALTHY, None), cell_look(KeyState.IN_PROGRESS, None), cell_look(KeyState.WAITING, None),
             *(cell_look(KeyState.PROBLEM, kind) for kind in ProblemKind)]
    return [(look, looks.count(look)) for look in order if look in looks]


def _cover(found: RoadmapView) -> str:
    look = cell_look(found.cover.state, found.cover.problem.kind if found.cover.problem else None)
    reason = f' <span class="rd-quiet rd-wrap">{escaped(found.cover.reason)}</span>' if found.cover.reason else ""
    return f'{escaped(wording.CONTENT_KINDS[ContentKind.COVER])}: {blocks.toned(look)}{reason}'


def show_faults(found: RoadmapView) -> None:
    """Where framework_data cannot be read; what can be read is shown all the same."""
    if found.faults:
        words = ngettext("**framework_data cannot be read in {count} place.**", "**framework_data cannot be read in {count} places.**",
                         len(found.faults)).format(count=len(found.faults))
        st.error(words + " " + _("It must be mended at its source; what can be read is below."), icon=":material/data_object:")
        st.code("\n".join(found.faults), language=None, wrap_lines=True)
    if not found.concepts:
        st.info(_("No concept can be read in this roadmap, so there is no matrix."), icon=":material/grid_off:")
