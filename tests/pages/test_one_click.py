"""One click for what is small and can be undone; a dialog for what is large, empty, or has something to decide."""

import pytest
from sqlalchemy import select

from backend.actions import retry
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.storage.ops_tables import operations
from tests.factories import add_item, add_operation, add_roadmap, add_task, ago, concept
from tests.pages.conftest import OpenPage, button, forget_reads, has_button, type_count, words_of

EVERYTHING = "Retry everything that is broken"


def add_broken(redrive, count: int = 2) -> None:
    """Quizzes that are missing."""
    ids = [f"c{number}" for number in range(count)]
    add_roadmap(redrive.engine, "r1", concepts=[concept(found) for found in ids], unsaved=[(ContentKind.QUIZ, found) for found in ids])


def stored(redrive) -> list:
    with redrive.engine.connect() as connection:
        return connection.execute(select(operations).order_by(operations.c.created_at)).all()


def add_poison(redrive, part: str) -> None:
    """Tried five times today, and failed each time."""
    add_operation(redrive.engine, "earlier", state="completed", settled_at=ago(hours=1), outcome={"healthy": 0, "problems": {}})
    for _number in range(5):
        add_item(redrive.engine, part, operation_id="earlier", kind="quiz", state="failed", started_at=ago(hours=1),
                 settled_at=ago(hours=1), error_kind="model_refused", error_message="No.")


def test_a_small_retry_starts_with_one_click_and_says_how_to_undo_it(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert not has_button(page, "Confirm")
    assert page.toast[0].value.replace("\\", "") == "Retry of 2 items starts in 50 s: everything that is broken. Undo takes it back."
    assert [(found.state, found.planned_count) for found in stored(redrive)] == [("armed", 2)]
    assert "0 of 2 done, starts in " in words_of(page)
    assert has_button(page, "Undo")
    assert not has_button(page, "Cancel")


def test_a_small_retry_over_the_budget_of_tokens_is_shown_first(environment, open_page: OpenPage, redrive):
    add_broken(redrive)
    add_operation(redrive.engine, "earlier", state="completed", settled_at=ago(days=2), outcome={"healthy": 1, "problems": {}})
    add_item(redrive.engine, "past", operation_id="earlier", kind="quiz", state="succeeded", generator="offline", calls=1,
             prompt_tokens=100, completion_tokens=50, started_at=ago(days=2), settled_at=ago(days=2))
    environment.setenv("REDRIVE_OPERATION_BUDGET_TOKENS", "299")
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert "By the estimate it takes more than its budget" in words_of(page)
    assert len(stored(redrive)) == 1
    environment.setenv("REDRIVE_OPERATION_BUDGET_TOKENS", "300")
    forget_reads()
    page = open_page("problems")
    button(page, EVERYTHING).click().run()
    assert len(stored(redrive)) == 2


def test_undo_takes_it_back_and_the_problems_are_as_before(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("problems")
    button(page, EVERYTHING).click().run()

    button(page, "Undo").click().run()

    assert "Nothing was begun, 2 items taken back" in page.toast[0].value.replace("\\", "")
    assert [found.state for found in stored(redrive)] == ["undone"]
    assert not has_button(page, "Undo")
    assert "nothing was begun, 2 items taken back" in words_of(page)
    assert not button(page, EVERYTHING).disabled
    button(page, EVERYTHING).click().run()
    assert [(found.state, found.planned_count) for found in stored(redrive)] == [("undone", 2), ("armed", 2)]


def test_undo_too_late_says_what_to_do_instead(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("problems")
    button(page, EVERYTHING).click().run()
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(state="running", started_at=utc_now()))

    button(page, "Undo").click().run()

    assert any("has begun already. Cancel it instead" in warning.value.replace("\\", "") for warning in page.warning)
    assert has_button(page, "Cancel")


def test_what_is_left_out_of_a_small_retry_is_told_with_the_rule(open_page: OpenPage, redrive):
    add_broken(redrive)
    add_roadmap(redrive.engine, "odd", framework_data={"stages": 3})
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert not has_button(page, "Confirm")
    assert any("skipped 1 whose roadmap or novel cannot be read (odd)" in info.value.replace("\\", "") for info in page.info)


def test_with_nothing_to_retry_the_dialog_says_why(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "odd", framework_data={"stages": 3})
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert "Nothing to retry in this scope." in [info.value for info in page.info]
    assert "Left out: 1 item" in words_of(page)
    assert not stored(redrive)


@pytest.mark.parametrize("typed", ["", "2", "three", "33", "-3"])
def test_a_large_retry_waits_for_its_count(dialog_above_one, open_page: OpenPage, redrive, typed):
    add_broken(redrive, 3)
    page = open_page("problems")

    button(page, EVERYTHING).click().run()
    type_count(page, typed)

    assert page.text_input(key="plan_count").placeholder == "3"
    assert button(page, "Confirm").disabled
    button(page, "Confirm").proto.disabled = False  # whoever presses it all the same
    button(page, "Confirm").click().run()
    assert not stored(redrive)


def test_a_large_retry_starts_when_its_count_is_typed_and_is_not_armed(dialog_above_one, open_page: OpenPage, redrive):
    add_broken(redrive, 3)
    page = open_page("problems")
    button(page, EVERYTHING).click().run()

    type_count(page, " 3 ")
    button(page, "Confirm").click().run()

    assert [(found.state, found.planned_count) for found in stored(redrive)] == [("running", 3)]
    assert "Retry of 3 items started" in page.toast[0].value


def test_what_others_began_since_the_plan_is_told_once(dialog_above_one, open_page: OpenPage, redrive, operator):
    add_broken(redrive, 3)
    page = open_page("problems")
    button(page, EVERYTHING).click().run()
    taken = Scope.of(ContentKey(ContentKind.QUIZ, "r1", "c1"))
    retry.confirm(redrive, retry.plan(redrive, taken, operator), operator)

    type_count(page, "3")
    button(page, "Confirm").click().run()

    told = [info.value.replace("\\", "") for info in page.info if "c1" in info.value or "somebody else" in info.value]
    assert told == [
        "Triggered 2, skipped 1 already being worked on (r1/c1). 1 item had been started by somebody else in the meantime."]


def test_poison_is_shown_to_whoever_may_override_it_and_needs_a_reason(open_page: OpenPage, redrive):
    add_broken(redrive, 3)
    add_poison(redrive, "c0")
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert "1 item left out as poison" in words_of(page)
    assert not stored(redrive)[1:]
    button(page, "Include them").click().run()
    assert button(page, "Confirm").disabled
    page.text_input(key="plan_reason").input("the model was down").run()
    button(page, "Confirm").click().run()
    assert [(found.reason, found.planned_count) for found in stored(redrive)[1:]] == [("the model was down", 3)]


def test_poison_is_named_to_an_operator_who_can_decide_nothing_about_it(environment, open_page: OpenPage, redrive):
    add_broken(redrive, 3)
    add_poison(redrive, "c0")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")
    forget_reads()
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert not has_button(page, "Confirm")
    assert any("skipped 1 tried too often today" in info.value.replace("\\", "") for info in page.info)
    assert stored(redrive)[-1].planned_count == 2


def test_without_a_time_to_undo_it_starts_at_once(environment, open_page: OpenPage, redrive):
    environment.setenv("REDRIVE_ARMED_SECONDS", "0")
    add_broken(redrive)
    page = open_page("problems")

    button(page, EVERYTHING).click().run()

    assert "Retry of 2 items started" in page.toast[0].value
    assert [found.state for found in stored(redrive)] == ["running"]
    assert not has_button(page, "Undo")


def test_a_second_click_starts_nothing_twice(open_page: OpenPage, redrive, operator):
    add_broken(redrive)
    page = open_page("problems")
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)

    button(page, EVERYTHING).click().run()

    assert "Left out: 2 items" in words_of(page)
    assert len(stored(redrive)) == 1


def test_what_others_have_armed_is_undone_by_an_admin_only(environment, open_page: OpenPage, redrive):
    add_operation(redrive.engine, "o1", state="armed", starts_at=ago(seconds=-60), actor_id="somebody else")
    add_item(redrive.engine, "a")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")
    forget_reads()

    page = open_page("overview")

    assert button(page, "Undo").disabled
    assert "needs the role admin" in button(page, "Undo").help


def test_what_failed_in_a_task_is_retried_with_one_click_and_undone_on_its_page(open_page: OpenPage, redrive):
    add_broken(redrive)
    add_task(redrive.engine, "t1", roadmap_id="r1", status="failed", failed_concepts={
        "c0": {"reason": "No.", "content_type": "quiz", "timestamp": "2026-01-01T00:00:00Z"}})
    page = open_page("tasks", task="t1")

    button(page, "Retry what failed").click().run()

    assert [(found.state, found.planned_count) for found in stored(redrive)] == [("armed", 1)]
    button(page, "Undo").click().run()
    assert [found.state for found in stored(redrive)] == ["undone"]


def test_one_cell_is_armed_too(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("roadmap", id="r1", cell="quiz:c0")
    button(page, "Retry quiz").click().run()

    button(page, "Undo").click().run()

    assert [found.state for found in stored(redrive)] == ["undone"]
    assert not button(page, "Retry quiz").disabled
