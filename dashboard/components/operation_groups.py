"""The groups of an operation by cause: which go ahead, go on or were stopped, and why; above them what stopped by itself."""

from collections.abc import Sequence

import streamlit as st

from backend.content import wording
from backend.content.status import GroupState, ItemState, OperationState
from backend.i18n import _, ngettext
from backend.views.ledger import Outcome
from backend.views.operation_groups import OperationGroup
from backend.views.operations import Progress
from dashboard import reads
from dashboard.components import blocks
from dashboard.palette import GROUP_STATES, ITEM_STATES, OUTCOMES, Look
from dashboard.untrusted import escaped, plain

SHOWN_GROUPS = 12
SHOWN_STOPS = 3


def show_stops(found: Progress) -> None:
    """What the operation stopped by itself, with the reason; nothing when it stopped nothing, or says so in its head already."""
    if found.state is OperationState.STOPPED:
        return
    stopped = [group for group in reads.groups_of_operation(found) if group.state is GroupState.STOPPED]
    if not stopped:
        return
    untouched = sum(group.not_started + group.waiting for group in stopped)
    words = [ngettext("**{count} group of this retry stopped by itself; {items} of it were not started.**",
                      "**{count} groups of this retry stopped by themselves; {items} of them were not started.**", len(stopped)).format(
                          count=len(stopped), items=wording.items(untouched))]
    for reason in list(dict.fromkeys(group.stop_words for group in stopped))[:SHOWN_STOPS]:
        words.append(plain(reason))
    st.warning("  \n".join(words), icon=":material/front_hand:")


def show_groups(found: Progress) -> None:
    """One row for each cause that something of it was planned for; the stopped ones first."""
    groups = reads.groups_of_operation(found)
    if not groups:
        return
    st.subheader(_("Groups, by the cause they were planned for"), anchor=False)
    st.html(blocks.table(map(_row, groups[:SHOWN_GROUPS]), (_("State"), _("Cause"), _("Items"), _("How it goes")), is_first_narrow=True))
    if len(groups) > SHOWN_GROUPS:
        st.caption(_("and {count:,} more groups").format(count=len(groups) - SHOWN_GROUPS))


def _row(group: OperationGroup) -> Sequence[str]:
    parts = [(OUTCOMES[outcome], count) for outcome, count in (
        (Outcome.SUCCEEDED, group.succeeded), (Outcome.FAILED, group.failed), (Outcome.NOT_STARTED, group.not_started),
        (Outcome.SKIPPED, group.skipped), (Outcome.CANCELLED, group.cancelled), (Outcome.RUNNING, group.running),
        (Outcome.WAITING, group.waiting))]
    reason = f'<div class="rd-quiet rd-wrap">{escaped(group.stop_words)}</div>' if group.stop_words else ""
    return (blocks.toned(*_state(group)),
            f'<span class="rd-wrap rd-two-lines">{escaped(group.title or _("Other causes"))}</span>{reason}',
            f'<span class="rd-strong">{group.total:,}</span>', f'<span class="rd-row">{blocks.legend(parts)}</span>')


def _state(group: OperationGroup) -> tuple[Look, str]:
    """"Canary 2 of 3", "Goes on", "Done"; look and words."""
    if group.state is GroupState.STOPPED:
        return GROUP_STATES[group.state], ""
    if group.is_settled:
        return ITEM_STATES[ItemState.SUCCEEDED if group.succeeded or not group.failed else ItemState.FAILED], _("Done")
    if group.state is GroupState.CANARY:
        return GROUP_STATES[group.state], _("Canary: {settled} of {count}").format(settled=group.canary_settled, count=group.canary_count)
    return GROUP_STATES[group.state], ""
