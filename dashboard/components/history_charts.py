"""Plots over days and hours: problems by cause, time to recover, success of retries, cost. The caller says in words when one is empty."""

from collections.abc import Sequence
from datetime import date

import altair as alt
import pandas as pd

from backend.content.recovery import CLASSES
from backend.i18n import _
from backend.views.history import CauseLine, CauseSuccess, DayCost, Intervention
from dashboard.components.charts import clock_x
from dashboard.durations import local
from dashboard.palette import AMBER, BLUE, BROWN, GREEN, GREY, ITEM_STATES, PINK, PURPLE, RED, TEAL
from dashboard.palette import OPERATION_STATES as LOOKS

HEIGHT, LEGEND_ROW = 230, 20
# One dash for each line: colour never stands alone.
LINES = ((RED, [1, 0]), (BLUE, [6, 3]), (AMBER, [2, 2]), (TEAL, [8, 2, 2, 2]), (PURPLE, [4, 4]), (BROWN, [1, 3]))
SPEEDS = (GREEN, TEAL, BLUE, AMBER, PINK, RED)  # of content.recovery.CLASSES, quick to slow
TITLE_CHARACTERS = 60


def cause_lines_chart(lines: Sequence[CauseLine], interventions: Sequence[Intervention]) -> alt.LayerChart:
    """One line for each cause; a thin upright line where an operation began, with what it changed."""
    names = _names([line.title for line in lines])
    rows = pd.DataFrame([
        {"time": local(at).replace(tzinfo=None), "cause": name, "count": count}
        for name, line in zip(names, lines, strict=True) for at, count in line.points])
    colours, dashes = zip(*LINES[:len(lines)], strict=True)
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=420, symbolType="stroke", offset=6)
    x = clock_x(rows["time"])
    chart = alt.Chart(rows).mark_line(interpolate="step-after", strokeWidth=2).encode(
        x=x, y=alt.Y("count:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickMinStep=1, tickCount=4, format="d")),
        color=alt.Color("cause:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=list(colours))),
        strokeDash=alt.StrokeDash("cause:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=list(dashes))),
        tooltip=[alt.Tooltip("time:T", title=_("Time"), format="%H:%M"), alt.Tooltip("cause:N", title=_("Cause")),
                 alt.Tooltip("count:Q", title=_("Problems"), format=",")])
    height = HEIGHT + LEGEND_ROW * len(lines)  # the legend takes its rows from the plot
    return alt.layer(*([_interventions_chart(interventions, x)] if interventions else []), chart).properties(height=height)


def _interventions_chart(interventions: Sequence[Intervention], x: alt.X) -> alt.Chart:
    rows = pd.DataFrame([{
        "time": local(found.began_at).replace(tzinfo=None), "operation": found.name, "state": LOOKS[found.state].text,
        "came": _("{healthy:,} of {items:,} healthy").format(healthy=found.healthy_count, items=found.item_count)
        if found.healthy_count is not None else _("{items:,} items, not verified yet").format(items=found.item_count)}
        for found in interventions])
    return alt.Chart(rows).mark_rule(color=GREY, strokeDash=[2, 3], strokeWidth=1.5).encode(
        x=x, tooltip=[alt.Tooltip("time:T", title=_("Began"), format="%H:%M:%S"), alt.Tooltip("operation:N", title=_("Retry")),
                      alt.Tooltip("state:N", title=_("State")), alt.Tooltip("came:N", title=_("What came of it"))])


def recovery_chart(recoveries: dict[date, dict[int, int]]) -> alt.Chart:
    """How many were good again each day, by how long they had been broken."""
    rows = pd.DataFrame([
        {"day": day.isoformat(), "speed": CLASSES[place][1], "count": count, "rank": place}
        for day, counts in recoveries.items() for place, count in counts.items()])
    shown = sorted({place for counts in recoveries.values() for place in counts})
    return alt.Chart(rows).mark_bar(cornerRadius=2, size=18).encode(
        x=_day_axis(), y=alt.Y("count:Q", title=None, stack=True, axis=alt.Axis(tickMinStep=1, tickCount=4, format="~s")),
        color=alt.Color("speed:N", title=None, legend=alt.Legend(orient="bottom", columns=3, symbolType="square", offset=6),
                        scale=alt.Scale(domain=[CLASSES[place][1] for place in shown], range=[SPEEDS[place] for place in shown])),
        order=alt.Order("rank:Q"),
        tooltip=[alt.Tooltip("day:T", title=_("Day"), format="%Y-%m-%d"), alt.Tooltip("speed:N", title=_("Good again")),
                 alt.Tooltip("count:Q", title=_("Count"), format=",")]).properties(height=HEIGHT)


def success_chart(found: Sequence[CauseSuccess]) -> alt.Chart:
    """What retries came to, one bar for each cause, its share of success beside its name."""
    good, bad = ITEM_STATES["succeeded"], ITEM_STATES["failed"]
    names = _names([f"{100 * (row.retries.success_ratio or 0):.0f} % · {row.title}" for row in found])
    rows = pd.DataFrame([
        {"cause": name, "outcome": look.word, "count": count, "rank": rank}
        for name, row in zip(names, found, strict=True)
        for rank, (look, count) in enumerate(((good, row.retries.succeeded), (bad, row.retries.failed))) if count])
    return alt.Chart(rows).mark_bar(cornerRadius=2, height={"band": 0.6}).encode(
        y=alt.Y("cause:N", title=None, sort=names, axis=alt.Axis(labelLimit=230)),
        x=alt.X("count:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4, format="~s")),
        color=alt.Color("outcome:N", title=None, legend=alt.Legend(orient="bottom", symbolType="square", offset=6),
                        scale=alt.Scale(domain=[good.word, bad.word], range=[good.colour, bad.colour])),
        order=alt.Order("rank:Q"),
        tooltip=[alt.Tooltip("cause:N", title=_("Cause")), alt.Tooltip("outcome:N", title=_("Outcome")),
                 alt.Tooltip("count:Q", title=_("Count"), format=",")]).properties(height=HEIGHT)


def cost_chart(costs: Sequence[DayCost], currency: str) -> alt.Chart:
    """Money of each day; tokens where no price is known."""
    has_prices = any(row.cost for row in costs)
    name = currency if has_prices else _("Tokens")
    rows = pd.DataFrame([
        {"day": row.day.isoformat(), "amount": row.cost if has_prices else row.tokens, "calls": row.calls, "tokens": row.tokens}
        for row in costs])
    return alt.Chart(rows).mark_bar(cornerRadius=2, size=18, color=BLUE).encode(
        x=_day_axis(), y=alt.Y("amount:Q", title=None, axis=alt.Axis(tickCount=4, format="~g" if has_prices else "~s")),
        tooltip=[alt.Tooltip("day:T", title=_("Day"), format="%Y-%m-%d"), alt.Tooltip("amount:Q", title=name, format=",.4~g"),
                 alt.Tooltip("calls:Q", title=_("Calls"), format=","), alt.Tooltip("tokens:Q", title=_("Tokens"), format=",")],
    ).properties(height=HEIGHT)


def _day_axis() -> alt.X:
    return alt.X("yearmonthdate(day):T", title=None, axis=alt.Axis(format="%b %d", tickCount={"interval": "day", "step": 2}))


def _names(titles: Sequence[str]) -> list[str]:
    """Short, and no two the same."""
    found: list[str] = []
    for title in titles:
        name = title if len(title) <= TITLE_CHARACTERS else title[:TITLE_CHARACTERS - 1] + "…"
        found.append(name if name not in found else f"{name} ({len(found) + 1})")
    return found
