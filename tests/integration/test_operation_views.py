"""Lists of operations, and when their items ended."""

from backend.content.status import ItemState, OperationState
from backend.views import ledger, operation_list, operations
from backend.views.ledger import Outcome
from tests.factories import add_item, add_novel, add_operation, add_roadmap, ago, concept


def test_a_page_of_operations_tells_how_far_each_is_and_where_the_next_begins(redrive):
    for number in range(3):
        add_operation(redrive.engine, f"o{number}", created_at=ago(minutes=number + 1), state="paused" if number else "running")
    add_item(redrive.engine, "a", operation_id="o0", state="running", cancel_requested_at=ago(seconds=1))
    add_item(redrive.engine, "b", operation_id="o0", state="failed", settled_at=ago(seconds=1))

    page = operation_list.operation_page(redrive, limit=2)
    rest = operation_list.operation_page(redrive, limit=2, before=page.older_than)

    assert [row.operation_id for row in (*page.rows, *rest.rows)] == ["o0", "o1", "o2"]
    assert rest.older_than is None
    assert page.counts == {OperationState.RUNNING: 1, OperationState.PAUSED: 2}
    assert (page.rows[0].total, page.rows[0].counts[ItemState.FAILED], page.rows[0].cancelling_count) == (2, 1, 1)
    assert page.rows[1].total == 0


def test_what_was_told_to_stop_and_waits_again_is_still_stopping(redrive):
    add_operation(redrive.engine, state="cancelled", settled_at=ago(hours=1))
    add_item(redrive.engine, "a", state="queued", attempt=2, cancel_requested_at=ago(seconds=1))
    add_item(redrive.engine, "b", state="cancelled", cancel_requested_at=ago(hours=1), settled_at=ago(hours=1))

    found, = operations.active_operations(redrive)

    assert (found.cancelling, found.cancelling_count) == ({ItemState.QUEUED: 1}, 1)
    assert [row.is_cancelling for row in operations.item_rows(redrive, "o1")] == [True, False]


def test_progress_in_a_list_is_the_progress_of_each(redrive):
    add_operation(redrive.engine, "o1", state="completed", settled_at=ago(minutes=1), outcome={"healthy": 1, "problems": {}})
    add_operation(redrive.engine, "o2", state="armed", starts_at=ago(seconds=-5))
    add_item(redrive.engine, "a", state="succeeded", settled_at=ago(minutes=2))

    found = operations.progress_of(redrive, ["o2", "nowhere", "o1"])

    assert found == (operations.progress(redrive, "o2"), operations.progress(redrive, "o1"))


def test_outcomes_over_time_hold_every_item_that_ended_in_few_spans(redrive):
    add_operation(redrive.engine)
    for number in range(50):
        add_item(redrive.engine, f"c{number}", state="succeeded" if number % 5 else "failed", settled_at=ago(seconds=10 * number))
    add_item(redrive.engine, "waiting")

    buckets = ledger.outcomes_over_time(redrive, "o1", buckets=10)

    assert sum(bucket.count for bucket in buckets if bucket.outcome is Outcome.SUCCEEDED) == 40
    assert sum(bucket.count for bucket in buckets if bucket.outcome is Outcome.FAILED) == 10
    assert len({bucket.begins_at for bucket in buckets}) <= 11
    assert [bucket.begins_at for bucket in buckets] == sorted(bucket.begins_at for bucket in buckets)
    assert ledger.outcomes_over_time(redrive, "nowhere") == ()


def test_all_that_ended_in_one_moment_is_one_span(redrive):
    moment = ago(seconds=3)
    add_operation(redrive.engine)
    for number in range(3):
        add_item(redrive.engine, f"c{number}", state="cancelled", settled_at=moment)

    bucket, = ledger.outcomes_over_time(redrive, "o1")

    assert (bucket.count, bucket.seconds) == (3, 1)


def test_titles_are_of_roadmaps_and_novels_and_not_of_what_is_gone(redrive):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")], title="Deep learning")
    add_novel(redrive.engine, "n1", title="The river")
    add_operation(redrive.engine)
    for number, owner_id in enumerate(("r1", "r1", "n1", "gone")):
        add_item(redrive.engine, f"c{number}", owner_id=owner_id)

    assert ledger.owner_titles(redrive, "o1") == {"r1": "Deep learning", "n1": "The river"}
