"""What a retry does with each problem, and which scopes there can be."""

from dataclasses import replace

import pytest

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.plans import (
    REOPENABLE,
    STOP_RULES,
    Allowance,
    Candidate,
    Estimate,
    Excluded,
    ExclusionRule,
    InclusionRule,
    Plan,
    PlannedItem,
    decide,
    decide_all,
)
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemAction
from tests.factories import ago

TUTORIAL = ContentKey(ContentKind.TUTORIAL, "r1", "a")
RULES_OF_WORKERS = {
    ExclusionRule.NOT_BROKEN, ExclusionRule.NOT_LISTED,  # of keys that the list does not hold: tests/integration/test_retry_plan.py
    ExclusionRule.CHANGED,     # when the worker looks again: tests/integration/test_retry_plan.py
    ExclusionRule.ALREADY_MADE, ExclusionRule.OWNER_GONE,  # of what was named and is no problem: tests/integration/test_covers.py
}
RULES_OF_THE_WHOLE = {ExclusionRule.OVER_BUDGET}  # of all candidates together
FIVE_TRIES = Allowance(maximum_attempts_per_day=5)


def make_candidate(problem_kind: ProblemKind = ProblemKind.FAILED, *, key: ContentKey = TUTORIAL, **fields: object) -> Candidate:
    return Candidate(key, problem_kind, "Concept a", "Roadmap r1", **fields)


def decision(candidate: Candidate, *, is_named: bool = False) -> PlannedItem | Excluded:
    return decide(candidate, is_named=is_named, allowance=FIVE_TRIES)


# rule -> (what falls under it, the nearest that does not)
EXCLUDED = {
    ExclusionRule.ALREADY_RUNNING: (make_candidate(is_taken=True), make_candidate(is_taken=False)),
    ExclusionRule.POISON: (make_candidate(attempts_today=5), make_candidate(attempts_today=4)),
    ExclusionRule.UNREADABLE: (make_candidate(ProblemKind.UNREADABLE, key=ContentKey(ContentKind.FRAMEWORK, "r1")), make_candidate()),
    ExclusionRule.CREATION_CANCELLED: (make_candidate(ProblemKind.CANCELLED), make_candidate(ProblemKind.MISSING)),
    ExclusionRule.CAUSE_IGNORED: (make_candidate(is_cause_ignored=True), make_candidate(is_cause_ignored=False)),
    ExclusionRule.CANCELLED_BY_PERSON: (make_candidate(is_cancelled=True), make_candidate(is_cancelled=False)),
}


def test_the_largest_causes_of_a_plan_come_first_whatever_its_order():
    def excluded(cause_id: str) -> Excluded:
        return Excluded(TUTORIAL, ExclusionRule.POISON, "Concept a", cause_id=cause_id)

    rows = tuple(map(excluded, [*(f"rare{number}" for number in range(60)), "", "", "", "common", "usual", "common", "usual", "common"]))
    plan = Plan("r", Scope.everything(), (), rows, Estimate(0, None, None), ago(seconds=0))

    assert plan.largest_causes[:2] == ("common", "usual")
    assert len(plan.largest_causes) == 50


@pytest.mark.parametrize("rule", EXCLUDED)
def test_each_rule_leaves_out_what_falls_under_it_and_nothing_beside_it(rule):
    left_out, beside = EXCLUDED[rule]

    decisions = decision(left_out), decision(beside)

    assert decisions[0] == Excluded(left_out.key, rule, "Concept a", "Roadmap r1")
    assert isinstance(decisions[1], PlannedItem)


def test_a_novel_that_cannot_be_read_is_left_out_like_a_framework():
    novel = make_candidate(ProblemKind.UNREADABLE, key=ContentKey(ContentKind.CHAPTER, "n1"))

    assert decision(novel, is_named=True).rule is ExclusionRule.UNREADABLE


def test_every_rule_is_tried_by_a_test():
    assert set(EXCLUDED) | RULES_OF_WORKERS | RULES_OF_THE_WHOLE | set(STOP_RULES) == set(ExclusionRule)


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
@pytest.mark.parametrize("problem_kind", [ProblemKind.FAILED, ProblemKind.MISSING, ProblemKind.STALE, ProblemKind.INVALID])
def test_what_is_broken_is_written_again(kind, problem_kind):
    key = ContentKey(kind, "r1", "a")

    assert decision(make_candidate(problem_kind, key=key)) == PlannedItem(
        key, ItemAction.GENERATE, problem_kind, "Concept a", "Roadmap r1")


def test_drifted_content_is_repaired_and_not_written():
    assert decision(make_candidate(ProblemKind.DRIFTED)).action is ItemAction.REPAIR


def test_a_repair_costs_nothing_and_so_knows_no_limit():
    assert decision(make_candidate(ProblemKind.DRIFTED, attempts_today=99)).action is ItemAction.REPAIR


@pytest.mark.parametrize("rule", sorted(REOPENABLE))
def test_what_people_decided_is_reopened_when_a_person_names_the_key(rule):
    left_out, _beside = EXCLUDED[rule]

    found = decision(left_out, is_named=True)

    assert (found.action, found.rule) == (ItemAction.GENERATE, InclusionRule.REOPENED)
    assert decision(replace(left_out, attempts_today=5), is_named=True).rule is ExclusionRule.POISON


def test_reopening_a_scope_lifts_what_was_cancelled_and_nothing_else():
    reopening = Allowance(maximum_attempts_per_day=5, reopens=True)

    found = {rule: decide(left_out, is_named=False, allowance=reopening) for rule, (left_out, _beside) in EXCLUDED.items()}

    assert {rule for rule, decided in found.items() if isinstance(decided, PlannedItem)} == {ExclusionRule.CANCELLED_BY_PERSON}


@pytest.mark.parametrize(("candidate", "rule"), [
    (make_candidate(), InclusionRule.BROKEN), (make_candidate(ProblemKind.DRIFTED), InclusionRule.REPAIR_IS_FREE)])
def test_what_is_included_tells_the_rule_that_decided_too(candidate, rule):
    assert decision(candidate).rule is rule


def numbered(count: int, **fields) -> list[Candidate]:
    return [make_candidate(key=ContentKey(ContentKind.QUIZ, "r1", str(number)), **fields) for number in range(count)]


def decided(candidates: list[Candidate], allowance: Allowance, overridden: Allowance | None = None) -> dict[str, object]:
    included, excluded = decide_all(candidates, is_named=lambda key: False, allowance=allowance, overridden=overridden)
    return {found.key.part: found.rule for found in (*included, *excluded)}


def test_over_the_budget_the_first_are_included_and_the_rest_is_left_out():
    candidates = numbered(4)

    found = decided(candidates, Allowance(budget_calls=2))

    assert found == {"0": InclusionRule.BROKEN, "1": InclusionRule.BROKEN, "2": ExclusionRule.OVER_BUDGET, "3": ExclusionRule.OVER_BUDGET}


def test_repairs_and_what_is_left_out_anyway_take_nothing_of_the_budget():
    candidates = numbered(4)
    candidates[0] = replace(candidates[0], problem_kind=ProblemKind.DRIFTED)
    candidates[1] = replace(candidates[1], is_taken=True)

    found = decided(candidates, Allowance(budget_calls=1))

    assert found == {"0": InclusionRule.REPAIR_IS_FREE, "1": ExclusionRule.ALREADY_RUNNING, "2": InclusionRule.BROKEN,
                     "3": ExclusionRule.OVER_BUDGET}


def test_what_an_override_includes_is_told_to_be_over_a_limit():
    candidates = numbered(3)
    candidates[0] = replace(candidates[0], attempts_today=9)

    found = decided(candidates, Allowance(), overridden=Allowance(maximum_attempts_per_day=5, budget_calls=2))

    assert found == {"0": InclusionRule.OVER_LIMIT, "1": InclusionRule.BROKEN, "2": InclusionRule.OVER_LIMIT}


def test_naming_a_key_does_not_lift_the_other_rules():
    decisions = [decision(left_out, is_named=True) for rule, (left_out, _beside) in EXCLUDED.items() if rule not in REOPENABLE]

    assert all(isinstance(found, Excluded) for found in decisions)


def test_what_is_being_worked_on_is_told_before_any_other_rule():
    assert decision(make_candidate(attempts_today=99, is_taken=True)).rule is ExclusionRule.ALREADY_RUNNING


def test_every_candidate_is_either_included_or_excluded_in_its_order():
    candidates = [make_candidate(key=ContentKey(ContentKind.QUIZ, "r1", str(number)), is_taken=number % 2 == 0) for number in range(6)]

    included, excluded = decide_all(candidates, is_named=lambda key: False, allowance=FIVE_TRIES)

    assert [item.key.part for item in included] == ["1", "3", "5"]
    assert [left_out.key.part for left_out in excluded] == ["0", "2", "4"]


def test_a_plan_knows_its_keys_and_how_many_of_them_are_only_repaired():
    keys = [ContentKey(ContentKind.QUIZ, "r1", part) for part in "ab"]
    included = tuple(PlannedItem(key, action, ProblemKind.DRIFTED, "", "")
                     for key, action in zip(keys, (ItemAction.GENERATE, ItemAction.REPAIR), strict=True))

    plan = Plan("request", Scope.everything(), included, (), Estimate(1, None, None), ago())

    assert (plan.keys, plan.repairs) == (frozenset(keys), 1)


@pytest.mark.parametrize("make_scope", [
    Scope, Scope.of, lambda: Scope.matching(ProblemFilter()), lambda: Scope(ProblemFilter(), (TUTORIAL,))])
def test_a_scope_is_never_empty_and_never_two_things_at_once(make_scope):
    with pytest.raises(ValueError, match=r"Scope\.everything\(\)"):
        make_scope()


def test_a_text_of_nothing_but_blanks_is_no_filter():
    with pytest.raises(ValueError, match=r"Scope\.everything\(\)"):
        Scope.matching(ProblemFilter(text=" \t"))


def test_everything_must_be_said_by_name():
    assert Scope.everything().filter.is_everything


def test_a_key_named_twice_is_in_the_scope_once_and_the_order_stays():
    other = ContentKey(ContentKind.QUIZ, "r1", "a")

    assert Scope.of(TUTORIAL, other, TUTORIAL).keys == (TUTORIAL, other)


@pytest.mark.parametrize("narrow", [
    {"problem_kinds": (ProblemKind.STALE,)}, {"kinds": (ContentKind.QUIZ,)}, {"owner_id": "r1"}, {"cause_id": "c"},
    {"minimum_age_seconds": 60}, {"minimum_attempts": 1}, {"text": "agents"}])
def test_a_filter_that_narrows_anything_is_a_scope_and_its_record_says_what(narrow):
    scope = Scope.matching(ProblemFilter(**narrow))

    ((name, value),) = narrow.items()
    assert scope.as_json() == {"filter": {name: list(value) if isinstance(value, tuple) else value}}


def test_the_record_of_chosen_keys_is_their_number():
    assert Scope.of(TUTORIAL).as_json() == {"keys": 1}
