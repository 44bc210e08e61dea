"""Who waits for whom: a row that somebody holds must stop nothing but its own item, and nobody waits in a circle."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, cancel, dispatcher, reconciler, spills, withdrawals
from backend.actions.force_stop import force_stop
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.jobs import work_horses
from backend.redrive import Redrive
from backend.storage import leases, stopping
from backend.storage.ops_tables import audit_log, operations
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import QUIZ, begun, item_row, queued, written
from tests.processes import wait_for

QUIZ_1, QUIZ_2 = (ContentKey(ContentKind.QUIZ, owner_id, "a") for owner_id in ("r1", "r2"))


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    """One quiz is missing in each of two roadmaps; who waits for a lock in vain fails after 20 s."""
    execute(redrive, f"alter database {redrive.engine.url.database} set lock_timeout = '20s'")
    redrive.engine.dispose()
    for owner_id in ("r1", "r2"):
        add_roadmap(redrive.engine, owner_id, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    return redrive


@pytest.fixture
def impatient(broken, monkeypatch) -> Redrive:
    """Who cancels gives up early, and may stop by force at once."""
    monkeypatch.setattr(withdrawals, "LONGEST_WAIT_SECONDS", 0.3)
    return replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))


def execute(redrive: Redrive, statement: str) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text(statement))


@contextmanager
def held(redrive: Redrive, query: str) -> Iterator[None]:
    """Another program holds those rows meanwhile."""
    with redrive.engine.begin() as connection:
        connection.execute(text(f"{query} for update"))
        yield


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def waiting_for_a_lock(redrive: Redrive) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))


def test_a_save_that_waits_for_a_lock_keeps_no_other_item_from_beating(broken, operator, beside):
    first, second = queued(broken, operator, QUIZ_1, QUIZ_2)
    saving = begun(broken, first)
    begun(broken, second)
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")

    with held(broken, "select 1 from tasks where roadmap_id = 'r1'"):
        saved = beside.submit(attempts.save, broken, saving, written(QUIZ))
        wait_for(lambda: waiting_for_a_lock(broken), what="the save to wait for its task")
        with broken.engine.begin() as connection:
            leases.beat(connection, [(first, 1), (second, 1)], utc_now())
        taken_back = reconciler.take_back_lost(broken)

    assert (saved.result(), taken_back) == (True, 0)


def test_a_spilled_text_and_a_worker_that_begins_its_item_do_not_wait_for_each_other(broken, operator, beside, monkeypatch):
    monkeypatch.setattr(spills, "LONGEST_WAIT_SECONDS", 30.0)
    item_id, = queued(broken, operator, QUIZ_1)
    first = begun(broken, item_id)
    withdrawals.give_back(broken, first.item)
    spills.spill(broken, first.item, written(QUIZ))

    with held(broken, "select 1 from roadmap_metadata where roadmap_id = 'r1'"):
        begin = beside.submit(attempts.begin, broken, item_id)
        wait_for(lambda: waiting_for_a_lock(broken) == 1, what="the worker to wait for the roadmap")
        saving = beside.submit(spills.save_spilled, broken)
        wait_for(lambda: waiting_for_a_lock(broken) == 2, what="the maintenance process to wait too")

    assert isinstance(begin.result(), attempts.Attempt)  # it came first
    assert saving.result() == []
    assert broken.objects.paths("spills/")


def is_free(redrive: Redrive, query: str) -> bool:
    """Nobody holds those rows."""
    with redrive.engine.begin() as connection:
        wanted = connection.scalar(text(f"select count(*) from ({query}) found"))
        return connection.scalar(text(f"with free as ({query} for update skip locked) select count(*) from free")) == wanted > 0


def test_completing_and_cancelling_an_operation_do_not_wait_in_a_circle(broken, operator, beside, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_1)
    operation_id = item_row(broken, item_id).operation_id
    look = stopping.unsettled_items

    def slow_look(connection, scope):  # by now the cancel holds the operation, and its last item ends
        found = look(connection, scope)
        execute(broken, "update ops.items set state = 'skipped', skip_rule = 'changed', settled_at = now()")
        completing.append(beside.submit(dispatcher.complete_operations, broken))
        wait_for(lambda: waiting_for_a_lock(broken) or completing[0].done(), what="the completing to meet the cancel")
        return found

    completing = []
    monkeypatch.setattr(stopping, "unsettled_items", slow_look)

    cancel.cancel_operation(broken, operation_id, operator, CancelReason.STUCK)

    completing[0].result()
    with broken.engine.connect() as connection:
        assert connection.scalar(select(operations.c.state)) == OperationState.CANCELLED


def test_a_force_stop_that_waits_for_one_item_of_its_job_holds_no_later_one(broken, operator, beside):
    item_ids = queued(broken, operator, QUIZ_1, QUIZ_2)
    for item_id in item_ids:
        begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_2), operator, CancelReason.STUCK)
    at_once = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))

    with held(broken, f"select 1 from ops.items where item_id = {item_ids[0]}"):
        stopping_it = beside.submit(force_stop, at_once, item_ids[1:], operator, "they hang")
        wait_for(lambda: waiting_for_a_lock(broken), what="the force stop to wait")
        free = is_free(broken, f"select 1 from ops.items where item_id = {item_ids[1]}")

    assert free
    assert stopping_it.result().cancelled_count == 1
    assert [item_row(broken, item_id).state for item_id in item_ids] == [ItemState.QUEUED, ItemState.CANCELLED]


@pytest.mark.parametrize("what", ["ops.items", "tasks"])
def test_a_cancel_that_waits_in_vain_changes_nothing_and_says_what_to_do(impatient, operator, what):
    item_id, = queued(impatient, operator, QUIZ_1)

    with held(impatient, f"select 1 from {what}"), pytest.raises(cancel.Refused, match="Try again in a minute"):
        cancel.cancel_items(impatient, CancelScope.of(QUIZ_1), operator, CancelReason.STUCK)

    assert item_row(impatient, item_id).cancel_requested_at is None
    with impatient.engine.connect() as connection:
        assert "cancel" not in connection.scalars(select(audit_log.c.action)).all()


def test_a_work_horse_that_hangs_while_it_saves_is_killed_first_and_its_item_cancelled_then(impatient, operator, monkeypatch):
    item_id, = queued(impatient, operator, QUIZ_1)
    begun(impatient, item_id)
    cancel.cancel_items(impatient, CancelScope.of(QUIZ_1), operator, CancelReason.STUCK)
    saving = impatient.engine.connect()
    saving.execute(text("select 1 from ops.items for update"))
    monkeypatch.setattr(impatient.queue, "stop", lambda _job_id: saving.close() is None)  # its death lets go of the row

    assert force_stop(impatient, [item_id], operator, "it hangs").cancelled_count == 1

    assert item_row(impatient, item_id).state == ItemState.CANCELLED


def test_a_force_stop_whose_rows_another_program_holds_says_that_the_process_was_stopped(impatient, operator, monkeypatch):
    guilty, innocent = queued(impatient, operator, QUIZ_1, QUIZ_2)
    for item_id in (guilty, innocent):
        begun(impatient, item_id)
    cancel.cancel_items(impatient, CancelScope.of(QUIZ_1), operator, CancelReason.STUCK)
    monkeypatch.setattr(work_horses, "stop", lambda *_arguments: True)

    with held(impatient, f"select 1 from ops.items where item_id = {guilty}"), \
            pytest.raises(cancel.Refused, match="Its process was stopped, but another program has held its rows"):
        force_stop(impatient, [guilty], operator, "it hangs")

    row = item_row(impatient, innocent)
    assert (row.state, row.attempt - row.returned_count) == (ItemState.QUEUED, 1)
    with impatient.engine.connect() as connection:
        lines = connection.scalars(select(audit_log.c.result).where(audit_log.c.action == "force_stop")).all()
    assert lines == ["its process was stopped, its rows are held; 1 item queued again"]


def test_a_session_that_is_frozen_within_a_transaction_is_ended(broken):
    with broken.engine.connect() as connection:
        assert connection.scalar(text("show idle_in_transaction_session_timeout")) == "1min"


@pytest.mark.parametrize("status", ["processing", "failed"])
def test_a_task_that_somebody_holds_is_not_counted_as_mended_and_is_mended_later(broken, operator, status):
    item_id, = queued(broken, operator, QUIZ_1)
    attempts.save(broken, begun(broken, item_id), written(QUIZ))
    execute(broken, f"update tasks set status = '{status}' where roadmap_id = 'r1'")

    with held(broken, "select 1 from tasks where roadmap_id = 'r1'"):
        assert reconciler.mend_tasks(broken) == 0

    assert reconciler.mend_tasks(broken) == 1


@pytest.mark.parametrize("what", ["roadmap_metadata", "tasks"])
def test_rows_that_somebody_holds_keep_the_reconciler_from_no_other_item(broken, operator, what):
    first, second = queued(broken, operator, QUIZ_1, QUIZ_2)
    for item_id in (first, second):
        begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.everything(), operator, CancelReason.STUCK, "all")
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")

    with held(broken, f"select 1 from {what} where roadmap_id = 'r1'"):
        taken_back = reconciler.take_back_lost(broken)
        states = [item_row(broken, item_id).state for item_id in (first, second)]

    assert (taken_back, states) == (1, [ItemState.RUNNING, ItemState.CANCELLED])
    assert reconciler.take_back_lost(broken) == 1
