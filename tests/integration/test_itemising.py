"""A large plan is accepted at once and becomes items piece by piece; whoever acts in between meets all of it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import func, select, text

from backend.actions import cancel, dispatcher, itemising, retry
from backend.actions.actors import Actor
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage.ops_tables import dirty, frozen_pieces, items, operations, problems
from backend.views import causes, ledger
from backend.views import operations as views
from backend.views.operation_groups import groups_of
from tests.factories import add_roadmap, add_task, concept
from tests.integration.test_retry_plan import drain
from tests.processes import wait_for


@pytest.fixture
def platform(redrive: Redrive, monkeypatch: pytest.MonkeyPatch) -> Redrive:
    """Three roadmaps of four concepts with nothing saved: 36 keys, of which four are written at once."""
    monkeypatch.setattr(itemising, "AT_ONCE_ITEMS", 4)
    for number in range(3):
        add_roadmap(redrive.engine, f"r{number}", concepts=[concept(f"c{number}{index}") for index in range(4)], saved=())
    drain(redrive)
    return redrive


def confirm_everything(redrive: Redrive, actor: Actor) -> retry.Confirmed:
    return retry.confirm(redrive, retry.plan(redrive, Scope.everything(), actor), actor)


def count(redrive: Redrive, table) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def state_of(redrive: Redrive, operation_id: str) -> OperationState:
    with redrive.engine.connect() as connection:
        return OperationState(connection.scalar(select(operations.c.state).where(operations.c.operation_id == operation_id)))


def test_a_large_plan_is_armed_until_its_last_item_is_written_and_then_runs(platform: Redrive, operator: Actor):
    confirmed = confirm_everything(platform, operator)
    before = views.progress(platform, confirmed.operation_id)
    sent_before = dispatcher.dispatch(platform).queued
    pieces = 0
    while itemising.write_piece(platform):
        pieces += 1

    assert (before.state, before.unwritten, before.total) == (OperationState.ARMED, confirmed.item_count, confirmed.item_count)
    assert sent_before == 0
    assert pieces == 3
    assert state_of(platform, confirmed.operation_id) is OperationState.RUNNING
    assert count(platform, items) == confirmed.item_count
    assert count(platform, frozen_pieces) == 0


def test_the_items_are_exactly_the_keys_of_the_plan_in_its_order(platform: Redrive, operator: Actor):
    plan = retry.plan(platform, Scope.everything(), operator)
    retry.confirm(platform, plan, operator)
    while itemising.write_piece(platform):
        pass

    with platform.engine.connect() as connection:
        stored = connection.execute(select(items.c.kind, items.c.owner_id, items.c.part).order_by(items.c.place)).all()
        tasks = connection.execute(select(items.c.owner_id, func.count(items.c.task_id.distinct())).group_by(items.c.owner_id)).all()
    assert [tuple(row) for row in stored] == [(item.key.kind, item.key.owner_id, item.key.part) for item in plan.included]
    assert {task_count for _owner_id, task_count in tasks} == {1}


def test_ledger_and_groups_tell_the_whole_plan_while_it_is_written_down(platform: Redrive, operator: Actor):
    confirmed = confirm_everything(platform, operator)
    told = []
    while True:
        ledger_counts = ledger.ledger_page(platform, confirmed.operation_id).counts
        groups = groups_of(platform, confirmed.operation_id)
        told.append((ledger_counts[ledger.Outcome.WAITING], sum(ledger_counts.values()), sum(group.total for group in groups),
                     sum(group.waiting for group in groups)))
        if not itemising.write_piece(platform):
            break

    assert told == [(confirmed.item_count,) * 4] * 4


def test_who_is_about_to_retry_the_same_cause_is_told_of_it_before_its_items_are_written(platform: Redrive, operator: Actor):
    with platform.engine.connect() as connection:
        cause_ids = list(connection.scalars(select(problems.c.cause_id).distinct()))

    confirmed = confirm_everything(platform, operator)
    before = causes.recent_retries(platform, cause_ids)
    while itemising.write_piece(platform):
        pass

    assert [(found.operation_id, found.item_count) for found in before] == [(confirmed.operation_id, confirmed.item_count)]
    assert [found.item_count for found in causes.recent_retries(platform, cause_ids)] == [confirmed.item_count]


def test_writing_items_down_makes_nobody_look_at_their_owners_again(platform: Redrive, operator: Actor):
    confirm_everything(platform, operator)
    while itemising.write_piece(platform):
        pass
    by_the_items = count(platform, dirty)

    add_task(platform.engine, roadmap_id="r0")

    assert (by_the_items, count(platform, dirty)) == (0, 1)


def test_confirming_the_same_keys_again_in_between_starts_nothing_twice(platform: Redrive, operator: Actor):
    first, second = (retry.plan(platform, Scope.everything(), operator) for _person in range(2))
    retry.confirm(platform, first, operator)
    itemising.write_piece(platform)

    with pytest.raises(retry.NothingToRetry):
        retry.confirm(platform, second, operator)


def test_the_same_request_again_tells_the_same_operation_and_its_whole_size(platform: Redrive, operator: Actor):
    plan = retry.plan(platform, Scope.everything(), operator)

    first, again = retry.confirm(platform, plan, operator), retry.confirm(platform, plan, operator)

    assert (again.operation_id, again.item_count, again.overtaken_count) == (first.operation_id, first.item_count, 0)


def test_undo_in_between_cancels_every_key(platform: Redrive, operator: Actor):
    confirmed = confirm_everything(platform, operator)
    itemising.write_piece(platform)

    cancel.undo(platform, confirmed.operation_id, operator)

    assert state_of(platform, confirmed.operation_id) is OperationState.UNDONE
    assert not itemising.write_piece(platform)
    assert views.progress(platform, confirmed.operation_id).counts[ItemState.CANCELLED] == confirmed.item_count


def test_an_undo_while_the_last_piece_is_written_waits_for_it_and_for_nothing_else(platform: Redrive, operator: Actor, monkeypatch):
    confirmed = confirm_everything(platform, operator)
    for _piece in range(2):
        itemising.write_piece(platform)
    is_taken, may_go_on, write = Event(), Event(), itemising._write

    def held(*arguments) -> None:
        is_taken.set()
        may_go_on.wait(5)
        write(*arguments)

    monkeypatch.setattr(itemising, "_write", held)
    with ThreadPoolExecutor(2) as threads:
        written = threads.submit(itemising.write_piece, platform)
        assert is_taken.wait(5)
        undone = threads.submit(cancel.undo, platform, confirmed.operation_id, operator)
        wait_for(lambda: waiting_sessions(platform) == 1, what="the undo to wait for the piece")
        may_go_on.set()

        assert written.result(10)
        with pytest.raises(cancel.Refused, match="It has begun already"):
            undone.result(10)
    assert state_of(platform, confirmed.operation_id) is OperationState.RUNNING


def waiting_sessions(redrive: Redrive) -> int:
    """How many wait for a lock that another holds."""
    with redrive.engine.connect() as connection:
        return connection.scalar(text(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))


def test_cancelling_everything_in_between_leaves_nothing_to_come(platform: Redrive, operator: Actor):
    confirmed = confirm_everything(platform, operator)

    cancel.cancel_items(platform, CancelScope.everything(), operator, CancelReason.OTHER, "wrong platform")

    assert not itemising.write_piece(platform)
    assert views.progress(platform, confirmed.operation_id).counts[ItemState.CANCELLED] == confirmed.item_count
