"""What a retry does with each problem, and which scopes there can be."""

import pytest

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.plans import STOP_RULES, Candidate, Estimate, Excluded, ExclusionRule, Plan, PlannedItem, decide, decide_all
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemAction
from tests.factories import ago

TUTORIAL = ContentKey(ContentKind.TUTORIAL, "r1", "a")
RULES_OF_WORKERS = {
    ExclusionRule.NOT_BROKEN,  # of keys that the list does not hold: tests/integration/test_retry_plan.py
    ExclusionRule.CHANGED,     # when the worker looks again: tests/integration/test_retry_plan.py
}


def make_candidate(problem_kind: ProblemKind = ProblemKind.FAILED, *, key: ContentKey = TUTORIAL, **fields: object) -> Candidate:
    return Candidate(key, problem_kind, "Concept a", "Roadmap r1", **fields)


def decision(candidate: Candidate, *, is_named: bool = False) -> PlannedItem | Excluded:
    return decide(candidate, is_named=is_named, maximum_attempts_per_day=5)


# rule -> (what falls under it, the nearest that does not)
EXCLUDED = {
    ExclusionRule.ALREADY_RUNNING: (make_candidate(is_taken=True), make_candidate(is_taken=False)),
    ExclusionRule.POISON: (make_candidate(attempts_today=5), make_candidate(attempts_today=4)),
    ExclusionRule.NOT_SUPPORTED: (make_candidate(key=ContentKey(ContentKind.CHAPTER, "n1", "3")), make_candidate()),
    ExclusionRule.UNREADABLE: (make_candidate(ProblemKind.UNREADABLE, key=ContentKey(ContentKind.FRAMEWORK, "r1")), make_candidate()),
    ExclusionRule.CREATION_CANCELLED: (make_candidate(ProblemKind.CANCELLED), make_candidate(ProblemKind.MISSING)),
}


@pytest.mark.parametrize("rule", EXCLUDED)
def test_each_rule_leaves_out_what_falls_under_it_and_nothing_beside_it(rule):
    left_out, beside = EXCLUDED[rule]

    decisions = decision(left_out), decision(beside)

    assert decisions[0] == Excluded(left_out.key, rule, "Concept a", "Roadmap r1")
    assert isinstance(decisions[1], PlannedItem)


def test_every_rule_is_tried_by_a_test():
    assert set(EXCLUDED) | RULES_OF_WORKERS | set(STOP_RULES) == set(ExclusionRule)


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


def test_a_cancelled_creation_is_reopened_when_a_person_names_the_key():
    assert decision(make_candidate(ProblemKind.CANCELLED), is_named=True).action is ItemAction.GENERATE


def test_naming_a_key_does_not_lift_the_other_rules():
    decisions = [decision(left_out, is_named=True) for rule, (left_out, _beside) in EXCLUDED.items()
                 if rule is not ExclusionRule.CREATION_CANCELLED]

    assert all(isinstance(found, Excluded) for found in decisions)


def test_what_is_being_worked_on_is_told_before_any_other_rule():
    assert decision(make_candidate(attempts_today=99, is_taken=True)).rule is ExclusionRule.ALREADY_RUNNING


def test_every_candidate_is_either_included_or_excluded_in_its_order():
    candidates = [make_candidate(key=ContentKey(ContentKind.QUIZ, "r1", str(number)), is_taken=number % 2 == 0) for number in range(6)]

    included, excluded = decide_all(candidates, is_named=lambda key: False, maximum_attempts_per_day=5)

    assert [item.key.part for item in included] == ["1", "3", "5"]
    assert [left_out.key.part for left_out in excluded] == ["0", "2", "4"]


def test_a_plan_knows_its_keys_and_how_many_of_them_are_only_repaired():
    keys = [ContentKey(ContentKind.QUIZ, "r1", part) for part in "ab"]
    included = tuple(PlannedItem(key, action, ProblemKind.DRIFTED, "", "") for key, action in zip(keys, ItemAction, strict=True))

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
