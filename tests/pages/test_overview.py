"""Overview: how bad it is, since when, why, and one click to retry."""

from sqlalchemy import select

from backend.actions import retry
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.storage.ops_tables import items, operations
from tests.factories import add_roadmap, ago, concept
from tests.pages.conftest import OpenPage, button, type_count, words_of

FAILED = {"a": {"reason": "Request timed out after 30 s", "content_type": "tutorial", "timestamp": "2026-01-01T00:00:00Z"}}


def add_two_broken(redrive) -> None:
    add_roadmap(redrive.engine, concepts=[concept("a", content_status="failed"), concept("b")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.QUIZ, "b")], title="Deep learning")


def test_it_counts_by_kind_and_names_the_oldest_and_the_causes(open_page: OpenPage, redrive):
    add_two_broken(redrive)

    page = open_page("overview")

    links = [link.proto.label for link in page.get("page_link")]
    assert any("**1** failed" in label for label in links)
    assert any("**1** missing" in label for label in links)
    assert "Oldest problem:" in words_of(page)
    assert "Deep learning" in words_of(page)
    assert len([button for button in page.button if button.label == "Retry all"]) == 2


def test_a_large_retry_shows_the_plan_first_and_starts_exactly_it(dialog_above_one, open_page: OpenPage, redrive):
    add_two_broken(redrive)
    add_roadmap(redrive.engine, "odd", framework_data={"stages": 3})
    page = open_page("overview")

    button(page, "Retry everything that is broken").click().run()

    assert "2 items</span> in 1 roadmap or novel" in words_of(page)
    assert "no history yet" in words_of(page)
    assert "Left out: 1 item" in words_of(page)
    page.text_input(key="plan_reason").input("ticket 4711")
    type_count(page, 2)
    button(page, "Confirm").click().run()

    with redrive.engine.connect() as connection:
        stored = connection.execute(select(operations)).one()
        keys = {(row.kind, row.part) for row in connection.execute(select(items))}
    assert stored.reason == "ticket 4711"
    assert stored.actor_id == "local operator"
    assert keys == {("tutorial", "a"), ("quiz", "b")}
    assert "Retry of 2 items started" in page.toast[0].value
    assert not [button for button in page.button if button.label == "Confirm"]


def test_retry_all_of_a_cause_plans_that_cause_only(open_page: OpenPage, redrive):
    add_two_broken(redrive)
    page = open_page("overview")

    next(button for button in page.button if button.label == "Retry all").click().run()

    assert "1 item" in words_of(page)
    assert "cause" in words_of(page)


def test_closing_the_plan_starts_nothing(dialog_above_one, open_page: OpenPage, redrive):
    add_two_broken(redrive)
    page = open_page("overview")
    button(page, "Retry everything that is broken").click().run()

    button(page, "Close").click().run()

    with redrive.engine.connect() as connection:
        assert not connection.execute(select(operations)).all()
    assert not [button for button in page.button if button.label == "Confirm"]


def test_a_retry_of_nothing_says_so_and_is_not_called_a_success(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "odd", framework_data={"stages": 3})
    page = open_page("overview")

    button(page, "Retry everything that is broken").click().run()

    assert "Nothing to retry in this scope." in [info.value for info in page.info]
    assert button(page, "Confirm").disabled
    assert not page.toast


def test_a_plan_that_somebody_else_began_in_the_meantime_is_told_and_starts_nothing(
    dialog_above_one, open_page: OpenPage, redrive, operator,
):
    add_two_broken(redrive)
    page = open_page("overview")
    button(page, "Retry everything that is broken").click().run()
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)

    type_count(page, 2)
    button(page, "Confirm").click().run()

    assert any("nothing was started twice" in info.value for info in page.info)
    assert not page.toast


def test_what_runs_is_shown_item_by_item_and_survives_a_reload(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    retry.confirm(redrive, retry.plan(redrive, Scope.of(ContentKey(ContentKind.TUTORIAL, "r1", "a")), operator), operator)

    page = open_page("overview")

    assert "0 of 1 done" in words_of(page)
    assert "Tutorial of Concept a: Planned" in words_of(page)


def test_an_operation_that_ended_says_what_became_of_it(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
    with redrive.engine.begin() as connection:
        connection.execute(items.update().values(state="succeeded", settled_at=ago(seconds=1)))
        connection.execute(operations.update().values(
            state="completed", settled_at=ago(seconds=1), outcome={"healthy": 1, "problems": {"failed": 1}}))

    page = open_page("overview")

    assert "2 retried, 1 healthy, 1 failed again" in words_of(page)
    button(page, "Hide").click().run()
    assert "2 retried" not in words_of(page)
