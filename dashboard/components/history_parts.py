"""What happened over time, on the overview: each plot with its words, and words alone where there is nothing to plot."""

import streamlit as st

from backend.content import wording
from backend.content.recovery import CLASSES, class_of_half
from backend.i18n import _, ngettext
from backend.views.history import DAYS, HOURS, SUCCESS_DAYS, History
from dashboard import reads
from dashboard.components import history_charts
from dashboard.components.cause_words import success_words
from dashboard.untrusted import plain

MOMENTS_AT_LEAST = 2


def show_history(found: History) -> None:
    with st.container(key="overview-body-history"):
        left, right = st.columns(2, gap="large")
    with left:
        _show_causes(found)
        _show_success(found)
    with right:
        _show_recoveries(found)
        _show_costs(found)


def _show_causes(found: History) -> None:
    st.subheader(_("The largest causes in the last {hours} hours").format(hours=HOURS), anchor=False)
    lines = [line for line in found.causes if line.points]
    if len({at for line in lines for at, _count in line.points}) < MOMENTS_AT_LEAST:
        st.caption(_("No cause has been counted for long enough; that happens once a minute, and a quarter of an hour makes a plot."))
        return
    st.altair_chart(history_charts.cause_lines_chart(lines, found.interventions), alt=plain("; ".join(
        _("{cause}: {count:,} now").format(cause=line.title, count=line.points[-1][1]) for line in lines)))
    if found.interventions:
        verified = [change for change in found.interventions if change.healthy_count is not None]
        began = ngettext("{count} retry", "{count} retries", len(found.interventions)).format(count=f"{len(found.interventions):,}")
        st.caption(_("Dotted: {retries} began; of {items} in what has ended {healthy:,} are healthy.").format(
            retries=began, items=wording.items(sum(change.item_count for change in verified)),
            healthy=sum(change.healthy_count or 0 for change in verified)))


def _show_recoveries(found: History) -> None:
    st.subheader(_("Time to recover, last {days} days").format(days=DAYS), anchor=False)
    counts = found.recovery_counts
    half = class_of_half(counts)
    if half is None:
        st.caption(_("Nothing has recovered yet: it is counted from when a problem is first seen until it is good again."))
        return
    words = _("{items} good again, half of them {within}.").format(items=wording.items(counts.total()), within=CLASSES[half][1])
    st.altair_chart(history_charts.recovery_chart(found.recoveries), alt=words)
    st.caption(words)


def _show_success(found: History) -> None:
    st.subheader(_("Success of retries by cause, last {days} days").format(days=SUCCESS_DAYS), anchor=False)
    if not found.success:
        st.caption(_("Nothing was retried in this time."))
        return
    st.altair_chart(history_charts.success_chart(found.success), alt=plain("; ".join(
        f"{row.title}: {success_words(row.retries.succeeded, row.retries.failed)}" for row in found.success)))


def _show_costs(found: History) -> None:
    has_prices = any(row.cost for row in found.costs)
    st.subheader((_("Cost per day, last {days} days") if has_prices or not found.costs else _("Tokens per day, last {days} days")).format(
        days=DAYS), anchor=False)
    if not found.costs:
        st.caption(_("The model was not asked in this time, so nothing was spent."))
        return
    calls, unpriced = sum(row.calls for row in found.costs), sum(row.unpriced_calls for row in found.costs)
    words = _("{cost} for {calls:,} calls.").format(
        cost=wording.money(sum(row.cost for row in found.costs), reads.currency()), calls=calls) if has_prices else _(
        "{tokens:,} tokens for {calls:,} calls; no price is known, so no cost is told.").format(
        tokens=sum(row.tokens for row in found.costs), calls=calls)
    if has_prices and unpriced:
        words += " " + _("The cost of {count:,} of them is not known, and not in it.").format(count=unpriced)
    st.altair_chart(history_charts.cost_chart(found.costs, reads.currency()), alt=plain(words))
    st.caption(plain(words))
