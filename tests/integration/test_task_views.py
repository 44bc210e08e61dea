"""The platform's tasks as pages read them: filtered, turned by key, with progress, log, and what failed in them."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.actions import attempts, cancel, dispatcher, reconciler, retry, withdrawals
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, TaskStatus, TaskType
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.views import tasks
from backend.views.detection import counts_and_problems
from backend.views.task_log import EventKind, failed_keys, task_events
from backend.views.tasks import Cursor, TaskFilter
from tests.factories import add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept
from tests.integration.test_attempts import QUIZ, begun, queued, written
from tests.pages_read import pages_of, pages_read


def shown(redrive: Redrive, **narrowed: object) -> set[str]:
    return {row.task_id for row in tasks.task_page(redrive, TaskFilter(**narrowed)).rows}


def add_ten(redrive: Redrive) -> list[str]:
    """Newest first: t9 ... t0; t5 and t4 at the very same time."""
    for number in range(10):
        add_task(redrive.engine, f"t{number}", created_at=ago(hours=20 - (4 if number == 5 else number)))
    return [row.task_id for row in tasks.task_page(redrive, TaskFilter()).rows]


def test_pages_are_turned_by_key_and_lose_and_repeat_nothing(redrive):
    everything = add_ten(redrive)

    first = tasks.task_page(redrive, TaskFilter(), page_size=4)
    second = tasks.task_page(redrive, TaskFilter(), before=first.older, page_size=4)
    third = tasks.task_page(redrive, TaskFilter(), before=second.older, page_size=4)
    back = tasks.task_page(redrive, TaskFilter(), after=third.newer, page_size=4)

    assert [row.task_id for page in (first, second, third) for row in page.rows] == everything
    assert (first.newer, third.older) == (None, None)
    assert [row.task_id for row in back.rows] == [row.task_id for row in second.rows]
    assert [row.task_id for row in tasks.task_page(redrive, TaskFilter(), after=second.newer, page_size=4).rows] == everything[:4]


def test_a_task_that_comes_in_between_moves_no_page(redrive):
    everything = add_ten(redrive)
    first = tasks.task_page(redrive, TaskFilter(), page_size=4)

    add_task(redrive.engine, "new", created_at=ago(hours=0))

    assert [row.task_id for row in tasks.task_page(redrive, TaskFilter(), before=first.older, page_size=4).rows] == everything[4:8]


def test_a_cursor_is_read_as_it_was_written_and_nonsense_is_refused():
    cursor = Cursor(ago(hours=1), "a~b")

    assert Cursor.parse(str(cursor)) == cursor
    for words in ("", "soon", "2026-01-01T00:00:00~x", "2026-01-01T00:00:00Z"):
        with pytest.raises(ValueError, match=r".*"):
            Cursor.parse(words)


def test_each_filter_narrows_and_all_of_them_together(redrive):
    add_task(redrive.engine, "a", status="failed", task_type="cover", roadmap_id="r1", user_id="Ann", error_message="100% Timeout_x",
             created_at=ago(hours=3))
    add_task(redrive.engine, "b", novel_id="n1", user_id="bob", failed_concepts={"c": {"reason": "refused"}}, created_at=ago(minutes=5))

    assert shown(redrive, statuses=(TaskStatus.FAILED,)) == {"a"}
    assert shown(redrive, types=(TaskType.CREATION, TaskType.CHAPTER)) == {"b"}
    assert (shown(redrive, owner_id="r1"), shown(redrive, owner_id="n1")) == ({"a"}, {"b"})
    assert (shown(redrive, user="ann"), shown(redrive, user="o")) == ({"a"}, {"b"})
    assert (shown(redrive, minimum_age_seconds=3600), shown(redrive, maximum_age_seconds=3600)) == ({"a"}, {"b"})
    assert shown(redrive, text="timeout 100%") == {"a"}
    assert shown(redrive, text="refused") == {"b"}
    assert shown(redrive, text="tim_out") == set()
    assert shown(redrive, statuses=(TaskStatus.FAILED,), user="ann", owner_id="r1", text="x") == {"a"}
    assert tasks.status_counts(redrive, TaskFilter(statuses=(TaskStatus.FAILED,), user="a")) == {"failed": 1}


def test_progress_comes_from_the_items_else_from_what_the_platform_summed_up(redrive):
    add_operation(redrive.engine)
    add_task(redrive.engine, "ours", status="processing", execution_summary={"total": 99, "completed": 98})
    for state, told in (("planned", None), ("queued", ago(seconds=1)), ("running", None), ("running", ago(seconds=1)),
                        ("succeeded", None), ("failed", None)):
        add_item(redrive.engine, f"{state}{bool(told)}", task_id="ours", state=state, cancel_requested_at=told)
    add_task(redrive.engine, "theirs", execution_summary={"total": 9, "completed": 6, "failed": 2, "skipped": 1})
    add_task(redrive.engine, "silent")

    found = {row.task_id: row for row in tasks.task_page(redrive, TaskFilter()).rows}

    ours = found["ours"].progress
    assert (ours.total, ours.done, ours.running, ours.cancelling) == (6, 2, 1, 2)
    assert found["ours"].starter_ids == ("local operator",)
    assert not found["ours"].is_cancelling
    assert (found["theirs"].progress.total, found["theirs"].progress.done, found["theirs"].progress.failed) == (9, 9, 2)
    assert found["silent"].progress is None


@pytest.mark.parametrize("odd", ["null", "[]", "7", '"text"', '{"total": "many"}', '{"total": -1, "completed": true}', '{"total": 1e999}',
                                 '{"a": "\\u0000\\ud800"}', "[" * 900 + "]" * 900, '{"total": ' + "9" * 5000 + "}"])
def test_odd_json_of_the_platform_breaks_nothing(redrive, odd):
    add_task(redrive.engine, "odd", status="no such status", task_type=None, current_step=None)
    with redrive.engine.begin() as connection:
        connection.execute(text("update tasks set execution_summary = cast(:odd as json), failed_concepts = cast(:odd as json), "
                                "user_request = cast(:odd as json)"), {"odd": odd})

    row = tasks.task_page(redrive, TaskFilter()).rows[0]
    found = tasks.task(redrive, "odd")
    events = task_events(redrive, found)

    assert row.progress is None
    assert (found.row.status, found.duration_seconds) == ("no such status", None)
    assert "\x00" not in repr(found.failed_concepts) + repr(found.request)
    assert [event.kind for event in events] == [EventKind.CREATED]
    assert failed_keys(redrive, ["odd"]) == ()


def test_the_error_is_given_in_full_without_the_secrets_in_it(redrive):
    message = "could not connect to postgresql://admin:hunter2@db/x with Bearer abcdefghijkl " + "x" * 3000
    add_task(redrive.engine, "t", error_message=message, failed_concepts={"c": {"reason": "key sk-abcdefgh12345 refused"}})

    found = tasks.task(redrive, "t")

    assert "hunter2" not in found.row.error
    assert "abcdefghijkl" not in found.row.error
    assert len(found.row.error) > 3000
    assert found.failed_concepts[0].reason == "key *** refused"


def test_what_the_platform_was_asked_for_is_told_but_for_what_is_secret_by_its_name(redrive):
    add_task(redrive.engine, "t", user_request={
        "topic": "Rust", "api_key": "hunter22", "max_tokens": 4096, "options": {"password": "hunter22"}})

    asked = dict(tasks.task(redrive, "t").request)

    assert (asked["topic"], asked["api_key"], asked["max_tokens"]) == ("Rust", "***", "4096")
    assert "hunter22" not in asked["options"]


def test_an_unknown_task_is_none(redrive):
    assert tasks.task(redrive, "nowhere") is None


def test_the_log_is_told_in_order_and_the_same_each_time(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", content_status="failed"), concept("b")],
                saved=[ContentKind.RESOURCES, ContentKind.QUIZ])
    counts_and_problems(redrive)
    operation_id = retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator, "ticket 1").operation_id
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set state = 'running', queued_at = now(), started_at = now() where part = 'a'"))
        task_id = connection.scalar(text("select task_id from ops.items limit 1"))
    cancel.cancel_items(redrive, CancelScope(operation_id=operation_id), operator, CancelReason.WRONG_SCOPE, "sorry")

    found = tasks.task(redrive, task_id)
    events = task_events(redrive, found)

    kinds = [event.kind for event in events]
    assert kinds == [EventKind.CREATED, EventKind.ACTION, EventKind.QUEUED, EventKind.STARTED, EventKind.ACTION, EventKind.TOLD_TO_STOP,
                     EventKind.SETTLED]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert "ticket 1" in events[1].detail
    assert events[4].detail == "Wrong items: sorry · 1 item cancelled, 1 item told to stop"
    assert events[5].detail == "Wrong items: sorry"
    assert (events[6].item.state, events[6].item.cancelled_by) == (ItemState.CANCELLED, operator.actor_id)
    assert found.is_live
    assert [note.actor_id for note in found.operations] == [operator.actor_id]
    assert task_events(redrive, tasks.task(redrive, task_id)) == events


def lines_of(redrive: Redrive) -> list[tuple]:
    """What a person reads in the log of our only task."""
    with redrive.engine.connect() as connection:
        task_id = connection.scalar(text("select task_id from ops.items limit 1"))
    events = task_events(redrive, tasks.task(redrive, task_id))
    assert [event.at for event in events] == sorted(event.at for event in events)
    of_attempt = (EventKind.STARTED, EventKind.LOST, EventKind.GIVEN_BACK)
    return [(event.at, event.kind, event.item.attempt if event.kind in of_attempt else None, event.detail) for event in events]


def test_what_the_log_has_told_it_tells_for_ever(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    def lose() -> None:
        with redrive.engine.begin() as connection:
            connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour'"))
        assert reconciler.take_back_lost(redrive) == 1

    def give_back() -> None:
        withdrawals.give_back(redrive, held.pop().item, words="the model is held back")

    def change(act) -> None:
        with redrive.engine.connect() as connection:
            act(redrive, connection.scalar(text("select operation_id from ops.operations")), operator)

    held: list[attempts.Attempt] = []
    steps = [lambda: held.append(begun(redrive, item_id)), lose, lambda: reconciler.resend_lost(redrive),
             lambda: held.append(begun(redrive, item_id)), give_back, lambda: change(cancel.pause), lambda: change(cancel.resume),
             lambda: dispatcher.dispatch(redrive), lambda: held.append(begun(redrive, item_id)),
             lambda: attempts.save(redrive, held.pop(), written(QUIZ))]
    told = lines_of(redrive)
    for step in steps:
        step()
        now = lines_of(redrive)
        assert set(told) <= set(now)
        told = now

    queue_and_attempts = [(kind, attempt) for _at, kind, attempt, _detail in told if kind not in (EventKind.CREATED, EventKind.ACTION)]
    assert queue_and_attempts == [
        (EventKind.QUEUED, None), (EventKind.STARTED, 1), (EventKind.LOST, 1), (EventKind.QUEUED, None), (EventKind.STARTED, 2),
        (EventKind.GIVEN_BACK, 2), (EventKind.QUEUED, None), (EventKind.UNQUEUED, None), (EventKind.QUEUED, None), (EventKind.STARTED, 3),
        (EventKind.SETTLED, None), (EventKind.ENDED, None)]
    assert [detail for _at, kind, _attempt, detail in told if kind in (EventKind.LOST, EventKind.GIVEN_BACK)] == [
        "it gave no sign of life", "the model is held back"]


def test_normal_work_notes_nothing(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    attempts.save(redrive, begun(redrive, item_id), written(QUIZ))

    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.item_events")) == 0


def test_a_cancel_of_the_task_itself_stands_in_its_log(redrive, operator):
    add_task(redrive.engine, "t", status="processing", user_id="somebody")

    cancel.cancel_task(redrive, "t", operator, CancelReason.STUCK)

    found = tasks.task(redrive, "t")
    assert [event.kind for event in task_events(redrive, found)] == [EventKind.CREATED, EventKind.ACTION, EventKind.ENDED]
    assert not found.is_live


def test_the_end_of_a_task_comes_after_its_items_whoever_looked_at_the_clock_first(redrive):
    add_operation(redrive.engine)
    ended_at = ago(minutes=1)
    add_task(redrive.engine, "t", created_at=ago(hours=1), completed_at=ended_at)
    add_item(redrive.engine, "a", task_id="t", state="succeeded", settled_at=ended_at + timedelta(milliseconds=3))

    events = task_events(redrive, tasks.task(redrive, "t"))

    assert [event.kind for event in events] == [EventKind.CREATED, EventKind.SETTLED, EventKind.ENDED]


def test_chunks_are_one_line_each(redrive):
    add_operation(redrive.engine)
    add_task(redrive.engine, "t", status="processing", created_at=ago(hours=1))
    together = ago(minutes=2)
    for part in "abc":
        add_item(redrive.engine, part, task_id="t", state="queued", queued_at=together)
    add_item(redrive.engine, "d", task_id="t", state="queued", queued_at=together + timedelta(seconds=1))

    events = task_events(redrive, tasks.task(redrive, "t"))

    assert [event.count for event in events if event.kind is EventKind.QUEUED] == [3, 1]


def add_broken(redrive: Redrive) -> None:
    """r1: tutorials of a and b failed, the quiz of b missing."""
    add_roadmap(redrive.engine, "r1", concepts=[concept("a", content_status="failed"), concept("b", content_status="failed")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.TUTORIAL, "b"), (ContentKind.QUIZ, "b")])


def failed_parts(redrive: Redrive, *task_ids: str) -> set[str]:
    counts_and_problems(redrive)
    return {f"{key.kind}:{key.part}" for key in failed_keys(redrive, task_ids)}


def test_of_our_own_tasks_what_failed_are_the_failed_items_that_are_problems_now(redrive):
    add_broken(redrive)
    add_operation(redrive.engine)
    add_task(redrive.engine, "ours", status="partial_failure", roadmap_id="r1")
    for part, state in (("a", "failed"), ("b", "cancelled"), ("gone", "failed")):
        add_item(redrive.engine, part, task_id="ours", state=state, settled_at=ago(minutes=1))

    assert failed_parts(redrive, "ours") == {"tutorial:a"}


@pytest.mark.parametrize(("columns", "parts"), [
    ({"failed_concepts": {"b": {"reason": "x", "content_type": "tutorial,quiz"}}}, {"tutorial:b", "quiz:b"}),
    ({"failed_concepts": {"b": {"reason": "x"}}, "content_type": "quiz"}, {"quiz:b"}),
    ({"failed_concepts": None}, {"tutorial:a", "tutorial:b", "quiz:b"}),  # the incident: nothing was written down
    ({"failed_concepts": None, "content_type": "tutorial"}, {"tutorial:a", "tutorial:b"}),
    ({"failed_concepts": None, "concept_id": "a"}, {"tutorial:a"}),
    ({"failed_concepts": None, "status": "completed"}, set()),
    ({"failed_concepts": None, "task_type": "cover"}, set()),
])
def test_of_a_task_of_the_platform_what_it_named_else_all_that_it_was_about(redrive, columns, parts):
    add_broken(redrive)
    add_task(redrive.engine, "theirs", **{"status": "failed", "roadmap_id": "r1", **columns})

    assert failed_parts(redrive, "theirs") == parts


def test_a_failed_chapter_task_names_its_chapter(redrive):
    add_novel(redrive.engine, "n1", chapters=[{}, {"status": "failed", "content": ""}])
    add_task(redrive.engine, "chapter", status="failed", task_type="chapter", novel_id="n1")
    counts_and_problems(redrive)

    assert failed_keys(redrive, ["chapter"]) == (ContentKey(ContentKind.CHAPTER, "n1", "2"),)


def test_titles_of_roadmaps_and_novels_are_told_and_a_deleted_one_is_told_by_its_id(redrive):
    add_roadmap(redrive.engine, "r1", title="Deep learning")
    add_novel(redrive.engine, "n1", title="A town")
    for task_id, columns in (("a", {"roadmap_id": "r1"}), ("b", {"novel_id": "n1"}), ("c", {"roadmap_id": "gone"})):
        add_task(redrive.engine, task_id, **columns)

    found = {row.task_id: (row.owner_title, row.owner_id) for row in tasks.task_page(redrive, TaskFilter()).rows}

    assert found == {"a": ("Deep learning", "r1"), "b": ("A town", "n1"), "c": ("", "gone")}


def test_a_hundred_thousand_tasks_are_turned_at_once(redrive):
    with redrive.engine.begin() as connection:
        connection.execute(text(
            "insert into tasks (task_id, user_id, status, task_type, roadmap_id, error_message, created_at, updated_at) "
            "select 't' || n, 'u' || n % 50, case when n % 40 = 0 then 'failed' else 'completed' end, 'creation', 'r' || n % 900, "
            "case when n % 40 = 0 then 'Request timed out after ' || n end, now() - n * interval '1 minute', now() "
            "from generate_series(1, 100000) as n"))
        connection.execute(text("analyze tasks"))
    middle = Cursor(ago(minutes=50_000), "t")

    read = {name: pages_read(redrive.engine, view) for name, view in {
        "first page": lambda: tasks.task_page(redrive, TaskFilter()),
        "in the middle": lambda: tasks.task_page(redrive, TaskFilter(), before=middle),
        "by status": lambda: tasks.task_page(redrive, TaskFilter(statuses=(TaskStatus.FAILED,)), before=middle),
        "by text": lambda: tasks.task_page(redrive, TaskFilter(text="out after 77720")),
        "counts": lambda: tasks.status_counts(redrive, TaskFilter()),
    }.items()}
    whole = pages_of(redrive.engine, "tasks")

    assert max(read["first page"], read["in the middle"], read["by status"]) < whole / 4, (read, whole)
    assert max(read.values()) < 2 * whole, (read, whole)


def test_the_list_tells_who_started_what_is_unsettled(redrive):
    add_operation(redrive.engine, actor_id="ann")
    add_task(redrive.engine, "t", status="processing")
    add_item(redrive.engine, "a", task_id="t", state="queued")
    add_item(redrive.engine, "b", task_id="t", state="succeeded", operation_id=add_operation(redrive.engine, "o2", actor_id="bob"))

    (row,) = tasks.task_rows(redrive, ["t", "gone"])

    assert row.starter_ids == ("ann",)
