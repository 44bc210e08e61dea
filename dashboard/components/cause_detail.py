"""The page of one cause: its head with what helps and what may be done, the sample, the problems, and what was tried."""

import streamlit as st

from backend.actions import presence
from backend.clock import utc_now
from backend.content import wording
from backend.content.scopes import ProblemFilter, Scope
from backend.content.stopping import CancelScope
from backend.content.triage import CauseState, is_left_out, may_become
from backend.i18n import _
from backend.views.causes import CauseDetail, OperationOfCause
from dashboard import address, callbacks, cause_callbacks, reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks, charts, problem_table
from dashboard.components.cause_words import day_words, owner_words, retry_words, success_words, until_words
from dashboard.components.filters import as_query
from dashboard.components.owner_links import show_owner_link
from dashboard.components.permission import may_retry, may_triage, retry_help, triage_help
from dashboard.components.scope_cancel import offer_cancel_of_scope
from dashboard.durations import age, clock_time
from dashboard.navigation import automatic_page, operations_page, problems_page
from dashboard.palette import CAUSE_STATES, OPERATION_STATES
from dashboard.untrusted import escaped, plain

LOOK_SECONDS = 5
SHOWN_PROBLEMS = 50
SHOWN_OPERATIONS = 12
UNTIL = {"1h": _("for an hour"), "1d": _("for a day"), "7d": _("for a week"), "30d": _("for 30 days"),
         "count": _("until it has so many problems"), "": _("until somebody reopens it")}


def asked_cause() -> str:
    return address.value("id")


def show_back() -> None:
    st.page_link(problems_page(), label=_("All causes"), icon=":material/list:", query_params={"view": "cause"})


def show_none(cause_id: str) -> None:
    """No id, or one that nobody knows."""
    if cause_id:
        st.warning(_("There is no cause with the id **{cause_id}**.").format(cause_id=plain(cause_id)), icon=":material/search_off:")
    else:
        st.info(_("Choose a cause in the list of causes."), icon=":material/hub:")


def show_head(found: CauseDetail) -> None:
    if found.asked_id:
        st.info(_("The cause that you asked for was merged into this one."), icon=":material/merge:")
    st.fragment(_live_lookers, run_every=LOOK_SECONDS)(found.cause_id)
    for retry in reads.recent_retries((found.cause_id,)) if found.problem_count else ():  # else nobody can start another
        st.info(plain(retry_words(retry)), icon=":material/history:")
    with st.container(border=True, key=f"cause-{found.cause_id}", gap="small"):
        st.html(_head(found))
        _offer_buttons(found)


def _live_lookers(cause_id: str) -> None:
    guarded_part(lambda: _show_lookers(cause_id))


def _show_lookers(cause_id: str) -> None:
    """Who else has this page open."""
    me = reads.actor()
    names = presence.look(reads.connected(), cause_id, me, session.window_id())
    if names:
        told = [_("you, in another window") if name == me.actor_id else name for name in dict.fromkeys(names)]
        st.caption(":material/visibility: " + plain(_("Looking at it now: {people}").format(people=", ".join(told))))


def _head(found: CauseDetail) -> str:
    look = CAUSE_STATES[found.state]
    decided = ". ".join(filter(None, (
        until_words(found.state, found.ignored_until_at, found.ignored_until_count),
        _("by {actor} {age}").format(actor=found.state_by, age=age(found.state_at)) if found.state_by else "",
        f"“{found.state_reason}”" if found.state_reason else "")))
    numbers = [owner_words(found.owner_count), day_words(found.day_count),
               _("first seen {age}").format(age=age(found.first_seen_at)), _("last seen {age}").format(age=age(found.last_seen_at)),
               success_words(found.retries.succeeded, found.retries.failed)]
    return (f'<div class="rd"><div class="rd-row" style="align-items:baseline"><span class="rd-number">{found.problem_count:,}</span>'
            f'<span class="rd-strong rd-wrap" style="flex:1;min-width:12rem">{escaped(found.title)}</span></div>'
            f'<div class="rd-row rd-small">{blocks.toned(look)}{_quiet(decided)}'
            f'<span class="rd-quiet">{escaped(_("seen to by {person}").format(person=found.assignee or _("nobody")))}</span></div>'
            f'<div class="rd-small rd-quiet">{escaped(" · ".join(numbers))}</div>'
            f'<div class="rd-small rd-wrap" style="margin-top:.35rem"><span class="rd-strong">{escaped(_("What usually helps:"))}</span> '
            f'{escaped(found.hint)}</div></div>')


def _quiet(words: str) -> str:
    return f'<span class="rd-quiet rd-wrap">{escaped(words)}</span>' if words else ""


def _offer_buttons(found: CauseDetail) -> None:
    aim = Scope.matching(ProblemFilter(cause_id=found.cause_id))
    is_out = is_left_out(found.state, found.ignored_until_at, utc_now())
    told = (_("Plans leave it out: it is ignored. Reopen it first.") if is_out
            else _("Plan a retry of {items} with this cause").format(items=wording.items(found.problem_count)) if found.problem_count
            else _("There is no problem of it."))
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="cause-buttons"):
        st.button(_("Retry all of it"), key="cause-retry", type="primary", icon=":material/replay:",
                  disabled=not may_retry() or is_out or not found.problem_count, help=retry_help(plain(told)),
                  on_click=callbacks.plan_retry, args=(aim, wording.scope(aim, cause=found.title)))
        offer_cancel_of_scope(CancelScope(cause_id=found.cause_id), _("this cause"))
        _offer_state(found, CauseState.ACKNOWLEDGED, _("Acknowledge"), ":material/front_hand:", _("Somebody sees to it."))
        _offer_ignore(found)
        _offer_state(found, CauseState.RESOLVED, _("Resolve"), ":material/check_circle:",
                     _("It should not come again; when it does, it is told as come back."))
        _offer_state(found, CauseState.OPEN, _("Reopen"), ":material/undo:", _("As if nobody had decided anything."))
        st.page_link(automatic_page(), label=_("Retry this automatically"), icon=":material/autorenew:", width="content",
                     query_params={"cause": found.cause_id}, help=_("A rule for this cause: within a budget, with longer and longer waits"))


def _offer_state(found: CauseDetail, after: CauseState, label: str, icon: str, told: str) -> None:
    if may_become(found.state, after):
        st.button(label, key=f"cause-{after}", icon=icon, disabled=not may_triage(), help=triage_help(told),
                  on_click=cause_callbacks.decide_cause, args=(found.cause_id, after))


def _offer_ignore(found: CauseDetail) -> None:
    """Until when is asked for: what is ignored for ever is forgotten."""
    if not may_become(found.state, CauseState.IGNORED):
        return
    with st.popover(_("Ignore"), icon=":material/visibility_off:", disabled=not may_triage(), key="cause-ignore-open",
                    help=triage_help(_("Plans leave it out for a while."))):
        until = st.selectbox(_("Leave it out of plans"), list(UNTIL), key="ignore-until", format_func=UNTIL.__getitem__)
        if until == "count":
            st.number_input(_("Problems"), min_value=1, value=max(1, 2 * found.problem_count), key="ignore-count")
        st.text_input(_("Why (told to others)"), key="ignore-words", max_chars=300)
        st.button(_("Ignore it"), key="cause-ignored", type="primary", on_click=cause_callbacks.ignore_cause, args=(found.cause_id,))


def show_body(found: CauseDetail) -> None:
    st.subheader(_("A message in full"), anchor=False)
    st.html(f'<div class="rd rd-error">{escaped(found.sample or _("Nothing was recorded."))}</div>')
    _show_problems(found)
    _show_operations(found)


def _show_problems(found: CauseDetail) -> None:
    st.subheader(_("Its problems"), anchor=False)
    aim = ProblemFilter(cause_id=found.cause_id)
    page = reads.problem_page(aim, 1, SHOWN_PROBLEMS, problem_table.Sort.OLDEST)
    if not page.rows:
        st.caption(_("No problem has this cause now."))
        return
    problem_table.show_rows(page.rows, "cause-problems")
    with st.container(horizontal=True, gap="small"):
        st.page_link(problems_page(), label=_("Choose among all {count:,}").format(count=page.total), icon=":material/filter_list:",
                     query_params=as_query(aim), width="content")
        for owner in found.owners[:6]:
            show_owner_link(owner.kind, owner.owner_id, f"{owner.title} ({owner.problem_count:,})", chapter_number=owner.first_chapter)


def _show_operations(found: CauseDetail) -> None:
    """What was tried against it, and what came of it."""
    st.subheader(_("Retries of it"), anchor=False)
    if not found.operations:
        st.caption(_("Nobody has retried it yet."))
        return
    heads = (_("State"), _("When"), _("Who"), _("Items"), _("What came of it"), _("Scope"))
    st.html(blocks.table((_operation_row(done) for done in found.operations[:SHOWN_OPERATIONS]), heads))
    with st.container(horizontal=True, gap="small"):
        for done in found.operations[:3]:
            st.page_link(operations_page(), label=_("Ledger of {age}").format(age=age(done.created_at)), icon=":material/playlist_play:",
                         query_params={"operation": done.operation_id}, width="content")


def _operation_row(done: OperationOfCause) -> list[str]:
    return [blocks.toned(OPERATION_STATES[done.state]), escaped(age(done.created_at)), escaped(done.actor_id), f"{done.item_count:,}",
            escaped(success_words(done.retries.succeeded, done.retries.failed)),
            f'<span class="rd-wrap rd-two-lines">{escaped(done.name)}</span>']


def show_trend(found: CauseDetail) -> None:
    st.subheader(_("How many there were"), anchor=False)
    if not found.trend:
        st.caption(_("No number has been written down yet; that happens once a minute, when it has changed."))
        return
    first = found.trend[0]
    st.altair_chart(charts.cause_trend_chart(found.trend, found.problem_count, found.as_of), alt=plain(
        _("{then:,} at {time}, {now:,} now").format(then=first.problem_count, time=clock_time(first.sampled_at), now=found.problem_count)))
