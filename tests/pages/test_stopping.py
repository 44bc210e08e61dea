"""Pause, resume and cancel wherever work is shown; limits of a retry in its plan."""

from sqlalchemy import select

from backend.actions import retry
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.storage.ops_tables import audit_log, cause_aliases, causes, items, operations
from tests.factories import add_item, add_novel, add_operation, add_roadmap, ago, concept
from tests.pages.conftest import OpenPage, button, choose_rows, forget_cached_reads, has_button, words_of


def start_two(redrive, operator) -> str:
    """Tutorials of a and b are being retried; nobody works on them yet."""
    return retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator, "ticket 1").operation_id


def add_two_broken(redrive) -> None:
    add_roadmap(redrive.engine, "r1", title="Deep learning",
                concepts=[concept("a", content_status="failed"), concept("b", content_status="failed")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.TUTORIAL, "b")])


def state_of(redrive, operation_id: str) -> str:
    with redrive.engine.connect() as connection:
        return connection.scalar(select(operations.c.state).where(operations.c.operation_id == operation_id))


def item_states(redrive) -> set[str]:
    with redrive.engine.connect() as connection:
        return set(connection.scalars(select(items.c.state)))


def test_an_operation_is_paused_with_words_and_resumed(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    operation_id = start_two(redrive, operator)
    page = open_page("overview")

    button(page, "Pause").click().run()
    page.text_input(key="stop_note").input("tokens are short")
    next(found for found in page.button if found.key == "stop-confirm").click().run()

    assert state_of(redrive, operation_id) == "paused"
    assert "Paused by local operator: “tokens are short”" in words_of(page)
    assert not has_button(page, "Pause")
    button(page, "Resume").click().run()
    assert state_of(redrive, operation_id) == "running"
    assert "Resumed" in page.toast[0].value


def test_a_cancelled_operation_stays_live_until_its_items_have_stopped_and_is_never_called_failed(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("problems")
    operation_id = start_two(redrive, operator)
    with redrive.engine.begin() as connection:
        connection.execute(items.update().where(items.c.part == "a").values(state="running", started_at=ago(seconds=3)))
    page = open_page("problems")

    button(page, "Cancel").click().run()
    button(page, "Cancel it").click().run()

    words = words_of(page)
    assert state_of(redrive, operation_id) == "cancelled"
    assert "⊖ Cancelling" in words
    assert "Tutorial of Concept a: Cancelling" in words
    assert "Waiting for 1 item to stop." in words
    with redrive.engine.begin() as connection:
        connection.execute(items.update().where(items.c.part == "a").values(state="cancelled", settled_at=ago(seconds=1)))
    forget_cached_reads()
    page.run()
    words = words_of(page)
    assert "⊘ Cancelled" in words
    assert "0 retried, 2 cancelled" in words
    assert "failed again" not in words
    assert not has_button(page, "Cancel")


def test_letting_it_run_changes_nothing(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    operation_id = start_two(redrive, operator)
    page = open_page("overview")
    button(page, "Cancel").click().run()

    button(page, "Let it run").click().run()

    assert state_of(redrive, operation_id) == "running"
    assert item_states(redrive) == {"planned"}
    assert not has_button(page, "Cancel it")


def test_an_operation_that_changed_in_the_meantime_is_a_refusal_in_words(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    start_two(redrive, operator)
    page = open_page("overview")
    button(page, "Cancel").click().run()
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(state="completed", settled_at=ago(seconds=1)))

    button(page, "Cancel it").click().run()

    assert any("This operation is completed" in warning.value for warning in page.warning)


def test_work_on_the_chosen_problems_is_cancelled(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("problems")
    start_two(redrive, operator)
    page = open_page("problems")
    choose_rows(page, [0])

    button(page, "Cancel work on 1 item").click().run()
    button(page, "Cancel it").click().run()

    assert item_states(redrive) == {"planned", "cancelled"}
    assert not has_button(page, "Cancel work on 1 item")


def test_a_chosen_problem_that_is_being_worked_on_stays_chosen(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    page = open_page("problems")
    choose_rows(page, [0, 1])
    start_two(redrive, operator)
    with redrive.engine.begin() as connection:
        connection.execute(items.update().values(state="queued"))

    page = page.run()

    assert has_button(page, "Cancel work on 2 items")


def test_one_cell_is_cancelled_and_its_history_tells_by_whom_and_why(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    start_two(redrive, operator)
    page = open_page("roadmap", id="r1", cell="tutorial:a")

    next(found for found in page.button if found.key == "cancel-tutorial:r1:a").click().run()
    page.selectbox(key="stop_reason").select("too_expensive")
    button(page, "Cancel it").click().run()

    assert item_states(redrive) == {"planned", "cancelled"}
    assert "cancelled by local operator: Too expensive" in words_of(page)
    assert not [found for found in page.button if found.key == "cancel-tutorial:r1:a"]
    assert not button(page, "Retry tutorial").disabled


def test_a_cell_that_is_stopping_says_so(open_page: OpenPage, redrive):
    add_two_broken(redrive)
    add_operation(redrive.engine)
    add_item(redrive.engine, "a", state="running", cancel_requested_at=ago(seconds=1), cancelled_by="ann", cancel_reason="Wrong items")

    page = open_page("roadmap", id="r1", cell="tutorial:a")

    assert "⊖ Cancelling" in words_of(page)
    assert "told to stop by ann: Wrong items" in words_of(page)
    assert next(found for found in page.button if found.key == "cancel-tutorial:r1:a").disabled


def test_everything_that_works_on_a_roadmap_is_cancelled(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("overview")
    start_two(redrive, operator)
    page = open_page("roadmap", id="r1")

    button(page, "Cancel work on 2 items").click().run()
    assert "all 2 items of Deep learning" in words_of(page)
    button(page, "Cancel it").click().run()

    assert item_states(redrive) == {"cancelled"}
    assert not [found for found in page.button if found.label.startswith("Cancel work on")]


def test_everything_that_works_on_a_novel_is_cancelled_from_any_of_its_chapters(open_page: OpenPage, redrive):
    add_novel(redrive.engine, "n1", title="A town", chapters=[{}, {}, {}])
    add_operation(redrive.engine)
    for number, owner in ((2, "n1"), (3, "n1"), (1, "n2")):
        add_item(redrive.engine, str(number), kind="chapter", owner_id=owner)
    page = open_page("chapter", novel="n1", number="1")

    button(page, "Cancel work on 2 items").click().run()
    assert "all 2 items of A town" in words_of(page)
    button(page, "Cancel it").click().run()

    assert item_states(redrive) == {"planned", "cancelled"}
    assert not [found for found in page.button if found.label.startswith("Cancel work on")]


def test_everything_that_was_planned_for_a_cause_is_cancelled(open_page: OpenPage, redrive):
    with redrive.engine.begin() as connection:
        connection.execute(causes.insert().values(cause_id="c1", error_kind="model_timeout", origin="model", title="timed out",
                                                  sample="timed out"))
        connection.execute(cause_aliases.insert().values(fingerprint="c0", cause_id="c1", merged_by="ann"))
    add_operation(redrive.engine)
    for part, cause_id in (("a", "c1"), ("b", "c0"), ("c", "other")):
        add_item(redrive.engine, part, planned_cause_id=cause_id)
    page = open_page("cause", id="c1")

    button(page, "Cancel work on 2 items").click().run()
    button(page, "Cancel it").click().run()

    with redrive.engine.connect() as connection:
        assert dict(connection.execute(select(items.c.part, items.c.state)).all()) == {"a": "cancelled", "b": "cancelled", "c": "planned"}
        assert connection.scalar(select(audit_log.c.scope)) == "everything that was planned for the cause c1"


def test_an_operation_of_somebody_else_needs_the_role(environment, open_page: OpenPage, redrive):
    add_operation(redrive.engine, actor_id="ann")
    add_item(redrive.engine, "a")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")

    page = open_page("overview")

    assert button(page, "Pause").disabled
    assert "needs the role admin" in button(page, "Cancel").help


def add_poison(redrive) -> None:
    """The tutorial of a was tried five times today."""
    add_two_broken(redrive)
    for _number in range(5):
        add_item(redrive.engine, "a", operation_id="old", state="failed", started_at=ago(hours=2), settled_at=ago(hours=2), calls=1)


def test_poison_is_left_out_by_number_and_an_admin_includes_it_with_a_reason(open_page: OpenPage, redrive):
    add_poison(redrive)
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    assert "1 item left out as poison" in words_of(page)

    button(page, "Include them").click().run()

    assert "The limits are overridden" in words_of(page)
    assert button(page, "Confirm").disabled
    page.text_input(key="plan_reason").input("the model was mended").run()
    button(page, "Confirm").click().run()
    with redrive.engine.connect() as connection:
        assert connection.scalar(select(operations.c.reason)) == "the model was mended"
        new = connection.execute(select(items).where(items.c.state == "planned")).all()
    assert {row.part for row in new} == {"a", "b"}


def test_poison_left_out_again_is_a_plan_within_the_limit(open_page: OpenPage, redrive):
    add_poison(redrive)
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    button(page, "Include them").click().run()

    button(page, "Leave them out").click().run()

    assert "1 item left out as poison" in words_of(page)
    assert not button(page, "Confirm").disabled


def test_who_may_not_override_is_told_of_poison_without_the_button(environment, open_page: OpenPage, redrive):
    add_poison(redrive)
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")
    page = open_page("problems")

    button(page, "Retry everything that is broken").click().run()

    assert any("skipped 1 tried too often today" in info.value.replace("\\", "") for info in page.info)
    assert not has_button(page, "Include them")
    with redrive.engine.connect() as connection:
        assert {row.part for row in connection.execute(select(items).where(items.c.state == "planned"))} == {"b"}


def test_two_dialogs_are_never_open_at_once(open_page: OpenPage, redrive, operator):
    add_two_broken(redrive)
    open_page("problems")
    retry.confirm(redrive, retry.plan(redrive, Scope.of(ContentKey(ContentKind.TUTORIAL, "r1", "a")), operator), operator)
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()

    button(page, "Cancel").click().run()

    assert has_button(page, "Cancel it")
    assert not has_button(page, "Confirm")
