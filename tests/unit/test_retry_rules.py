"""When a rule may begin something, when a key is due by it, and how it is written down."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits, QuietHours
from backend.content.plans import ExclusionRule
from backend.content.retry_rules import (
    LOOK_AGAIN,
    Held,
    KeyHistory,
    Room,
    RuleBudget,
    RuleStanding,
    RuleTerms,
    RunVerdict,
    Today,
    backoff_words,
    due_at,
    parse_backoff,
    room_now,
)
from backend.content.rule_wording import rule_scope, rule_terms

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEY = ContentKey(ContentKind.QUIZ, "r1", "a")
STEPS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))


def terms(**values) -> RuleTerms:
    return RuleTerms(**{"cause_id": "c1", "backoff": STEPS, **values})


def now_of(rule: RuleTerms, standing: RuleStanding, *, now: datetime = NOON, defaults: OperationLimits | None = None,
           is_model_held: bool = False) -> Held | Room:
    return room_now(rule, standing, defaults or OperationLimits(), now, UTC, is_model_held=is_model_held)


@pytest.mark.parametrize(("failed_count", "wait"), [(0, STEPS[0]), (1, STEPS[1]), (2, STEPS[2])])
def test_the_next_try_waits_the_step_of_the_tries_so_far(failed_count, wait):
    history = KeyHistory(KEY, NOON - timedelta(days=1), failed_count, NOON)

    assert due_at(STEPS, history) == NOON + wait


def test_a_key_that_was_tried_as_often_as_there_are_steps_stays():
    assert due_at(STEPS, KeyHistory(KEY, NOON, 3, NOON)) is None


def test_a_key_that_nobody_has_tried_waits_from_when_it_broke():
    assert due_at(STEPS, KeyHistory(KEY, NOON)) == NOON + STEPS[0]


def test_what_broke_anew_after_its_last_try_waits_from_then():
    history = KeyHistory(KEY, NOON, 1, NOON - timedelta(hours=5))

    assert due_at(STEPS, history) == NOON + STEPS[1]


def test_a_run_takes_what_the_day_has_left():
    budget = RuleBudget(run_items=50, day_items=60, day_calls=100)

    found = now_of(terms(budget=budget), RuleStanding(Today(items=40, calls=90)))

    assert found == Room(10, OperationLimits(budget_calls=10))


@pytest.mark.parametrize("today", [Today(items=60), Today(items=1, calls=100), Today(tokens=5000), Today(cost=2.5),
                                   Today(calls=20, cost=1.5, unpriced_calls=10), Today(calls=20, unpriced_calls=20)])
def test_a_day_whose_budget_is_spent_holds_the_rule_until_the_next(today):
    budget = RuleBudget(day_items=60, day_calls=100, day_tokens=5000, day_cost=2.5)

    found = now_of(terms(budget=budget), RuleStanding(today))

    assert found == Held(RunVerdict.BUDGET_SPENT, datetime(2026, 11, 28, tzinfo=UTC))


def test_quiet_hours_hold_it_until_they_end():
    quiet = QuietHours.parse("22:00-06:00")
    late = NOON.replace(hour=23)

    assert now_of(terms(quiet_hours=quiet), RuleStanding(), now=late) == Held(
        RunVerdict.QUIET_HOURS, datetime(2026, 11, 28, 6, tzinfo=UTC))
    assert isinstance(now_of(terms(quiet_hours=quiet), RuleStanding()), Room)


def test_an_operation_that_has_not_ended_holds_it():
    assert now_of(terms(), RuleStanding(is_running=True)) == Held(RunVerdict.STILL_RUNNING)


@pytest.mark.parametrize(("stopped", "rest"), [(1, STEPS[0]), (2, STEPS[1]), (7, STEPS[2])])
def test_what_stopped_by_itself_rests_longer_each_time(stopped, rest):
    standing = RuleStanding(stopped_in_a_row=stopped, last_ended_at=NOON)

    assert now_of(terms(), standing) == Held(RunVerdict.RESTING, NOON + rest)
    assert isinstance(now_of(terms(), standing, now=NOON + rest), Room)


def test_a_model_that_is_out_holds_it():
    assert now_of(terms(), RuleStanding(), is_model_held=True) == Held(RunVerdict.MODEL_HELD)


def test_the_tighter_of_the_day_and_the_settings_bounds_the_operation():
    defaults = OperationLimits(concurrency=4, budget_calls=30, budget_tokens=900, same_cause_window=20)

    found = now_of(terms(budget=RuleBudget(day_calls=100, day_tokens=500)), RuleStanding(), defaults=defaults)

    assert found == Room(30, OperationLimits(concurrency=4, budget_calls=30, budget_tokens=500, same_cause_window=20))


def test_every_exclusion_has_its_next_look():
    assert set(LOOK_AGAIN) == set(ExclusionRule)


@pytest.mark.parametrize("words", ["1 min, 10 min, 1 h", "30 s", "2 d"])
def test_steps_are_read_as_they_are_written(words):
    assert backoff_words(parse_backoff(words)) == words


@pytest.mark.parametrize("words", ["", "soon", "1 min,", "-1 min", "1.5 h", "123456789 s", "1 min; 2 min"])
def test_steps_that_make_no_sense_are_refused_in_words(words):
    with pytest.raises(ValueError, match="Steps are written as"):
        parse_backoff(words)


@pytest.mark.parametrize(("values", "words"), [
    ({"cause_id": ""}, "Choose a cause"), ({"kind": ContentKind.FRAMEWORK}, "not generated"), ({"backoff": ()}, "1 to 12 steps"),
    ({"backoff": (timedelta(0),)}, "1 to 12 steps"), ({"backoff": (timedelta(days=31),)}, "at most 30 days")])
def test_terms_without_sense_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        terms(**values)


@pytest.mark.parametrize("values", [{"run_items": 0}, {"day_items": 0}, {"day_cost": 0.0}, {"run_items": 5001}])
def test_a_budget_without_sense_is_refused(values):
    with pytest.raises(ValueError, match=r"budget is more than 0|at most 5,000 items"):
        RuleBudget(**values)


def test_a_rule_is_told_in_words():
    rule = terms(kind=ContentKind.COVER, budget=RuleBudget(1, 20, day_cost=1.5), quiet_hours=QuietHours.parse("22:00-06:00"))

    assert rule_scope(rule, "Model timed out") == "Covers · Model timed out"
    assert rule_terms(rule, "USD") == (
        "after 1 min, 10 min, 1 h; at most 1 item a run; 20 items, 1.50 USD a day, quiet hours 22:00-06:00")
