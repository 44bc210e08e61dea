"""Operations: what runs and what was done; one with a ledger that adds up."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from backend.content.keys import ContentKind
from backend.content.status import OperationState
from backend.storage.ops_tables import items, operations
from dashboard import reads
from tests.factories import add_content, add_item, add_operation, add_roadmap, ago, concept
from tests.pages.conftest import OpenPage, button, has_button, words_of


def add_finished(redrive, operation_id: str = "o1", **columns) -> str:
    """3 retried, 2 healthy, 1 failed again."""
    return add_operation(redrive.engine, operation_id, **{
        "name": "broken tutorials of Deep learning", "state": "completed", "planned_count": 3, "reason": "ticket 4711",
        "settled_at": ago(minutes=4), "outcome": {"healthy": 2, "problems": {"failed": 1}}, **columns})


def add_settled_items(redrive, *, declared: str = "failed") -> None:
    """Of o1: a and b were written, c failed and is broken still; `declared` is the status of its tutorial."""
    ids = ["a", "b", "c"]
    add_roadmap(redrive.engine, "r1", concepts=[concept("a"), concept("b"), concept("c", content_status=declared)],
                unsaved=[(ContentKind.TUTORIAL, found) for found in ids], title="Deep learning")
    with redrive.engine.begin() as connection:
        for part in ("a", "b"):
            add_content(connection, "r1", part, ContentKind.TUTORIAL)
    for part, state, more in (
        ("a", "succeeded", {"prompt_tokens": 900, "completion_tokens": 334, "calls": 1}), ("b", "succeeded", {}),
        ("c", "failed", {"error_kind": "model_refused", "error_message": "No, =never.", "cause_id": "k"}),
    ):
        add_item(redrive.engine, part, state=state, started_at=ago(minutes=5), settled_at=ago(minutes=4), **more)


def table(page):
    return page.dataframe[0].value


def test_an_empty_history_is_told_in_words(open_page: OpenPage):
    page = open_page("operations")

    assert not page.exception
    assert "Nothing has been retried yet" in words_of(page)
    assert not page.dataframe


def test_the_history_tells_what_came_of_each_newest_first(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_settled_items(redrive)
    add_operation(redrive.engine, "o2", name="everything that is broken", state="paused", created_at=ago(minutes=1))
    add_item(redrive.engine, "x", operation_id="o2")

    page = open_page("operations")

    shown = table(page)
    assert list(shown["name"]) == ["everything that is broken", "broken tutorials of Deep learning"]
    assert list(shown["outcome"]) == ["0 of 1 done", "3 retried, 2 healthy, 1 failed again"]
    assert list(shown["items"]) == [1, 3]
    assert shown["who"][1] == "local operator"
    assert shown["why"][1] == "ticket 4711"
    assert shown["open"][1] == "/operations?operation=o1"
    assert has_button(page, "Resume")


def test_filters_of_the_history_live_in_the_url(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_operation(redrive.engine, "o2", name="everything", state="cancelled", settled_at=ago(minutes=1), created_at=ago(minutes=2))

    assert list(table(open_page("operations", state="cancelled"))["name"]) == ["everything"]
    page = open_page("operations", text="4711")
    assert list(table(page)["name"]) == ["broken tutorials of Deep learning"]

    page.text_input(key="filter-text").input("no such words").run()

    assert page.query_params == {"text": "no such words"}
    assert "No operation matches these filters." in words_of(page)
    button(page, "Clear filters").click().run()
    assert page.query_params == {}
    assert len(table(page)) == 2


def test_the_counts_of_the_filters_follow_the_list(open_page: OpenPage, redrive, monkeypatch):
    add_finished(redrive)
    read, counts = reads.operation_page, iter([{OperationState.RUNNING: 1}])  # as they were when the page began
    monkeypatch.setattr(reads, "operation_page", lambda *asked: replace(found := read(*asked), counts=next(counts, found.counts)))

    page = open_page("operations")

    options = " ".join(str(option) for option in page.button_group[0].options)
    assert "Completed 1" in options
    assert "Running" not in options


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"before": "soon"}, {"before": "2026-01-01T00:00:00"}])
def test_what_the_url_asks_for_and_nobody_knows_is_told(open_page: OpenPage, redrive, query):
    add_finished(redrive)

    page = open_page("operations", **query)

    assert any("is not a filter" in warning.value for warning in page.warning)
    assert len(table(page)) == 1


def test_the_history_is_paged_by_time_without_gap_or_repeat(open_page: OpenPage, redrive):
    for number in range(30):
        add_finished(redrive, f"o{number}", name=f"number {number}", created_at=ago(minutes=number + 1))
    page = open_page("operations")
    first = list(table(page)["name"])
    assert not has_button(page, "Newest")

    button(page, "Older").click().run()

    assert [*first, *table(page)["name"]] == [f"number {number}" for number in range(30)]
    assert button(page, "Older").disabled
    assert "before" in page.query_params
    button(page, "Newest").click().run()
    assert list(table(page)["name"]) == first
    assert page.query_params == {}


def test_an_operation_that_is_not_there_is_told_and_the_others_are_shown(open_page: OpenPage, redrive):
    add_finished(redrive)

    page = open_page("operations", operation="nowhere")

    assert any("There is no operation with the id" in warning.value for warning in page.warning)
    assert len(table(page)) == 1
    button(page, "All operations").click().run()
    assert page.query_params == {}


def test_the_ledger_adds_up_to_the_scope_and_says_how_each_key_stands_now(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_settled_items(redrive)

    page = open_page("operations", operation="o1")

    assert not page.exception
    shown = table(page)
    assert list(shown["outcome"]) == ["✓ Succeeded", "✓ Succeeded", "✕ Failed"]
    assert list(shown["now"]) == ["✓ Healthy", "✓ Healthy", "✕ Failed"]
    assert list(shown["owner"]) == ["Deep learning"] * 3
    assert shown["why"][2] == "No, =never."
    assert shown["tokens"][0] == 1234
    assert shown["open"][0] == "/roadmap?id=r1&cell=tutorial:a"
    assert "3 items in the scope, each once:" in words_of(page)
    assert "3 retried, 2 healthy, 1 failed again" in words_of(page)
    assert "ticket 4711" in words_of(page)
    assert "What failed, by cause" in words_of(page)
    assert [found.proto.label for found in page.get("download_button")] == ["CSV", "JSON"]


def test_the_ledger_is_downloaded_only_when_all_items_are_written_down(open_page: OpenPage, redrive):
    add_operation(redrive.engine, state="armed", planned_count=2, priority="bulk")
    page = open_page("operations", operation="o1")
    assert [found.proto.disabled for found in page.get("download_button")] == [True, True]
    assert "once all items of this operation are written down" in page.get("download_button")[0].proto.help
    assert "Its items are being written down." in [info.value for info in page.info]
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(state="running"))
    for part in ("a", "b"):
        add_item(redrive.engine, part)

    page = open_page("operations", operation="o1")

    assert [found.proto.disabled for found in page.get("download_button")] == [False, False]
    assert len(table(page)) == 2


def test_filters_of_the_ledger_narrow_its_rows_and_never_its_sum(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_settled_items(redrive)

    page = open_page("operations", operation="o1", outcome="failed")

    assert list(table(page)["title"]) == ["Concept c"]
    assert "3 items in the scope" in words_of(page)
    page.text_input(key="filter-text").input("nothing like it").run()
    assert "No item matches these filters." in words_of(page)
    button(page, "Clear filters").click().run()
    assert page.query_params == {"operation": "o1"}
    assert len(table(page)) == 3


def test_the_ledger_is_paged(open_page: OpenPage, redrive):
    add_finished(redrive)
    for number in range(120):
        add_item(redrive.engine, f"c{number:03}", state="cancelled", settled_at=ago(minutes=4), cancelled_by="somebody")
    page = open_page("operations", operation="o1")
    first = list(table(page)["title"])
    assert table(page)["tries"].isna().all()

    button(page, "Next").click().run()

    assert [*first, *table(page)["title"]] == [f"Concept c{number:03}" for number in range(120)]
    assert button(page, "Next").disabled
    button(page, "First").click().run()
    assert list(table(page)["title"]) == first


def test_what_a_key_is_now_is_never_called_healthy_while_somebody_works_on_it_or_its_roadmap_is_gone(open_page: OpenPage, redrive):
    add_finished(redrive, state="running", settled_at=None, outcome=None)
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")], unsaved=[(ContentKind.TUTORIAL, "a")])
    add_item(redrive.engine, "a", state="running", started_at=ago(seconds=5), heartbeat_at=ago(seconds=1))
    add_item(redrive.engine, "b", owner_id="gone", state="failed", settled_at=ago(seconds=1), error_kind="save_owner_gone",
             error_message="Gone.")

    page = open_page("operations", operation="o1")

    assert list(table(page)["now"]) == ["▸ In progress", "– Gone"]
    assert list(table(page)["open"].isna()) == [False, True]
    assert has_button(page, "Pause")


def test_only_those_that_failed_again_are_retried(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_settled_items(redrive)
    page = open_page("operations", operation="o1")

    button(page, "Retry only those that failed again").click().run()

    assert "Retry of 1 item starts in 50 s" in page.toast[0].value
    assert has_button(page, "Undo")
    with redrive.engine.connect() as connection:
        begun = connection.execute(select(items).where(items.c.operation_id != "o1")).all()
    assert [(row.kind, row.owner_id, row.part) for row in begun] == [("tutorial", "r1", "c")]


def test_what_failed_and_is_healthy_by_now_is_not_retried(open_page: OpenPage, redrive):
    add_finished(redrive)
    add_settled_items(redrive, declared="completed")
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "c", ContentKind.TUTORIAL)
        connection.execute(operations.update().values(outcome={"healthy": 3, "problems": {}}))
    page = open_page("operations", operation="o1")

    button(page, "Retry only those that failed again").click().run()

    assert any("Nothing that failed in this operation is a problem now." in info.value.replace("\\", "") for info in page.info)
    with redrive.engine.connect() as connection:
        assert len(connection.execute(select(operations)).all()) == 1


def test_a_cancelled_operation_names_who_and_why(open_page: OpenPage, redrive):
    add_finished(redrive, state="cancelled", state_by="boss", state_reason="Wrong items", outcome=None)
    add_item(redrive.engine, "a", state="cancelled", settled_at=ago(minutes=4), cancelled_by="boss", cancel_reason="Wrong items")

    page = open_page("operations", operation="o1")

    assert "Cancelled by boss: “Wrong items”" in words_of(page)
    assert table(page)["why"][0] == "Wrong items (boss)"
    assert button(page, "Retry only those that failed again").disabled


def test_an_armed_operation_is_undone_on_its_page(open_page: OpenPage, redrive):
    add_operation(redrive.engine, "o1", state="armed", starts_at=ago(seconds=-60))
    add_item(redrive.engine, "a")
    page = open_page("operations", operation="o1")
    assert "starts in " in words_of(page)

    button(page, "Undo").click().run()

    assert "Undone by local operator" in words_of(page)
    assert not has_button(page, "Undo")


def test_the_operation_shown_is_not_shown_twice(open_page: OpenPage, redrive):
    add_operation(redrive.engine, "o1")
    add_item(redrive.engine, "a")

    page = open_page("operations", operation="o1")

    assert button(page, "Pause")
    assert words_of(page).count("0 of 1 done") == 1
