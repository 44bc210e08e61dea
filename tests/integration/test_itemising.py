"""A large plan is accepted at once and becomes items piece by piece; whoever acts in between meets all of it."""

import pytest
from sqlalchemy import func, select

from backend.actions import cancel, dispatcher, itemising, retry
from backend.actions.actors import Actor
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage.ops_tables import frozen_pieces, items, operations
from backend.views import operations as views
from tests.factories import add_roadmap, concept
from tests.integration.test_retry_plan import drain


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


def test_cancelling_everything_in_between_leaves_nothing_to_come(platform: Redrive, operator: Actor):
    confirmed = confirm_everything(platform, operator)

    cancel.cancel_items(platform, CancelScope.everything(), operator, CancelReason.OTHER, "wrong platform")

    assert not itemising.write_piece(platform)
    assert views.progress(platform, confirmed.operation_id).counts[ItemState.CANCELLED] == confirmed.item_count
