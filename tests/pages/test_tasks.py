"""Tasks: the list, one task with its items and log, and what can be cancelled, stopped and retried from there."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from backend.actions import cancel
from backend.clock import utc_now
from backend.content.keys import ContentKind
from backend.storage import problems
from backend.storage.ops_tables import audit_log, items, operations
from backend.storage.platform_tables import tasks
from dashboard.components import task_table
from tests.factories import add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept
from tests.pages.conftest import OpenPage, button, choose_rows, forget_cached_reads, forget_reads, has_button, shown_types, words_of


def add_tasks(redrive) -> None:
    """Newest first: a cover in work, a failed creation of r1, a completed chapter of n1."""
    add_roadmap(redrive.engine, "r1", title="Deep learning", concepts=[concept("a", content_status="failed"), concept("b")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.QUIZ, "b")])
    add_novel(redrive.engine, "n1", title="A town")
    add_task(redrive.engine, "t1", status="completed", task_type="chapter", novel_id="n1", created_at=ago(hours=9))
    add_task(redrive.engine, "t2", status="failed", roadmap_id="r1", error_message="QueuePool limit", created_at=ago(hours=5),
             failed_concepts={"a": {"reason": "Pool dry", "content_type": "tutorial", "timestamp": "2026-01-01T00:00:00Z"}})
    add_task(redrive.engine, "t3", status="processing", task_type="cover", roadmap_id="r1", created_at=ago(minutes=5))


def add_own_task(redrive, *, state: str = "running", **columns) -> int:
    """A task with one item that is settled and one in the given state."""
    add_roadmap(redrive.engine, "r1", title="Deep learning", concepts=[concept("a", content_status="failed"), concept("b")])
    add_operation(redrive.engine, reason="ticket 7")
    add_task(redrive.engine, "own", status="processing", task_type="retry_tutorial", roadmap_id="r1", created_at=ago(minutes=5))
    add_item(redrive.engine, "b", task_id="own", state="failed", error_kind="model_refused", error_message="Refused, key sk-abcdefgh12345",
             started_at=ago(minutes=3), settled_at=ago(minutes=2), attempt=2)
    return add_item(redrive.engine, "a", task_id="own", state=state, started_at=ago(minutes=1), job_id="j", **columns)


def test_the_list_tells_status_owner_progress_and_error_newest_first(open_page: OpenPage, redrive):
    add_tasks(redrive)

    page = open_page("tasks")

    rows = page.dataframe[0].value
    assert list(rows["status"]) == ["▸ Processing", "✕ Failed", "✓ Completed"]
    assert list(rows["type"]) == ["Cover", "Creation", "Chapter"]
    assert list(rows["owner"]) == ["Deep learning", "Deep learning", "A town"]
    assert list(rows["error"]) == ["", "QueuePool limit", ""]
    assert rows["open"][0] == "/tasks?task=t3"
    assert list(rows["page"]) == ["/roadmap?id=r1", "/roadmap?id=r1", "/chapter?novel=n1"]


def test_a_task_that_found_nothing_to_do_is_not_told_as_none_of_none(open_page: OpenPage, redrive):
    add_task(redrive.engine, task_type="retry_tutorial", execution_summary={"total": 0, "completed": 0})

    assert list(open_page("tasks").dataframe[0].value["progress"]) == ["no items"]


def test_the_url_narrows_the_list_and_defaults_leave_it(open_page: OpenPage, redrive):
    add_tasks(redrive)

    assert shown_types(open_page("tasks", status="failed")) == ["Creation"]
    assert shown_types(open_page("tasks", type=["cover", "chapter"])) == ["Cover", "Chapter"]
    assert shown_types(open_page("tasks", owner="n1")) == ["Chapter"]
    assert shown_types(open_page("tasks", age="over-1h", text="queuepool")) == ["Creation"]
    page = open_page("tasks", before="2026-01-01T00:00:00Z~x")
    page.text_input(key="filter-user").input("USER-1").run()
    assert page.query_params == {"user": "USER-1"}
    assert len(shown_types(page)) == 3
    page.text_input(key="filter-user").input("").run()
    assert page.query_params == {}


def test_what_the_url_asks_for_and_nobody_knows_is_told(open_page: OpenPage, redrive):
    add_tasks(redrive)

    page = open_page("tasks", status="nonsense", before="yesterday", user="\x00")

    assert any("status=nonsense, before=yesterday" in warning.value.replace("\\", "") for warning in page.warning)
    assert len(shown_types(page)) == 3


def test_nothing_found_is_told_in_words_and_undone_by_one_click(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks", text="no such words")
    assert "No task matches these filters." in words_of(page)

    button(page, "Clear filters").click().run()

    assert len(shown_types(page)) == 3


def test_pages_are_turned_in_the_url_and_the_selection_stays(open_page: OpenPage, redrive, monkeypatch):
    monkeypatch.setattr(task_table, "PAGE_SIZE", 2)
    add_tasks(redrive)
    page = open_page("tasks")
    choose_rows(page, [0])
    assert not has_button(page, "Newest")

    button(page, "Older").click().run()

    assert shown_types(page) == ["Chapter"]
    assert list(page.query_params) == ["before"]
    assert "1 of them on other pages" in words_of(page)
    assert not button(page, "Cancel 1 task").disabled
    button(page, "Newer").click().run()
    assert shown_types(page) == ["Cover", "Creation"]


def test_cancelling_what_is_chosen_says_of_each_task_what_was_refused_and_why(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks")
    assert button(page, "Cancel selected tasks").disabled
    choose_rows(page, [0, 1, 2])

    button(page, "Cancel 3 tasks").click().run()
    assert "2 of them have ended already and will be refused." in words_of(page).replace("\\", "")
    page.selectbox(key="stop_reason").select("stuck")
    page.text_input(key="stop_note").input("since Monday")
    button(page, "Cancel it").click().run()

    told = [warning.value.replace("\\", "") for warning in page.warning]
    assert any("Not cancelled: Creation, Deep learning. This task is failed." in words for words in told)
    assert any("Not cancelled: Chapter, A town. This task is completed." in words for words in told)
    assert "1 task cancelled" in page.toast[0].value
    with redrive.engine.connect() as connection:
        assert connection.scalar(select(tasks.c.status).where(tasks.c.task_id == "t3")) == "cancelled"
        assert connection.scalar(select(audit_log.c.reason)) == "It is stuck: since Monday"
    assert button(page, "Cancel selected tasks").disabled


def test_an_outage_in_the_middle_tells_what_was_cancelled_and_keeps_the_rest_chosen(open_page: OpenPage, redrive, monkeypatch):
    add_roadmap(redrive.engine, "r1", title="Deep learning", concepts=[concept("a")])
    for number in range(3):
        add_task(redrive.engine, f"t{number}", status="processing", task_type="cover", roadmap_id="r1", created_at=ago(minutes=number + 1))
    page = open_page("tasks")
    choose_rows(page, [0, 1, 2])
    button(page, "Cancel 3 tasks").click().run()
    really = cancel.cancel_task

    def cancel_task(redrive, task_id, *rest):
        if task_id == "t1":
            raise OperationalError("update", {}, Exception("server closed the connection"))
        return really(redrive, task_id, *rest)
    monkeypatch.setattr(cancel, "cancel_task", cancel_task)

    button(page, "Cancel it").click().run()

    assert "1 task cancelled" in page.toast[0].value
    assert any("stopped answering before 2 tasks were cancelled" in error.value for error in page.error)
    assert has_button(page, "Cancel 2 tasks")


def test_tasks_that_ended_cannot_be_cancelled(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks", status="failed")

    choose_rows(page, [0])

    assert button(page, "Cancel 1 task").disabled
    assert not has_button(open_page("tasks", task="t2"), "Cancel task")


def test_what_failed_in_the_chosen_tasks_is_planned_and_nothing_else(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks")
    choose_rows(page, [1, 2])

    button(page, "Retry what failed in 2 tasks").click().run()

    assert "what failed in 2 tasks" in page.toast[0].value

    with redrive.engine.connect() as connection:
        assert [(row.kind, row.part) for row in connection.execute(select(items))] == [("tutorial", "a")]


def test_a_task_in_which_nothing_is_broken_any_more_says_so(open_page: OpenPage, redrive):
    add_tasks(redrive)
    assert button(open_page("tasks", task="t1"), "Retry what failed").disabled
    page = open_page("tasks", task="t2")
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_metadata"))
    problems.drain(redrive.engine, utc_now, redrive.limits)

    button(page, "Retry what failed").click().run()

    assert any("Nothing that failed in this task is a problem now." in info.value.replace("\\", "") for info in page.info)
    assert not has_button(page, "Confirm")


def test_a_retry_is_offered_only_where_something_failed_and_is_a_problem(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks")
    assert button(page, "Retry what failed").help == "Choose rows in the table first."

    choose_rows(page, [0, 2])

    assert button(page, "Retry what failed in 2 tasks").disabled
    assert button(page, "Retry what failed in 2 tasks").help == "Nothing that failed in the chosen tasks is a problem now."
    choose_rows(page, [0, 1])
    assert not button(page, "Retry what failed in 2 tasks").disabled


def test_an_error_of_an_item_is_read_in_full_once_the_item_is_chosen_also_after_the_end(open_page: OpenPage, redrive):
    add_operation(redrive.engine, state="completed")
    add_task(redrive.engine, "own", status="failed", task_type="retry_tutorial")
    for part in ("a", "b"):
        add_item(redrive.engine, part, task_id="own", state="failed", error_kind="save_rejected", settled_at=ago(minutes=2),
                 error_message=f"first line of {part}\n" + "x" * 1900 + f" end of {part}")
    page = open_page("tasks", task="own")
    assert not page.code
    assert "Choose a failed item to read its error in full, below." in words_of(page)

    choose_rows(page, [1])

    assert [code.value for code in page.code] == ["first line of b\n" + "x" * 1900 + " end of b"]


def test_a_long_reason_of_the_platform_is_not_cut(open_page: OpenPage, redrive):
    add_task(redrive.engine, "t", status="failed", failed_concepts={
        "a": {"reason": "x" * 1900 + " the end", "content_type": "tutorial", "timestamp": "2026-01-01T00:00:00Z"}})

    assert words_of(open_page("tasks", task="t")).count("the end") == 2  # what failed, and the log


def test_a_task_of_the_platform_shows_its_error_and_what_was_noted(open_page: OpenPage, redrive):
    add_tasks(redrive)

    page = open_page("tasks", task="t2")

    words = words_of(page)
    assert [code.value for code in page.code] == ["QueuePool limit"]
    assert "Pool dry" in words
    assert "Task created for user-1" in words
    assert "a failed" in words
    assert any(link.proto.label == "Deep learning" for link in page.get("page_link"))


def links_of(page) -> list[tuple[str, str, str]]:
    return [(link.proto.label, link.proto.page, link.proto.query_string) for link in page.get("page_link")]


def test_a_task_of_a_novel_links_to_the_chapter_it_works_on_or_to_all_of_them(open_page: OpenPage, redrive):
    add_tasks(redrive)
    assert ("A town", "chapter", "novel=n1") in links_of(open_page("tasks", task="t1"))
    add_operation(redrive.engine)
    for number in (12, 7):
        add_item(redrive.engine, str(number), kind="chapter", owner_id="n1", task_id="t1", state="succeeded")
    forget_cached_reads()

    assert ("A town", "chapter", "novel=n1&number=7") in links_of(open_page("tasks", task="t1"))
    add_task(redrive.engine, "theirs", task_type="chapter", novel_id="n1", user_request={"chapter_number": 5})
    assert ("A town", "chapter", "novel=n1&number=5") in links_of(open_page("tasks", task="theirs"))


def test_an_own_task_shows_items_attempts_and_log_without_secrets(open_page: OpenPage, redrive):
    add_own_task(redrive)

    page = open_page("tasks", task="own")

    rows = page.dataframe[0].value
    assert list(rows["state"]) == ["✕ Failed", "▸ Running"]
    assert list(rows["attempt"]) == [2, 1]
    words = words_of(page)
    assert "1 of 2 done" in words
    assert "Tutorial of Concept a begun" in words
    assert "Tutorial of Concept b failed" in words
    assert "ticket 7" in words
    assert "sk-abcdefgh" not in words + " ".join(rows["outcome"])


def test_what_was_never_begun_shows_no_attempt(open_page: OpenPage, redrive):
    add_operation(redrive.engine)
    add_task(redrive.engine, "own", status="cancelled", task_type="retry_tutorial", roadmap_id="r1", created_at=ago(minutes=5))
    add_item(redrive.engine, "a", task_id="own", state="cancelled", settled_at=ago(minutes=1))
    add_item(redrive.engine, "b", task_id="own", state="cancelled", started_at=ago(minutes=2), settled_at=ago(minutes=1))

    rows = open_page("tasks", task="own").dataframe[0].value

    assert dict(zip(rows["item"], rows["attempt"].fillna(0), strict=True)) == {"Tutorial of Concept a": 0, "Tutorial of Concept b": 1}


def test_one_item_is_cancelled_and_shown_as_cancelling_until_it_is_confirmed(open_page: OpenPage, redrive):
    item_id = add_own_task(redrive)
    page = open_page("tasks", task="own")
    choose_rows(page, [0, 1])

    button(page, "Cancel 1 item").click().run()
    button(page, "Cancel it").click().run()

    assert list(page.dataframe[0].value["state"]) == ["✕ Failed", "⊖ Cancelling"]
    assert "Tutorial of Concept a told to stop by local operator" in words_of(page)
    assert not has_button(page, "Force stop 1 item")
    with redrive.engine.begin() as connection:
        connection.execute(items.update().where(items.c.item_id == item_id).values(state="cancelled", settled_at=utc_now()))
    forget_cached_reads()
    page.run()
    assert list(page.dataframe[0].value["state"]) == ["✕ Failed", "⊘ Cancelled"]
    assert "Tutorial of Concept a cancelled by local operator" in words_of(page)


def test_an_item_that_was_told_to_stop_and_waits_again_is_cancelling(open_page: OpenPage, redrive):
    add_own_task(redrive, state="queued", attempt=2, cancel_requested_at=ago(seconds=1), cancelled_by="ann", cancel_reason="wrong")

    page = open_page("tasks", task="own")

    rows = page.dataframe[0].value
    assert list(rows["state"]) == ["✕ Failed", "⊖ Cancelling"]
    assert list(rows["outcome"])[1] == "told to stop by ann: wrong"
    assert "1 cancelling" in words_of(page)
    assert not has_button(page, "Force stop 1 item")


def test_an_item_that_does_not_stop_can_be_stopped_by_force_after_the_grace_period(open_page: OpenPage, redrive):
    item_id = add_own_task(redrive, cancel_requested_at=ago(seconds=11), cancelled_by="local operator", cancel_reason="It is stuck")
    page = open_page("tasks", task="own")

    button(page, "Force stop 1 item").click().run()
    assert button(page, "Stop by force").disabled  # a reason is needed
    page.text_input(key="stop_note").input("it hangs").run()
    button(page, "Stop by force").click().run()

    assert "1 item stopped by force" in page.toast[0].value
    with redrive.engine.connect() as connection:
        assert connection.scalar(select(items.c.state).where(items.c.item_id == item_id)) == "cancelled"


def test_a_task_whose_last_items_are_stopping_is_called_cancelling(open_page: OpenPage, redrive):
    add_own_task(redrive)
    page = open_page("tasks", task="own")

    button(page, "Cancel task").click().run()
    button(page, "Cancel it").click().run()

    assert "⊖ Cancelling" in words_of(page)
    assert button(page, "Cancel task").disabled
    assert list(open_page("tasks").dataframe[0].value["status"]) == ["⊖ Cancelling"]


def test_an_unknown_task_is_told_and_the_list_is_shown(open_page: OpenPage, redrive):
    add_tasks(redrive)
    page = open_page("tasks", task="nowhere")
    assert any("There is no task with the id **nowhere**" in warning.value for warning in page.warning)
    assert len(shown_types(page)) == 3

    button(page, "All tasks").click().run()

    assert page.query_params == {}


@pytest.mark.parametrize("odd", ["[]", '"text"', '{"a": 7, "\\u0000": {"reason": ["\\ud800"]}}', '{"total": "x"}'])
def test_odd_rows_of_the_platform_are_shown_all_the_same(open_page: OpenPage, redrive, odd):
    add_task(redrive.engine, "odd", status="on_hold", task_type="unheard_of", user_id="<b>bold</b>", error_message="<script>\n![x](http://e)")
    with redrive.engine.begin() as connection:
        connection.execute(text("update tasks set execution_summary = cast(:odd as json), failed_concepts = cast(:odd as json), "
                                "user_request = cast(:odd as json)"), {"odd": odd})

    listed, one = open_page("tasks"), open_page("tasks", task="odd")

    assert not listed.exception
    assert not listed.error
    assert list(listed.dataframe[0].value["status"]) == ["? on_hold"]
    assert not one.exception
    assert not one.error
    assert "<script>" not in words_of(one)
    assert "<b>" not in words_of(one)


def test_a_viewer_sees_tasks_and_can_stop_none(environment, open_page: OpenPage, redrive):
    add_own_task(redrive)
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")

    page = open_page("tasks", task="own")

    assert button(page, "Cancel task").disabled
    assert "needs the role operator" in button(page, "Cancel task").help


def test_an_operator_stops_only_what_is_their_own(environment, open_page: OpenPage, redrive):
    add_own_task(redrive)
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")
    assert not button(open_page("tasks", task="own"), "Cancel task").disabled
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(actor_id="ann"))

    page = open_page("tasks", task="own")

    assert button(page, "Cancel task").disabled
    assert "needs the role admin" in button(page, "Cancel task").help


def test_the_action_asks_the_role_again(environment, open_page: OpenPage, redrive):
    add_own_task(redrive)
    page = open_page("tasks", task="own")
    button(page, "Cancel task").click().run()
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    forget_reads()

    button(page, "Cancel it").click().run()

    assert any("needs the role operator" in warning.value for warning in page.warning)
    with redrive.engine.connect() as connection:
        assert set(connection.scalars(select(items.c.cancel_requested_at))) == {None}
