"""Charts of the overview and of an operation, in the fixed colours of the states. An empty one is said in words by its caller."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import altair as alt
import pandas as pd

from backend.content.problems import ProblemKind
from backend.i18n import _
from backend.views.causes import TrendPoint as CausePoint
from backend.views.ledger import OutcomeBucket
from backend.views.overview import TrendPoint
from dashboard.durations import local
from dashboard.palette import OUTCOMES, PROBLEM_KINDS, RED

KIND_ORDER = list(PROBLEM_KINDS)
OUTCOME_ORDER = list(OUTCOMES)
SHORT_SPAN = timedelta(minutes=10)
_LEGEND = alt.Legend(orient="bottom", columns=4, symbolType="square", offset=6, symbolSize=70, columnPadding=8)


def age_chart(by_age: dict[str, dict[ProblemKind, int]]) -> alt.Chart:
    """Problems by age, one stacked bar for each age."""
    rows = [
        {"age": name, "problem": PROBLEM_KINDS[kind].word, "count": count, "rank": KIND_ORDER.index(kind)}
        for name, found in by_age.items() for kind, count in found.items()]
    return alt.Chart(pd.DataFrame(rows)).mark_bar(cornerRadius=2, height={"band": 0.72}).encode(
        y=alt.Y("age:N", sort=list(by_age), title=None, scale=alt.Scale(domain=list(by_age)), axis=alt.Axis(labelLimit=140)),
        x=alt.X("count:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4)),
        color=_colour({row["problem"] for row in rows}),
        order=alt.Order("rank:Q"),
        tooltip=[alt.Tooltip("age:N", title=_("Age")), alt.Tooltip("problem:N", title=_("Problem")),
                 alt.Tooltip("count:Q", title=_("Count"), format=",")],
    ).properties(height=230)


def trend_chart(points: tuple[TrendPoint, ...]) -> alt.Chart:
    """Problems over time, stacked by kind."""
    rows = pd.DataFrame({
        "time": [local(point.sampled_at).replace(tzinfo=None) for point in points],
        "problem": [PROBLEM_KINDS[point.kind].word for point in points],
        "count": [point.problem_count for point in points],
        "rank": [KIND_ORDER.index(point.kind) for point in points],
    })
    return alt.Chart(rows).mark_area(interpolate="step-after", opacity=0.85).encode(
        x=clock_x(rows["time"]),
        y=alt.Y("count:Q", title=None, stack=True, axis=alt.Axis(tickMinStep=1, tickCount=4)),
        color=_colour(set(rows["problem"])),
        order=alt.Order("rank:Q"),
        tooltip=[alt.Tooltip("time:T", title=_("Time"), format="%H:%M:%S"), alt.Tooltip("problem:N", title=_("Problem")),
                 alt.Tooltip("count:Q", title=_("Count"), format=",")],
    ).properties(height=230)


def clock_x(times: Sequence[datetime]) -> alt.X:
    """An axis of the time of day: with seconds while less is shown than would give each mark another minute."""
    is_short = max(times) - min(times) < SHORT_SPAN
    return alt.X("time:T", title=None, axis=alt.Axis(
        format="%H:%M:%S" if is_short else "%H:%M", tickCount=4 if is_short else 6, labelFlush=True))


def outcome_chart(buckets: tuple[OutcomeBucket, ...], since: datetime) -> alt.Chart:
    """How the items of an operation ended, by time from `since` on; one stacked bar for each span."""
    rows, heights = [], Counter()
    for bucket in sorted(buckets, key=lambda found: OUTCOME_ORDER.index(found.outcome)):
        begins, foot = _plain_time(bucket.begins_at), heights[bucket.begins_at]
        heights[bucket.begins_at] += bucket.count
        rows.append({"begins": begins, "ends": begins + timedelta(seconds=bucket.seconds), "foot": foot, "top": foot + bucket.count,
                     "count": bucket.count, "outcome": OUTCOMES[bucket.outcome].word})
    span = [_plain_time(since).isoformat(), max(row["ends"] for row in rows).isoformat()]
    looks = [OUTCOMES[outcome] for outcome in OUTCOME_ORDER if any(bucket.outcome is outcome for bucket in buckets)]
    return alt.Chart(pd.DataFrame(rows)).mark_rect(cornerRadius=1).encode(
        x=alt.X("begins:T", title=None, scale=alt.Scale(domain=span), axis=alt.Axis(format="%H:%M:%S", tickCount=4, labelFlush=True)),
        x2="ends:T",
        y=alt.Y("foot:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4, format="d")),
        y2="top:Q",
        color=alt.Color("outcome:N", title=None, legend=_LEGEND,
                        scale=alt.Scale(domain=[look.word for look in looks], range=[look.colour for look in looks])),
        tooltip=[alt.Tooltip("begins:T", title=_("Time"), format="%H:%M:%S"), alt.Tooltip("outcome:N", title=_("Outcome")),
                 alt.Tooltip("count:Q", title=_("Count"), format=",")],
    ).properties(height=170)


def cause_trend_chart(points: tuple[CausePoint, ...], count_now: int, now: datetime) -> alt.Chart:
    """How many problems a cause had over time, up to now."""
    is_young = bool(points) and now - points[0].sampled_at < timedelta(days=1)
    rows = pd.DataFrame({
        "time": [_plain_time(moment) for moment in (*(point.sampled_at for point in points), now)],
        "count": [*(point.problem_count for point in points), count_now]})
    line = alt.Chart(rows).encode(
        x=alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S" if is_young else "%b %d %H:%M", tickCount=4, labelFlush=True)),
        y=alt.Y("count:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickMinStep=1, tickCount=4, format="d")),
        tooltip=[alt.Tooltip("time:T", title=_("Time"), format="%Y-%m-%d %H:%M"), alt.Tooltip("count:Q", title=_("Problems"), format=",")])
    return (line.mark_area(interpolate="step-after", opacity=0.18, color=RED)
            + line.mark_line(interpolate="step-after", color=RED, strokeWidth=2)).properties(height=150)


def _plain_time(moment: datetime) -> datetime:
    return local(moment).replace(tzinfo=None)


def _colour(shown: set[str]) -> alt.Color:
    looks = [look for look in PROBLEM_KINDS.values() if look.word in shown]
    return alt.Color("problem:N", title=None, legend=_LEGEND,
                     scale=alt.Scale(domain=[look.word for look in looks], range=[look.colour for look in looks]))
