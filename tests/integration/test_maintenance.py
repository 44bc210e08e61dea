"""What one turn of the maintenance process does."""

import pytest
from sqlalchemy import func, select

from backend.actions import dispatcher, retry
from backend.actions.actors import Actor
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.redrive import Redrive
from backend.storage.ops_tables import heartbeats, items
from tests.factories import add_roadmap, concept
from tests.integration.test_retry_plan import drain
from workers import maintenance


def queued_count(redrive: Redrive) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(items).where(items.c.state == ItemState.QUEUED))


@pytest.fixture
def bulk(redrive: Redrive, operator: Actor, monkeypatch: pytest.MonkeyPatch) -> Redrive:
    """Twelve planned items, of which a round of the dispatcher takes two."""
    monkeypatch.setattr(dispatcher, "TAKEN_ITEMS", 2)
    monkeypatch.setattr(maintenance, "DISPATCH_SECONDS", 60.0)
    add_roadmap(redrive.engine, "r", concepts=[concept(f"c{number}") for number in range(4)], saved=())
    drain(redrive)
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
    return redrive


def dispatch_turn(redrive: Redrive) -> bool:
    duty = next(found for found in maintenance.duties(redrive) if found.name == "dispatch")
    return duty.do(redrive)


def test_a_turn_sends_a_bulk_in_as_many_rounds_as_it_takes(bulk: Redrive):
    more_waits = dispatch_turn(bulk)

    assert not more_waits
    assert queued_count(bulk) == 12


def test_a_turn_ends_when_its_time_is_over_and_says_that_more_waits(bulk: Redrive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maintenance, "DISPATCH_SECONDS", -1.0)

    more_waits = dispatch_turn(bulk)

    assert more_waits
    assert queued_count(bulk) == 2


def test_every_duty_does_its_work_without_a_fault(bulk: Redrive):
    due = maintenance.duties(bulk)

    done = {duty.name: duty.do(bulk) for duty in due if duty.name != "regroup"}  # that one is done beside, in a thread of its own

    assert set(done.values()) == {False, True}  # what was queued has marked its roadmap dirty: the drain had something to do
    assert queued_count(bulk) == 12
    with bulk.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(heartbeats)) == 1
