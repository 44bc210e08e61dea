"""Limits of an operation: how much may be handed out now, when a budget is spent, and hours in which nothing is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.content import wording
from backend.content.limits import (
    Load,
    OperationLimits,
    QuietHours,
    Spent,
    allowance,
    is_budget_spent,
    looser_in,
    over_budget,
    paced,
    time_zone,
)
from backend.content.plans import Estimate

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def allowed(load: Load | None = None, **limits: object) -> int | None:
    return allowance(OperationLimits(**limits), load or Load(), NOON)


def test_without_limits_everything_may_go():
    assert allowed() is None
    assert allowed(same_cause_window=20) is None


def test_what_is_in_flight_counts_against_the_concurrency():
    assert allowed(Load(in_flight=3), concurrency=4) == 1
    assert allowed(Load(in_flight=9), concurrency=4) == 0


@given(failures=st.integers(1, 30), in_flight=st.integers(0, 30), window=st.integers(1, 30))
def test_failures_and_what_is_in_flight_never_exceed_the_window(failures, in_flight, window):
    room = allowed(Load(in_flight=in_flight, same_cause_count=failures), same_cause_window=window)

    assert room == max(0, window - failures - in_flight)


def test_a_budget_of_calls_is_kept_with_what_is_in_flight():
    assert allowed(Load(Spent(calls=90), in_flight=6), budget_calls=100) == 4
    assert allowed(Load(Spent(calls=120)), budget_calls=100) == 0


def test_a_budget_of_tokens_or_money_lasts_for_as_many_items_as_their_average_says():
    spent = Spent(calls=10, tokens=1000, cost=2.0, items=10)

    assert allowed(Load(spent, in_flight=2), budget_tokens=1500) == 3
    assert allowed(Load(spent), budget_cost=2.5) == 2
    assert allowed(Load(spent), budget_tokens=1500, budget_cost=2.5) == 2


def test_what_nobody_knows_the_cost_of_is_reckoned_at_the_average_of_the_others():
    spent = Spent(calls=10, cost=1.0, items=10, unpriced_calls=5)

    assert spent.reckoned_cost == 2.0
    assert allowed(Load(spent), budget_cost=2.5) == 2
    assert is_budget_spent(OperationLimits(budget_cost=2.0), Load(spent))


def test_a_budget_of_money_ends_where_nobody_tells_what_calls_cost():
    silent = Spent(calls=15, items=15, unpriced_calls=15)

    assert allowed(Load(silent, in_flight=2), budget_cost=2.5, same_cause_window=20) == 3
    assert is_budget_spent(OperationLimits(budget_cost=2.5, same_cause_window=20), Load(replace(silent, unpriced_calls=20)))


def test_before_anything_is_known_of_prices_a_window_is_let_through():
    assert allowed(Load(in_flight=5), budget_tokens=100, same_cause_window=20) == 15


def test_a_budget_is_spent_when_not_one_more_item_fits_and_nothing_is_in_flight():
    limits = OperationLimits(budget_tokens=1050)
    load = Load(Spent(calls=10, tokens=1000, items=10))

    assert is_budget_spent(limits, load)
    assert not is_budget_spent(limits, replace(load, in_flight=1))
    assert not is_budget_spent(OperationLimits(), load)


@given(rate=st.integers(1, 3000), rounds=st.lists(st.floats(0.05, 30), min_size=1, max_size=60))
def test_a_pace_is_kept_however_the_rounds_fall(rate, rounds):
    limits, load, now, given_out = OperationLimits(rate_per_minute=rate), Load(), NOON, 0
    for seconds in rounds:
        now += timedelta(seconds=seconds)
        count = allowance(limits, load, now) or 0
        given_out += count
        if count:
            load = Load(paced_at=paced(limits, load, count, now))

    assert given_out <= rate * (now - NOON) / timedelta(minutes=1) + max(1, rate / 60) + 1


def test_a_pace_is_reached_by_rounds_of_a_fifth_of_a_second():
    limits, load, now, given_out = OperationLimits(rate_per_minute=600), Load(), NOON, 0
    for _round in range(300):
        now += timedelta(seconds=0.2)
        count = allowance(limits, load, now) or 0
        given_out += count
        load = Load(paced_at=paced(limits, load, count, now)) if count else load

    assert 598 <= given_out <= 611


@pytest.mark.parametrize(("hour", "is_quiet"), [(21, False), (22, True), (0, True), (5, True), (6, False)])
def test_quiet_hours_go_over_midnight(hour, is_quiet):
    assert QuietHours.parse("22:00-06:00").cover(NOON.replace(hour=hour), UTC) is is_quiet


def test_quiet_hours_are_those_of_the_time_zone():
    assert QuietHours.parse("13:00 - 14:00").cover(NOON, time_zone("Europe/Berlin"))
    assert not QuietHours.parse("13:00 - 14:00").cover(NOON, time_zone("UTC"))


@pytest.mark.parametrize("words", ["", "22", "25:00-06:00", "22:00-22:00", "22:00–06:00"])
def test_quiet_hours_that_cannot_be_read_are_refused_in_words(words):
    with pytest.raises(ValueError, match=r"Quiet hours"):
        QuietHours.parse(words)


def test_an_unknown_time_zone_is_refused_in_words():
    with pytest.raises(ValueError, match="no time zone “Mars/Olympus”"):
        time_zone("Mars/Olympus")


@pytest.mark.parametrize("name", ["concurrency", "rate_per_minute", "budget_calls", "budget_tokens", "budget_cost"])
def test_a_limit_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match="more than 0"):
        OperationLimits(**{name: 0})


def test_limits_are_read_as_they_were_written():
    limits = OperationLimits(4, 60, 500, 10_000, 2.5, QuietHours.parse("22:00-06:00"), 3, 20, 80)

    assert OperationLimits.from_json(limits.as_json()) == limits
    assert OperationLimits.from_json({}) == OperationLimits()
    assert wording.limits(limits, "USD") == "at most 4 at once, 60 a minute, 500 calls, 10,000 tokens, 2.50 USD, quiet hours 22:00-06:00"


USUAL = OperationLimits(4, 60, 500, 10_000, 2.5, QuietHours.parse("22:00-06:00"), 3, 20, 80)


@pytest.mark.parametrize(("name", "value"), [
    ("concurrency", 5), ("concurrency", None), ("rate_per_minute", None), ("budget_calls", 501), ("budget_tokens", None),
    ("budget_cost", 2.51), ("budget_cost", None), ("canary_items", 2), ("canary_items", 0),
    ("same_cause_window", 21), ("same_cause_window", 0),
    ("same_cause_percent", 81), ("quiet_hours", None), ("quiet_hours", QuietHours.parse("21:00-06:00"))])
def test_limits_that_let_more_happen_than_the_usual_ones_are_looser(name, value):
    assert looser_in(replace(USUAL, **{name: value}), USUAL) == (name,)


def test_tighter_limits_and_limits_where_none_are_usual_are_not_looser():
    tighter = OperationLimits(3, 59, 1, 9_999, 0.1, USUAL.quiet_hours, 4, 19, 79)

    assert looser_in(tighter, USUAL) == looser_in(USUAL, USUAL) == ()
    assert looser_in(replace(USUAL, same_cause_percent=80), OperationLimits()) == ()


@pytest.mark.parametrize(("limits", "budgets"), [
    ({}, ()), ({"budget_calls": 40, "budget_tokens": 4000, "budget_cost": 5.0}, ()), ({"budget_calls": 39}, ("budget_calls",)),
    ({"budget_tokens": 3999, "budget_cost": 1.0}, ("budget_tokens", "budget_cost"))])
def test_an_estimate_passes_each_budget_that_is_smaller(limits, budgets):
    assert over_budget(OperationLimits(**limits), Estimate(40, 10.0, 4000, cost=5.0)) == budgets


def test_what_nobody_knows_yet_passes_no_budget():
    assert over_budget(OperationLimits(budget_tokens=1, budget_cost=0.01), Estimate(1, None, None)) == ()
