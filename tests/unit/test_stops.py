"""When a canary passes, when a cause returns, and which groups it stops."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.content.stops import (
    CanaryVerdict,
    Told,
    commonest_failure,
    groups_of_cause,
    judge_canary,
    returning_cause,
    same_cause_count,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def told(*causes: str | None, group_id: int = 1) -> list[Told]:
    """Newest first; None: it succeeded."""
    return [Told(group_id, cause, NOW, NOW - timedelta(seconds=age)) for age, cause in enumerate(causes)]


def verdict(*causes: str | None, unsettled: int = 0, has_more: bool = True) -> CanaryVerdict:
    return judge_canary(told(*causes), unsettled_count=unsettled, canary_items=3, has_more=has_more)


def test_a_canary_waits_until_all_that_went_ahead_have_ended():
    assert verdict("x", "x", unsettled=1) is CanaryVerdict.WAITS
    assert verdict(None, unsettled=1) is CanaryVerdict.WAITS


def test_one_text_that_was_written_is_enough():
    assert verdict("x", "x", None) is CanaryVerdict.PASSED


def test_a_canary_fails_when_all_failed_whatever_the_causes():
    assert verdict("x", "x", "x") is CanaryVerdict.FAILED
    assert verdict("x", "y", "z") is CanaryVerdict.FAILED


def test_what_tells_nothing_is_replaced_while_there_is_more():
    assert verdict("x") is CanaryVerdict.MORE
    assert verdict() is CanaryVerdict.MORE
    assert verdict("x", has_more=False) is CanaryVerdict.FAILED
    assert verdict(has_more=False) is CanaryVerdict.PASSED


def test_a_cause_returns_above_the_share_of_the_window_not_at_it():
    mixed = [None, None, None]

    assert returning_cause(told(*["x"] * 17, *mixed), window=20, percent=80) == "x"
    assert returning_cause(told(*["x"] * 16, *mixed, None), window=20, percent=80) is None


def test_a_cause_returns_before_the_window_is_full_once_nothing_can_change_it():
    assert returning_cause(told(*["x"] * 17), window=20, percent=80) == "x"
    assert returning_cause(told(*["x"] * 16), window=20, percent=80) is None
    assert returning_cause([], window=20, percent=80) is None


def test_only_the_last_items_count():
    assert returning_cause(told(*[None] * 20, *["x"] * 50), window=20, percent=80) is None


def test_several_causes_are_no_single_one():
    assert returning_cause(told(*["x", "y"] * 10), window=20, percent=80) is None
    assert commonest_failure(told("y", "x", "x", None)).cause_id == "x"
    assert commonest_failure(told(None)) is None
    assert same_cause_count(told("y", "x", "x", None)) == 2


def test_of_several_groups_those_stop_that_fare_so():
    mixed = told("x", "x", "x", group_id=1) + told("x", None, None, group_id=2) + told(None, group_id=3)

    assert groups_of_cause(mixed, "x", percent=80) == {1}


@given(st.lists(st.sampled_from([None, "x", "y"]), max_size=60), st.integers(1, 40), st.integers(1, 99))
def test_a_returning_cause_is_that_of_more_than_the_share(causes, window, percent):
    cause = returning_cause(told(*causes), window=window, percent=percent)

    counts = {name: causes[:window].count(name) for name in ("x", "y")}
    assert (cause is not None) == (max(counts.values()) * 100 > percent * window)
    assert cause is None or counts[cause] == max(counts.values())
