"""The page of an operation: its groups and what stopped, its limits and how they are changed, and planning it again."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, select, text

from backend.content.keys import ContentKind
from backend.content.limits import OperationLimits
from backend.storage.ops_tables import audit_log, groups, items, operations
from tests.factories import add_item, add_operation, add_roadmap, ago, concept
from tests.pages.conftest import OpenPage, button, forget_reads, has_button, type_count, words_of

LIMITS = OperationLimits(concurrency=4, budget_calls=500, canary_items=3, same_cause_window=20)


def add_groups(redrive, *rows: dict) -> list[int]:
    with redrive.engine.begin() as connection:
        return list(connection.scalars(insert(groups).returning(groups.c.group_id), [
            {"operation_id": "o1", "cause_id": row["title"], "item_count": 3, "state": "open", "stop_rule": None, "stop_words": None,
             "stopped_at": None, **row} for row in rows]))


@pytest.fixture
def running(redrive) -> str:
    """One group that goes ahead, one that was stopped after two failures."""
    add_operation(redrive.engine, "o1", limits=LIMITS.as_json(), spent_calls=5, spent_tokens=1200, spent_items=5)
    ahead, stopped = add_groups(
        redrive, {"title": "Model timed out", "state": "canary"},
        {"title": "Saving: duplicate key", "state": "stopped", "stop_rule": "canary_failed", "stopped_at": ago(minutes=1),
         "stop_words": "The first 2 items failed: Model refused: no"})
    add_item(redrive.engine, "a", group_id=ahead, canary_round=1, state="succeeded", settled_at=ago(minutes=1))
    add_item(redrive.engine, "b", group_id=ahead, canary_round=1, state="running", started_at=ago(minutes=1))
    add_item(redrive.engine, "c", group_id=ahead)
    for part in "de":
        add_item(redrive.engine, part, group_id=stopped, canary_round=1, state="failed", settled_at=ago(minutes=1),
                 error_kind="model_refused", error_message="no", cause_id="k")
    add_item(redrive.engine, "f", group_id=stopped, state="skipped", skip_rule="canary_failed", settled_at=ago(minutes=1))
    return "o1"


def test_groups_tell_their_canary_and_a_stop_its_reason(open_page: OpenPage, running):
    page = open_page("operations", operation=running)

    words = words_of(page)
    assert not page.exception
    assert "Canary: 1 of 2" in words
    assert "**1 group of this retry stopped by itself; 1 item of it were not started.**" in words
    assert "The first 2 items failed: Model refused: no" in words
    assert "1 not started" in words
    shown = page.dataframe[0].value
    assert list(shown["outcome"]).count("■ Not started") == 1
    assert "Not started: the first items of its group failed." in " ".join(shown["why"])


def test_calls_whose_cost_nobody_knows_are_told_beside_the_money(open_page: OpenPage, redrive):
    add_operation(redrive.engine, "o1", spent_calls=5, spent_tokens=900, spent_items=5, spent_cost=1.5, spent_unpriced_calls=2)

    page = open_page("operations", operation="o1")

    assert "5 calls, 900 tokens, 1.50 USD, the cost of 2 calls is not known" in words_of(page)


def test_limits_and_what_was_used_are_told(open_page: OpenPage, running):
    page = open_page("operations", operation=running)

    assert "at most 4 at once, 500 calls" in words_of(page)
    assert "5 calls, 1,200 tokens" in words_of(page)


def test_limits_are_changed_with_a_reason(open_page: OpenPage, redrive, running):
    page = open_page("operations", operation=running)
    button(page, "Limits").click().run()
    assert button(page, "Change limits").disabled

    page.number_input(key="operation-limit-concurrency").set_value(2)
    page.text_input(key="operation-limit-quiet_hours").input("22:00-06:00")
    page.text_input(key="limits_reason").input("too fast").run()
    button(page, "Change limits").click().run()

    with redrive.engine.connect() as connection:
        stored = OperationLimits.from_json(connection.scalar(select(operations.c.limits)))
        line = connection.execute(select(audit_log)).one()
    assert (stored.concurrency, str(stored.quiet_hours), stored.budget_calls, stored.canary_items) == (2, "22:00-06:00", 500, 3)
    assert (line.action, line.reason) == ("change_limits", "too fast")
    assert not has_button(page, "Change limits")
    assert "Limits changed: at most 2 at once, 500 calls, quiet hours 22:00-06:00" in words_of(page).replace("\\", "")


def test_limits_that_somebody_else_changed_while_the_dialog_was_open_stay(open_page: OpenPage, redrive, running):
    page = open_page("operations", operation=running)
    button(page, "Limits").click().run()
    page.number_input(key="operation-limit-concurrency").set_value(2)
    page.text_input(key="limits_reason").input("too fast").run()
    theirs = replace(LIMITS, budget_calls=10)
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(limits=theirs.as_json()))

    button(page, "Change limits").click().run()

    with redrive.engine.connect() as connection:
        assert OperationLimits.from_json(connection.scalar(select(operations.c.limits))) == theirs
    assert "in the meantime. Look at them again first" in words_of(page).replace("\\", "")
    button(page, "Limits").click().run()
    assert page.number_input(key="operation-limit-budget_calls").value == 10
    assert page.number_input(key="operation-limit-concurrency").value == 4


def test_quiet_hours_that_cannot_be_read_leave_the_dialog_open(open_page: OpenPage, redrive, running):
    page = open_page("operations", operation=running)
    button(page, "Limits").click().run()

    page.text_input(key="operation-limit-quiet_hours").input("at night")
    page.text_input(key="limits_reason").input("why not").run()

    assert "Quiet hours are written as 22:00-06:00, not as “at night”." in words_of(page).replace("\\", "")
    assert button(page, "Change limits").disabled
    with redrive.engine.connect() as connection:
        assert OperationLimits.from_json(connection.scalar(select(operations.c.limits))) == LIMITS


def test_a_viewer_changes_no_limits(open_page: OpenPage, environment, running):
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    page = open_page("operations", operation=running)

    assert button(page, "Limits").disabled


def test_a_stopped_operation_says_why_and_has_no_limits_to_change(open_page: OpenPage, redrive, running):
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set state = 'succeeded', settled_at = now() where state in ('planned', 'running')"))
        connection.execute(operations.update().values(
            state="stopped", settled_at=ago(seconds=5), state_reason="The first 2 items failed: Model refused: no", outcome={
                "healthy": 3, "problems": {"failed": 2}, "untouched": 1,
                "causes": [{"cause_id": "k", "words": "Model refused: no", "count": 2}]}))

    page = open_page("operations", operation=running)

    words = words_of(page)
    assert "Stopped by itself: The first 2 items failed: Model refused: no" in words
    assert "5 retried, 1 not started, 3 healthy, 2 failed again: Model refused: no" in words
    assert not has_button(page, "Limits")


@pytest.fixture
def broken(redrive) -> None:
    add_roadmap(redrive.engine, "r1", concepts=[concept(part) for part in "ab"],
                unsaved=[(ContentKind.TUTORIAL, part) for part in "ab"], title="Deep learning")


def test_a_finished_operation_is_planned_again_from_its_scope_as_it_is_now(open_page: OpenPage, redrive, broken):
    add_operation(redrive.engine, "o1", state="completed", settled_at=ago(minutes=1), outcome={"healthy": 0, "problems": {}},
                  scope={"filter": {"kinds": ["tutorial"], "owner_id": "r1"}})
    add_item(redrive.engine, "gone", state="failed", settled_at=ago(minutes=1), error_kind="model_refused", cause_id="k")
    page = open_page("operations", operation="o1")

    button(page, "Plan it again").click().run()

    with redrive.engine.connect() as connection:
        planned = connection.scalars(select(items.c.part).where(items.c.operation_id != "o1").order_by(items.c.part)).all()
    assert planned == ["a", "b"]


def test_limits_of_a_large_plan_are_chosen_before_it_is_confirmed(open_page: OpenPage, redrive, broken, dialog_above_one):
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()

    page.number_input(key="plan-limit-concurrency").set_value(3)
    page.number_input(key="plan-limit-rate_per_minute").set_value(60)
    type_count(page, 2)
    button(page, "Confirm").click().run()

    with redrive.engine.connect() as connection:
        stored = OperationLimits.from_json(connection.scalar(select(operations.c.limits)))
    assert (stored.concurrency, stored.rate_per_minute, stored.budget_calls, stored.canary_items) == (3, 60, None, 3)


def test_limits_that_are_loosened_in_a_plan_ask_for_a_reason(open_page: OpenPage, redrive, broken, dialog_above_one, environment):
    environment.setenv("REDRIVE_OPERATION_BUDGET_TOKENS", "1000")
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    type_count(page, 2)
    assert not button(page, "Confirm").disabled

    page.number_input(key="plan-limit-budget_tokens").set_value(None).run()
    assert button(page, "Confirm").disabled
    page.text_input(key="plan_reason").input("all of it today").run()
    button(page, "Confirm").click().run()

    with redrive.engine.connect() as connection:
        reason, stored = connection.execute(select(operations.c.reason, operations.c.limits)).one()
    assert (reason, OperationLimits.from_json(stored).budget_tokens) == ("all of it today", None)


def test_a_budget_that_cannot_be_kept_is_told_and_can_be_emptied(open_page: OpenPage, redrive, broken, dialog_above_one, environment):
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    environment.setenv("REDRIVE_MODEL", "writer-1")
    environment.setenv("REDRIVE_OPERATION_BUDGET_COST", "5")
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    type_count(page, 2)

    assert "needs the price of writer-1 in REDRIVE_PRICES" in words_of(page).replace("\\", "")
    assert button(page, "Confirm").disabled
    page.number_input(key="plan-limit-budget_cost").set_value(None)
    page.text_input(key="plan_reason").input("the price comes tomorrow").run()
    assert page.number_input(key="plan-limit-budget_cost").value is None
    button(page, "Confirm").click().run()

    with redrive.engine.connect() as connection:
        assert OperationLimits.from_json(connection.scalar(select(operations.c.limits))).budget_cost is None


def test_money_can_be_limited_where_who_is_asked_has_a_price(open_page: OpenPage, redrive, broken, dialog_above_one, environment):
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    environment.setenv("REDRIVE_MODEL", "writer-1")
    environment.setenv("REDRIVE_IMAGE_MODEL", "painter-1")
    environment.setenv("REDRIVE_PRICES", '{"painter-1": [1, 2]}')
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    assert page.number_input(key="plan-limit-budget_cost").disabled  # texts, and only pictures have a price

    environment.setenv("REDRIVE_PRICES", '{"writer-1": [1, 2]}')
    forget_reads()
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    assert not page.number_input(key="plan-limit-budget_cost").disabled
