"""One operation: how it stands, who did what and why, what failed and when its items ended. Polled while it is at work."""

import streamlit as st

from backend.content import wording
from backend.content.keys import OwnerKind
from backend.content.status import ItemState
from backend.content.stopping import may_change_limits
from backend.i18n import _
from backend.views.operations import Progress
from dashboard import address, callbacks, reads, rule_reads
from dashboard.boundary import guarded_part
from dashboard.components import blocks, charts
from dashboard.components.ledger_table import NAMES
from dashboard.components.live_operations import held_back, operation_block, poll_seconds, seconds_to_start, state_words
from dashboard.components.operation_buttons import show_operation_buttons
from dashboard.components.operation_groups import show_groups, show_stops
from dashboard.components.operation_list import took_words
from dashboard.components.owner_links import show_owner_link
from dashboard.components.permission import cancel_help, may_cancel, may_retry, retry_help
from dashboard.durations import clock_time
from dashboard.navigation import automatic_page
from dashboard.palette import OPERATION_STATES, OUTCOMES
from dashboard.session import LimitsAim
from dashboard.untrusted import escaped, plain

POLL_SECONDS_BODY = 4
SHOWN_OWNERS, NAMED_SKIPPED = 12, 50


def show_unknown(operation_id: str) -> None:
    st.warning(_("There is no operation with the id **{operation_id}**.").format(operation_id=plain(operation_id)),
               icon=":material/search_off:")


def show_back() -> None:
    st.button(_("All operations"), key="all-operations", icon=":material/list:", type="tertiary", on_click=address.forget,
              args=(("operation", "after", *NAMES),))


def show_operation(found: Progress) -> None:
    """Head and facts; each is a part of its own, so that a tick of one does not redraw the other."""
    _show_starter(found.operation_id)
    is_armed = seconds_to_start(found) is not None
    st.fragment(_live_head, run_every=poll_seconds(is_armed) if found.is_active else None)(found.operation_id, _stand(found))
    st.fragment(_live_body, run_every=POLL_SECONDS_BODY if found.is_active else None)(found.operation_id)


def _show_starter(operation_id: str) -> None:
    """The rule that began it, when no person did."""
    starter = rule_reads.starter_of(operation_id)
    if starter is None:
        return
    if starter.is_deleted:
        st.caption(plain(_("Started by the automatic retry rule “{scope}”, which was deleted since then.").format(scope=starter.scope)))
    else:
        st.page_link(automatic_page(), icon=":material/autorenew:", query_params={"rule": starter.rule_id}, width="content",
                     label=plain(_("Started by the automatic retry rule “{scope}”").format(scope=starter.scope)))


def _stand(found: Progress) -> tuple[str, bool]:
    """What the whole page was drawn for: buttons, table and polling."""
    return found.state, found.is_active


def _live_head(operation_id: str, drawn: tuple[str, bool]) -> None:
    guarded_part(lambda: _head(operation_id, drawn))


def _live_body(operation_id: str) -> None:
    guarded_part(lambda: _body(operation_id))


def _head(operation_id: str, drawn: tuple[str, bool]) -> None:
    found = reads.operation(operation_id)
    if found is None or _stand(found) != drawn:
        st.rerun()  # once
    with st.container(border=True, key=f"operation-{operation_id}", gap="xsmall"):
        st.html(operation_block(found, held=held_back(found), starts_in=seconds_to_start(found), is_whole=True))
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            show_operation_buttons(found)
            _offer_limits(found)
            _offer_retry(found)
            _offer_again(found)


def _offer_limits(found: Progress) -> None:
    if may_change_limits(found.state):
        starters = [found.actor_id]
        st.button(_("Limits"), key=f"limits-{found.operation_id}", icon=":material/speed:", type="tertiary",
                  disabled=not may_cancel(starters), on_click=callbacks.ask_limits, args=(LimitsAim(found.operation_id, found.limits),),
                  help=cancel_help(_("How many at once, how fast, for how much, at which hours"), starters))


def _offer_retry(found: Progress) -> None:
    """Of what failed in it and is a problem still; nothing else of its scope."""
    failed = found.counts[ItemState.FAILED]
    if failed or not found.is_active:
        st.button(_("Retry only those that failed again"), key=f"retry-failed-{found.operation_id}", icon=":material/replay:",
                  disabled=not may_retry() or not failed, on_click=callbacks.plan_retry_of_operation, args=(found.operation_id, found.name),
                  help=retry_help(_("Plan a retry of what failed in it and is a problem now.") if failed else _("Nothing of it failed.")))


def _offer_again(found: Progress) -> None:
    """Not a copy: what its scope holds now, planned anew."""
    if not found.is_active:
        st.button(_("Plan it again"), key=f"plan-again-{found.operation_id}", icon=":material/event_repeat:", disabled=not may_retry(),
                  on_click=callbacks.plan_operation_again, args=(found.operation_id, found.name),
                  help=retry_help(_("Make a new plan of the same scope, as it is now.")))


def _body(operation_id: str) -> None:
    found = reads.operation(operation_id)
    if found is None:
        return
    show_stops(found)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_groups(found)
        _show_causes(found)
        _show_facts(found)
        _show_owners(operation_id)
    with right:
        _show_chart(found)


def _show_causes(found: Progress) -> None:
    """What failed in it, by cause; what has become healthy since is told."""
    groups = reads.causes_of_operation(found)
    if not groups:
        return
    st.subheader(_("What failed, by cause"), anchor=False)
    st.html(blocks.table(
        ([f'<span class="rd-strong">{group.count:,}</span>', f'<span class="rd-wrap rd-two-lines">{escaped(group.cause)}</span>',
          f"{group.healthy_now:,}"] for group in groups), (_("Items"), _("Cause"), _("Healthy now")), is_first_narrow=True))


def _show_facts(found: Progress) -> None:
    st.subheader(_("Who, why and when"), anchor=False)
    facts = [
        (_("Started by"), found.actor_id), (_("Why"), found.reason or _("no reason was given")),
        (_("Plan"), reads.triggered_words(found.operation_id, NAMED_SKIPPED)),
        (OPERATION_STATES[found.state].word, state_words(found)), (_("Confirmed"), clock_time(found.created_at)),
        (_("Ended"), clock_time(found.settled_at) if found.settled_at else ""),
        (_("Took") if found.settled_at else _("So far"), took_words(found)),
        (_("Used"), wording.spent(found.spent, reads.currency()) if found.spent.calls else ""),
        (_("Limits"), wording.limits(found.limits, reads.currency())), (_("Id"), found.operation_id)]
    st.html(blocks.table(
        ([f'<span class="rd-quiet">{escaped(name)}</span>', f'<span class="rd-wrap">{escaped(words)}</span>']
         for name, words in facts if words), is_first_narrow=True))


def _show_owners(operation_id: str) -> None:
    """Links to the roadmaps and novels that it touches."""
    titles = reads.owner_titles_of_operation(operation_id)
    chapters = reads.first_chapters_of_operation(operation_id)
    with st.container(horizontal=True, gap="small"):
        for owner_id, title in list(titles.items())[:SHOWN_OWNERS]:
            kind = OwnerKind.NOVEL if owner_id in chapters else OwnerKind.ROADMAP
            show_owner_link(kind, owner_id, title, chapter_number=chapters.get(owner_id))
    if len(titles) > SHOWN_OWNERS:
        st.caption(_("and {count:,} more roadmaps or novels").format(count=len(titles) - SHOWN_OWNERS))


def _show_chart(found: Progress) -> None:
    st.subheader(_("When its items ended"), anchor=False)
    buckets = reads.outcomes_over_time(found)
    if not buckets:
        st.caption(_("Nothing of it has ended yet."))
        return
    words = ", ".join(f"{OUTCOMES[outcome].word}: {sum(bucket.count for bucket in buckets if bucket.outcome is outcome):,}"
                      for outcome in dict.fromkeys(bucket.outcome for bucket in buckets))
    st.altair_chart(charts.outcome_chart(buckets, found.created_at), alt=plain(words))
