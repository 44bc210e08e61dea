"""The dry run before a retry: what will be done, what is left out and by which rule, and what it will take."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.limits import OperationLimits, over_budget
from backend.content.plans import Estimate, Excluded, ExclusionRule, Plan, PlannedItem
from backend.content.status import ItemAction
from backend.i18n import _
from backend.views.plan_file import plan_as_csv
from dashboard import callbacks, cover_reads, reads, session
from dashboard.components import blocks, limits_form
from dashboard.components.cause_words import owner_words, retry_words
from dashboard.components.header import OFFLINE
from dashboard.components.permission import is_count_right, may_override, must_type_count, over_limit_count
from dashboard.durations import clock_time, span
from dashboard.palette import PROBLEM_KINDS
from dashboard.untrusted import escaped, plain

SHOWN_RETRIES = 3
LISTED = 500  # rows of a list in the dialog; the numbers beside it are always of all


def show_plan_dialog() -> None:
    """Open while the session holds a plan."""
    if session.open_plan() is not None:
        st.dialog(_("Plan of this retry"), width="medium", on_dismiss=session.close_plan)(_dialog)()


def _dialog() -> None:
    plan = session.open_plan()
    if plan is None:
        st.rerun()  # confirmed or closed: the page goes on
    st.markdown(_("Scope: **{scope}**").format(scope=plain(session.plan_scope_words())))
    _show_recent(plan)
    if plan.included:
        st.html(_numbers(plan))
        _show_included(plan.included)
    else:
        st.info(_("Nothing to retry in this scope."), icon=":material/info:")
    _tell_cover_limit(plan)
    _show_limits(plan)
    _show_cancelled(plan)
    if plan.excluded:
        _show_excluded(plan.excluded)
    limits = _ask_limits(plan)
    is_reason_needed = bool(plan.included) and limits is not None and reads.asks_why(plan, limits)
    reason = st.text_input(
        _("Reason (needed to go over the limit, written to the log)") if is_reason_needed else _("Reason (optional, written to the log)"),
        key="plan_reason", max_chars=300, disabled=not plan.included, live=is_reason_needed)
    _ask_count(plan)
    has_reason = not is_reason_needed or bool((reason or "").strip())
    is_ready = bool(plan.included) and limits is not None and is_count_right(plan) and has_reason
    st.caption(_("As of {time}. Exactly these items are started; what somebody else began in the meantime is left to them.").format(
        time=clock_time(plan.as_of)))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(_("CSV"), partial(plan_as_csv, plan), f"plan-{plan.request_id[:8]}.csv", "text/csv", key="plan-csv",
                           on_click="ignore", type="tertiary", icon=":material/download:",
                           help=_("Every key, included or left out, with the rule that decided"))
        st.button(_("Close"), key="plan-close", on_click=session.close_plan)
        st.button(_("Confirm"), key="plan-confirm", type="primary", disabled=not is_ready, on_click=callbacks.confirm_plan,
                  shortcut="Ctrl+Enter", help=_("Start the retry of {items}").format(items=wording.items(len(plan.included))))


def _ask_limits(plan: Plan) -> OperationLimits | None:
    """Of the operation that it becomes; those of the settings until somebody changes them. None: they cannot be read."""
    limits = reads.default_limits(plan)
    if not plan.included:
        return limits
    unpriced = reads.unpriced_models(plan.kinds_to_make)
    with st.expander(_("Limits: {limits}").format(limits=plain(wording.limits(limits, reads.currency()))), icon=":material/speed:",
                     expanded=limits.budget_cost is not None and bool(unpriced)):
        chosen = limits_form.show_fields(session.PLAN, limits, unpriced)
    if chosen and over_budget(chosen, plan.estimate):
        st.warning(_("By the estimate it takes more than its budget: it would stop on its way."), icon=":material/payments:")
    return chosen


def _ask_count(plan: Plan) -> None:
    """A large retry is started only by somebody who knows how large."""
    if must_type_count(plan):
        count = f"{len(plan.included):,}"
        st.text_input(_("Type {count} to start so many items").format(count=count), key="plan_count", max_chars=12, live=True,
                      placeholder=count)


def _show_recent(plan: Plan) -> None:
    """What somebody has begun for the same causes, before another person begins it too."""
    for retry in reads.recent_retries(plan.largest_causes)[:SHOWN_RETRIES]:
        st.info(plain(retry_words(retry)), icon=":material/history:")


def _show_limits(plan: Plan) -> None:
    """What is over a limit: left out, and included when somebody with the role says why."""
    count = over_limit_count(plan)
    if not (count or plan.overrides_limits):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="plan-limits"):
        if plan.overrides_limits:
            st.markdown(_("**The limits are overridden:** what was tried too often today, or is over the budget, is included."),
                        width="stretch")
        elif plan.count(ExclusionRule.OVER_BUDGET):
            st.markdown(_("**{items} over a limit:** tried too often, or more calls than one operation may make.").format(
                items=wording.items(count)), width="stretch")
        else:
            st.markdown(_("**{items} left out as poison:** tried too often in the last 24 hours.").format(
                items=wording.items(count)), width="stretch")
        if may_override():
            st.button(_("Leave them out") if plan.overrides_limits else _("Include them"), key="plan-override",
                      on_click=callbacks.plan_again, kwargs={"overrides_limits": not plan.overrides_limits},
                      help=_("Plan again within the limits") if plan.overrides_limits
                      else _("Plan again over the limits; it needs a reason"))


def _tell_cover_limit(plan: Plan) -> None:
    """Covers that must wait for the limit of calls, and until when."""
    count = sum(item.key.kind is ContentKind.COVER and item.action is not ItemAction.REPAIR for item in plan.included)
    words = cover_reads.wait_words(count) if count else ""
    if words:
        st.warning(plain(words), icon=":material/hourglass_top:")


def _show_cancelled(plan: Plan) -> None:
    """What somebody cancelled: left out, and reopened when another person says so."""
    count = plan.count(ExclusionRule.CANCELLED_BY_PERSON)
    if not (count or plan.reopens):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="plan-cancelled"):
        st.markdown(_("**What somebody cancelled is reopened.**") if plan.reopens else _(
            "**{items} cancelled by somebody.**").format(items=wording.items(count)), width="stretch")
        st.button(_("Leave out what was cancelled") if plan.reopens else _("Reopen them"), key="plan-reopen",
                  on_click=callbacks.plan_again, kwargs={"reopens": not plan.reopens}, help=_("Plan again with this decision"))


def _numbers(plan: Plan) -> str:
    """Included, by problem and kind, and what it takes."""
    by_problem = Counter(item.problem_kind for item in plan.included)
    by_kind = Counter(item.key.kind for item in plan.included)
    owners = len({item.key.owner_id for item in plan.included})
    looks = blocks.legend((look, by_problem[kind]) for kind, look in PROBLEM_KINDS.items())
    kinds = " · ".join(f"{count:,} {escaped(wording.CONTENT_KINDS[kind].lower())}" for kind, count in by_kind.most_common())
    where = _("in {owners}").format(owners=owner_words(owners))
    rows = [(_("Included"), f'<span class="rd-strong">{escaped(wording.items(len(plan.included)))}</span> {escaped(where)}'),
            (_("Problems"), f'<span class="rd-row">{looks}</span>'), (_("Content"), kinds),
            *((name, escaped(words)) for name, words in estimate_words(plan.estimate))]
    if plan.repairs:
        rows.append((_("Repairs"), escaped(_("{items} only need their status put right: no call, no cost").format(
            items=wording.items(plan.repairs)))))
    cells = "".join(f'<tr><td class="rd-quiet" style="width:7.5rem">{escaped(name)}</td><td>{words}</td></tr>' for name, words in rows)
    return f'<table class="rd rd-table">{cells}</table>'


def estimate_words(estimate: Estimate) -> list[tuple[str, str]]:
    """(name, words) of what the plan takes."""
    if not estimate.calls:
        return [(_("Takes"), _("no call of the model"))]
    unknown = _("no history yet")
    return [
        (_("Model calls"), f"{estimate.calls:,}"),
        (_("Time"), unknown if estimate.seconds is None else _("about {span} with one worker").format(span=span(estimate.seconds))),
        (_("Tokens"), unknown if estimate.tokens is None else _("about {count:,}").format(count=estimate.tokens)),
        (_("Cost"), _cost_words(estimate)),
    ]


def _cost_words(estimate: Estimate) -> str:
    if estimate.model == OFFLINE and not estimate.is_priced:
        return _("nothing: the offline writer makes sample text")
    if not estimate.is_priced:
        return _("not known: REDRIVE_PRICES has no price of {model}").format(model=estimate.model)
    if estimate.cost is None:
        return _("no history yet")
    if not estimate.cost:
        return _("nothing")
    return _("about {cost:,.2f} {currency}").format(cost=estimate.cost, currency=estimate.currency)


def _show_included(included: Sequence[PlannedItem]) -> None:
    by_rule: dict[str, list[PlannedItem]] = defaultdict(list)
    for item in included:
        by_rule[item.rule].append(item)
    st.markdown(_("**What will be retried, and why**"))
    for rule, items in sorted(by_rule.items(), key=lambda found: -len(found[1])):
        _list(wording.INCLUSION_RULES[rule], items)


def _show_excluded(excluded: Sequence[Excluded]) -> None:
    by_rule: dict[str, list[Excluded]] = defaultdict(list)
    for left_out in excluded:
        by_rule[left_out.rule].append(left_out)
    st.markdown(_("**Left out: {items}**").format(items=wording.items(len(excluded))))
    for rule, left_out in sorted(by_rule.items(), key=lambda found: -len(found[1])):
        _list(wording.EXCLUSION_RULES[rule], left_out)


def _list(words: str, rows: Sequence[PlannedItem | Excluded]) -> None:
    with st.expander(f"{len(rows):,} · {plain(words)}", on_change="rerun", key=f"plan-list-{words}") as expander:
        if not expander.open:
            return
        shown = rows[:LISTED]
        st.dataframe(pd.DataFrame({
            _("Content"): [wording.CONTENT_KINDS[row.key.kind] for row in shown],
            _("Title"): [row.title for row in shown],
            _("Roadmap or novel"): [row.owner_title or row.key.owner_id for row in shown],
        }), hide_index=True, height=min(36 + 35 * len(shown), 250))
        if len(rows) > len(shown):
            st.caption(_("The first {shown:,} of {total:,}.").format(shown=len(shown), total=len(rows)))
