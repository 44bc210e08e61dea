"""Automatic retries: rules are made, turned on, changed and deleted, and the page tells what each does and why it does not."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from backend.actions import automatic, retry_rules
from backend.content.keys import ContentKind
from backend.content.limits import QuietHours
from backend.content.retry_rules import RuleBudget, RuleTerms
from backend.storage.ops_tables import items, operations, problems
from backend.storage.rule_tables import retry_rules as rules_table
from tests.factories import add_operation, ago
from tests.integration.acting import add_broken
from tests.integration.test_retry_plan import drain
from tests.pages.conftest import OpenPage, button, has_button, words_of

QUIZZES = RuleTerms(kind=ContentKind.QUIZ, budget=RuleBudget(run_items=2, day_items=2))


@pytest.fixture
def broken(redrive):
    add_broken(redrive, {"Timeout of the model": 3})
    drain(redrive)
    return redrive


@pytest.fixture
def rule_id(broken, operator) -> str:
    return retry_rules.create(broken, operator, QUIZZES, "nights are long")


def rules_of(redrive) -> list:
    with redrive.engine.connect() as connection:
        return connection.execute(select(rules_table).where(rules_table.c.deleted_at.is_(None))).all()


def flat(page) -> str:
    return words_of(page).replace("\\", "")


def test_a_rule_is_made_with_a_reason_and_is_off(open_page: OpenPage, broken):
    page = open_page("automatic")
    button(page, "New rule").click().run()
    assert button(page, "Save").disabled

    page.selectbox(key="rule-kind").set_value(ContentKind.QUIZ)
    page.text_input(key="rule-backoff").input("30 s, 5 min")
    page.text_input(key="rule-quiet_hours").input("22:00-06:00")
    page.number_input(key="rule-day_calls").set_value(40)
    page.text_input(key="rule-reason").input("nights are long").run()
    button(page, "Save").click().run()

    made, = rules_of(broken)
    assert (made.kind, made.cause_id, made.is_enabled, made.backoff_seconds, made.quiet_hours, made.day_calls, made.reason) == (
        "quiz", None, False, [30, 300], "22:00-06:00", 40, "nights are long")
    assert not has_button(page, "Save")
    assert "Rule made: Quizzes. It is off until you turn it on." in flat(page)
    assert "nothing: it is off" in flat(page)


@pytest.mark.parametrize(("field", "words", "told"), [
    ("rule-backoff", "soon", "Steps are written as 1 min, 10 min, 1 h"), ("rule-quiet_hours", "at night", "Quiet hours are written as")])
def test_fields_that_make_no_sense_are_told_in_the_form(open_page: OpenPage, broken, field, words, told):
    page = open_page("automatic")
    button(page, "Suggested: covers after 1 min, 10 min, 1 h").click().run()

    page.text_input(key=field).input(words)
    page.text_input(key="rule-reason").input("why not").run()

    assert told in flat(page)
    assert button(page, "Save").disabled
    assert rules_of(broken) == []


def test_a_rule_for_everything_is_refused_in_the_form(open_page: OpenPage, broken):
    page = open_page("automatic")
    button(page, "New rule").click().run()

    assert "Choose a cause, a kind of content, or both" in flat(page)


def test_covers_are_suggested_with_their_steps(open_page: OpenPage, redrive):
    page = open_page("automatic")
    button(page, "Suggested: covers after 1 min, 10 min, 1 h").click().run()
    page.text_input(key="rule-reason").input("they fail briefly").run()
    button(page, "Save").click().run()

    made, = rules_of(redrive)
    assert (made.kind, made.backoff_seconds) == ("cover", [60, 600, 3600])
    assert not has_button(page, "Suggested: covers after 1 min, 10 min, 1 h")


def test_a_rule_is_turned_on_and_off_by_its_switch(open_page: OpenPage, broken, rule_id):
    page = open_page("automatic")
    page.toggle(key=f"rule-on-{rule_id}").set_value(True).run()

    assert rules_of(broken)[0].is_enabled
    assert "On: Quizzes" in flat(page)
    assert "3 items due now" in flat(page)

    page.toggle(key=f"rule-on-{rule_id}").set_value(False).run()

    assert not rules_of(broken)[0].is_enabled
    assert "Off: Quizzes. What it has begun goes on." in flat(page)


def test_the_page_tells_what_a_rule_did_and_what_holds_it(open_page: OpenPage, broken, operator, rule_id):
    retry_rules.set_enabled(broken, operator, rule_id, is_enabled=True)
    automatic.run_due(broken)
    with broken.engine.begin() as connection:
        connection.execute(operations.update().values(state="completed", settled_at=ago(seconds=1)))
        connection.execute(items.update().values(
            state="succeeded", settled_at=ago(seconds=1), calls=1, prompt_tokens=90, completion_tokens=10))

    page = open_page("automatic")

    assert not page.exception
    words = flat(page)
    assert re.search(r"2 items \d+ s ago: completed, 2 succeeded, 0 failed", words)
    assert "2 of 2 retries succeeded (100 %)" in words
    assert "2 of 2 items, 2 calls, 200 tokens" in words
    assert "held until" in words
    assert "The budget of the day is spent" in words


def test_the_dry_run_is_shown_and_writes_nothing(open_page: OpenPage, broken, rule_id):
    page = open_page("automatic")

    button(page, "What would it do now?").click().run()

    assert "It would retry 2 items now:" in words_of(page)
    assert len(page.dataframe[0].value) == 2
    with broken.engine.connect() as connection:
        assert connection.execute(select(items)).all() == []


def test_the_dry_run_names_what_holds_the_rule(open_page: OpenPage, broken, operator, monkeypatch):
    retry_rules.create(broken, operator, RuleTerms(kind=ContentKind.QUIZ, quiet_hours=QuietHours.parse("22:00-06:00")), "nights")
    monkeypatch.setattr(automatic, "utc_now", lambda: ago().replace(hour=23, minute=0) + timedelta(days=1))

    page = open_page("automatic")
    button(page, "What would it do now?").click().run()

    assert "Nothing now. Quiet hours. Until" in words_of(page)
    assert "After that it would retry 3 items:" in words_of(page)


def test_every_number_of_the_form_can_be_emptied(open_page: OpenPage, broken):
    page = open_page("automatic")
    button(page, "New rule").click().run()

    assert {found.key.removeprefix("rule-"): found.value for found in page.number_input} == {
        "run_items": 50, "day_items": 500, "day_calls": None, "day_tokens": None, "day_cost": None}
    # What a browser shows again when a field is emptied.
    assert not [found.label for found in page.number_input if found.proto.HasField("default")]


def test_a_rule_is_changed(open_page: OpenPage, broken, rule_id):
    page = open_page("automatic")
    button(page, "Change").click().run()
    page.number_input(key="rule-run_items").set_value(7)
    page.text_input(key="rule-reason").input("more of them").run()
    button(page, "Save").click().run()

    changed, = rules_of(broken)
    assert (changed.run_items, changed.reason, changed.kind) == (7, "more of them", "quiz")
    assert "Rule changed: Quizzes" in flat(page)


def test_a_rule_that_somebody_changed_meanwhile_is_not_overwritten(open_page: OpenPage, broken, operator, rule_id):
    page = open_page("automatic")
    button(page, "Change").click().run()
    retry_rules.set_enabled(broken, operator, rule_id, is_enabled=True)

    button(page, "Save").click().run()

    assert "Somebody changed or deleted this rule in the meantime." in flat(page)


def test_a_rule_is_deleted_with_a_reason(open_page: OpenPage, broken, rule_id):
    page = open_page("automatic")
    page.button(key=f"rule-ask-delete-{rule_id}").click().run()
    assert page.button(key="rule-delete").disabled

    page.text_input(key="rule_delete_reason").input("not needed").run()
    page.button(key="rule-delete").click().run()

    assert rules_of(broken) == []
    assert "Rule deleted: Quizzes" in flat(page)
    assert "Nothing is retried by itself." in words_of(page)


def test_the_page_of_a_cause_leads_to_a_rule_for_it(open_page: OpenPage, broken, operator):
    with broken.engine.connect() as connection:
        cause_id = connection.scalar(select(problems.c.cause_id).limit(1))
    cause = open_page("cause", id=cause_id)
    assert "Retry this automatically" in [link.proto.label for link in cause.get("page_link")]

    page = open_page("automatic", cause=cause_id)

    assert page.selectbox(key="rule-cause").value == cause_id
    page.text_input(key="rule-reason").input("it passes").run()
    button(page, "Save").click().run()
    assert rules_of(broken)[0].cause_id == cause_id
    again = open_page("automatic", cause=cause_id)
    assert again.text_input(key="rule-reason").value == ""
    assert again.selectbox(key="rule-cause").value == cause_id


def links(page, words: str) -> list[str]:
    """What the links whose label holds the words ask their page for."""
    return [link.proto.query_string for link in page.get("page_link") if words in link.proto.label]


def begun_by_rule(redrive, operator, rule_id: str) -> str:
    retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=True)
    automatic.run_due(redrive)
    with redrive.engine.connect() as connection:
        return connection.scalar(select(operations.c.operation_id))


def test_an_operation_and_the_rule_that_began_it_lead_to_each_other(open_page: OpenPage, broken, operator, rule_id):
    retry_rules.create(broken, operator, RuleTerms(kind=ContentKind.COVER), "another one")
    operation_id = begun_by_rule(broken, operator, rule_id)

    operation = open_page("operations", operation=operation_id)
    assert links(operation, "Started by the automatic retry rule “Quizzes”") == [f"rule={rule_id}"]

    rule = open_page("automatic", rule=rule_id)
    assert "Quizzes" in flat(rule)
    assert "Covers" not in flat(rule)
    assert links(rule, "Ledger of") == [f"operation={operation_id}"]

    button(rule, "All rules").click().run()
    assert rule.query_params == {}
    assert "Covers" in flat(rule)


def test_an_operation_that_a_person_began_names_no_rule(open_page: OpenPage, broken):
    add_operation(broken.engine, "o1")

    assert links(open_page("operations", operation="o1"), "automatic retry rule") == []


def test_a_rule_that_was_deleted_is_named_without_a_link(open_page: OpenPage, broken, operator, rule_id):
    operation_id = begun_by_rule(broken, operator, rule_id)
    retry_rules.delete(broken, operator, rule_id, "not needed")

    page = open_page("operations", operation=operation_id)
    assert "Started by the automatic retry rule “Quizzes”, which was deleted since then." in flat(page)
    assert links(page, "automatic retry rule") == []

    asked = open_page("automatic", rule=rule_id)
    assert not asked.exception
    assert any("The rule that you asked for is not there" in warning.value for warning in asked.warning)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_may_press_what_changes_rules(open_page: OpenPage, environment, rule_id, role):
    environment.setenv("REDRIVE_OPERATOR_ROLE", role)

    page = open_page("automatic")

    assert button(page, "New rule").disabled
    assert button(page, "Change").disabled
    assert page.toggle(key=f"rule-on-{rule_id}").disabled
