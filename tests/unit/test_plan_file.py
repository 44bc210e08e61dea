"""A plan as CSV: every key once, with its rule, and nothing that a spreadsheet would run."""

import csv
import io

import pytest

from backend.content import wording
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import Estimate, Excluded, ExclusionRule, InclusionRule, Plan, PlannedItem
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemAction
from backend.views.plan_file import plan_as_csv
from tests.factories import ago


def key(part: str) -> ContentKey:
    return ContentKey(ContentKind.QUIZ, "r1", part)


def make_plan(included: list[InclusionRule], excluded: list[ExclusionRule], title: str = "Concept") -> Plan:
    return Plan(
        "request", Scope.everything(),
        tuple(PlannedItem(key(f"i{at}"), ItemAction.GENERATE, ProblemKind.FAILED, title, "Roadmap", "cause", rule)
              for at, rule in enumerate(included)),
        tuple(Excluded(key(f"e{at}"), rule, title, "Roadmap", "cause") for at, rule in enumerate(excluded)), Estimate(1, None, None), ago())


def read(plan: Plan) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(plan_as_csv(plan))))


def test_every_key_stands_in_it_once_with_the_rule_that_decided():
    rows = read(make_plan(list(InclusionRule), list(ExclusionRule)))

    assert [(row["decision"], row["rule"], row["why"]) for row in rows] == [
        *(("included", rule, wording.INCLUSION_RULES[rule]) for rule in InclusionRule),
        *(("left out", rule, wording.EXCLUSION_RULES[rule]) for rule in ExclusionRule)]
    assert len({row["part"] for row in rows}) == len(rows)
    assert {row["cause_id"] for row in rows} == {"cause"}


@pytest.mark.parametrize("title", ["=1+1", "+cmd", "-2", "@sum", "\tx"])
def test_a_title_is_never_a_formula(title):
    (row,) = read(make_plan([InclusionRule.BROKEN], [], title))

    assert row["title"] == f"'{title}"


@pytest.mark.parametrize("title", ['a "quoted", title', "two\nlines", "智能体", ""])
def test_a_title_comes_back_as_it_was(title):
    (row,) = read(make_plan([InclusionRule.BROKEN], [], title))

    assert row["title"] == title


def test_a_plan_of_nothing_has_a_head_line_only():
    assert read(make_plan([], [])) == []
    assert plan_as_csv(make_plan([], [])).startswith("decision,rule,why,kind,")
