"""Whatever people, workers and other programs do in whatever order: every state is a true one, and of two that collide one wins.

REDRIVE_PROPERTY_SEED and REDRIVE_PROPERTY_EXAMPLES look further than CI does.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from sqlalchemy import select, text

from backend.actions import attempts, cancel, dispatcher, reconciler, retry, withdrawals
from backend.actions.actors import Actor
from backend.actions.attempts import Attempt
from backend.actions.force_stop import force_stop
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState, TaskStatus
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage.ops_tables import items, operations
from backend.storage.platform_tables import tasks
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_roadmap, concept
from tests.integration.test_attempts import CONTENT, written
from tests.integration.test_detector_property import examples

CONCEPTS = ("a", "b", "c")
KINDS = (ContentKind.TUTORIAL, ContentKind.QUIZ)
KEYS = [ContentKey(kind, "r1", part) for kind in KINDS for part in CONCEPTS]
REASON = CancelReason.NOT_NEEDED
# The arrows of status.py, as one may see them between two looks: several arrows may lie between.
ENDS = {ItemState.SUCCEEDED, ItemState.FAILED, ItemState.CANCELLED, ItemState.SKIPPED}
ACTIONS = ("retry", "begin", "save", "fail", "confirm", "give_back", "lose", "orphan", "cancel_keys", "cancel_operation", "cancel_task",
           "pause", "resume", "force_stop", "foreign_save", "foreign_end", "mend")
pytestmark = pytest.mark.timeout(600)


@dataclass
class Stage:
    """A platform with six broken keys, what every worker thinks it holds, and what each item was seen as."""

    redrive: Redrive
    actor: Actor
    held: list[Attempt] = field(default_factory=list)  # late ones stay: a worker may wake at any time
    saves: list[int] = field(default_factory=list)     # item ids that a save was answered True for
    seen: dict[int, tuple[ItemState, int]] = field(default_factory=dict)

    def do(self, action: str, pick: Callable[[list], object]) -> None:
        with suppress(cancel.Refused, cancel.NotFound, retry.NothingToRetry):
            getattr(self, f"_{action}")(pick)

    def rows(self, query) -> list:
        with self.redrive.engine.connect() as connection:
            return connection.execute(query).all()

    def _retry(self, pick) -> None:
        counts_and_problems(self.redrive)
        keys = pick([KEYS, KEYS[:2], KEYS[2:], KEYS[1:2]])
        retry.confirm(self.redrive, retry.plan(self.redrive, Scope.of(*keys), self.actor), self.actor)
        dispatcher.dispatch(self.redrive)

    def _begin(self, pick) -> None:
        queued = self.rows(select(items.c.item_id).where(items.c.state == ItemState.QUEUED).order_by(items.c.item_id))
        if queued:
            begun = attempts.begin(self.redrive, pick(queued).item_id)
            if isinstance(begun, Attempt):
                self.held.append(begun)

    def _save(self, pick) -> None:
        if self.held:
            attempt = pick(self.held)
            if attempts.save(self.redrive, attempt, written(CONTENT[attempt.item.key.kind])):
                self.saves.append(attempt.item.item_id)

    def _fail(self, pick) -> None:
        if self.held:
            attempts.fail(self.redrive, pick(self.held), ItemError(ErrorKind.MODEL_REFUSED, "no"))

    def _confirm(self, pick) -> None:
        if self.held:  # a worker confirms only what it was told to stop
            told = [attempt for attempt in self.held if self._row(attempt).cancel_requested_at is not None]
            if told:
                withdrawals.confirm_cancelled(self.redrive, pick(told).item)

    def _row(self, attempt: Attempt):
        return self.rows(select(items).where(items.c.item_id == attempt.item.item_id))[0]

    def _give_back(self, pick) -> None:
        if self.held:
            withdrawals.give_back(self.redrive, pick(self.held).item)

    def _lose(self, _pick) -> None:
        with self.redrive.engine.begin() as connection:
            connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour' where state = 'running'"))
        reconciler.take_back_lost(self.redrive)

    def _orphan(self, _pick) -> None:
        with self.redrive.engine.begin() as connection:  # a pid that no process can have
            connection.execute(text("update ops.items set worker_pid = 2147483647 where state = 'running'"))
        reconciler.take_back_orphans(self.redrive)

    def _cancel_keys(self, pick) -> None:
        cancel.cancel_items(self.redrive, CancelScope.of(*pick([KEYS, KEYS[:1], KEYS[3:]])), self.actor, REASON)

    def _operation(self, pick) -> str:
        found = self.rows(select(operations.c.operation_id).order_by(operations.c.created_at))
        return pick(found).operation_id if found else "nowhere"

    def _cancel_operation(self, pick) -> None:
        cancel.cancel_operation(self.redrive, self._operation(pick), self.actor, REASON)

    def _cancel_task(self, pick) -> None:
        found = self.rows(select(tasks.c.task_id).order_by(tasks.c.created_at, tasks.c.task_id))
        cancel.cancel_task(self.redrive, pick(found).task_id if found else "nowhere", self.actor, REASON)

    def _pause(self, pick) -> None:
        cancel.pause(self.redrive, self._operation(pick), self.actor)

    def _resume(self, pick) -> None:
        cancel.resume(self.redrive, self._operation(pick), self.actor)
        dispatcher.dispatch(self.redrive)

    def _force_stop(self, pick) -> None:
        told = self.rows(select(items.c.item_id).where(items.c.cancel_requested_at.is_not(None)).order_by(items.c.item_id))
        if told:
            impatient = replace(self.redrive, settings=self.redrive.settings.model_copy(update={"force_stop_seconds": 0.0}))
            force_stop(impatient, [pick(told).item_id], self.actor, "it hangs")

    def _foreign_save(self, pick) -> None:
        key = pick(KEYS)
        row_id = {ContentKind.TUTORIAL: "tutorial_id", ContentKind.QUIZ: "quiz_id"}[key.kind]
        with self.redrive.engine.begin() as connection, suppress(Exception), connection.begin_nested():
            add_content(connection, "r1", key.part, key.kind, **{row_id: f"foreign-{key.part}"})

    def _foreign_end(self, pick) -> None:
        with self.redrive.engine.begin() as connection:
            connection.execute(text("update tasks set status = :status"), {"status": pick(["cancelled", "failed", "completed"])})

    def _mend(self, _pick) -> None:
        reconciler.mend_tasks(self.redrive)
        reconciler.drop_jobs_without_items(self.redrive)
        dispatcher.complete_operations(self.redrive)

    def check(self) -> None:
        """What is true after every step."""
        for row in self.rows(select(items)):
            state, before = ItemState(row.state), self.seen.get(row.item_id)
            if before and before[0] in ENDS:
                assert (state, row.attempt) == before, f"item {row.item_id} was {before} and has moved"
            assert not before or row.attempt >= before[1]
            assert (row.settled_at is not None) == (state in ENDS)
            assert row.returned_count < row.attempt
            self.seen[row.item_id] = (state, row.attempt)
        succeeded = {item_id for item_id, (state, _attempt) in self.seen.items() if state is ItemState.SUCCEEDED}
        assert set(self.saves) <= succeeded
        assert len(self.saves) == len(set(self.saves)), "one item was saved twice"

    def settle(self) -> None:
        """Everybody stops: what is left is given back, resumed, cancelled."""
        for row in self.rows(select(operations.c.operation_id).where(operations.c.state == OperationState.PAUSED)):
            cancel.resume(self.redrive, row.operation_id, self.actor)
        with suppress(cancel.Refused):
            cancel.cancel_items(self.redrive, CancelScope.everything(), self.actor, REASON, "the end")
        self._lose(None)
        self._mend(None)
        counts_and_problems(self.redrive)
        dispatcher.complete_operations(self.redrive)
        dispatcher.complete_operations(self.redrive)

    def check_end(self) -> None:
        self.check()
        assert {state for state, _attempt in self.seen.values()} <= ENDS
        for row in self.rows(select(operations)):
            assert row.state in (OperationState.COMPLETED, OperationState.CANCELLED)
        for task in self.rows(select(tasks)):
            states = {ItemState(row.state) for row in self.rows(select(items.c.state).where(items.c.task_id == task.task_id))}
            assert task.status in may_be(states)
            assert bool(task.failed_concepts) == (ItemState.FAILED in states)
        declared = self.rows(text("select jsonb_path_query(framework_data, '$.**.*') ->> 0 as word from roadmap_metadata"))
        assert "generating" not in {row.word for row in declared}


def may_be(states: set[ItemState]) -> set[TaskStatus]:
    """Of a task whose items ended so."""
    is_any_saved = ItemState.SUCCEEDED in states
    if ItemState.FAILED in states:
        found = {TaskStatus.PARTIAL_FAILURE if is_any_saved else TaskStatus.FAILED}
    else:
        found = {TaskStatus.COMPLETED if is_any_saved or ItemState.CANCELLED not in states else TaskStatus.CANCELLED}
    return found | ({TaskStatus.CANCELLED} if ItemState.CANCELLED in states else set())


def clear(redrive: Redrive) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text("truncate tasks, roadmap_metadata, tutorial_metadata, quiz_metadata, resource_recommendation_metadata, "
                                "roadmap_cover_images, ops.items, ops.operations, ops.problems, ops.dirty, ops.rechecks, ops.audit_log"))
    redrive.redis.flushdb()


def broken_platform(redrive: Redrive) -> None:
    declared = dict(zip(CONCEPTS, ("failed", "completed", None), strict=True))
    concepts = [concept(part, content_status=status, quiz_status=status) for part, status in declared.items()]
    add_roadmap(redrive.engine, concepts=concepts, unsaved=[(key.kind, key.part) for key in KEYS])


@examples
@given(data=st.data())
def test_no_order_of_events_leads_to_a_wrong_state(redrive, operator, data):
    clear(redrive)
    broken_platform(redrive)
    stage = Stage(redrive, operator)
    stage.do("retry", lambda choices: choices[0])
    for step in range(data.draw(st.integers(3, 14))):
        action = data.draw(st.sampled_from(ACTIONS))
        note(f"{step}: {action}")
        stage.do(action, lambda choices: data.draw(st.sampled_from(choices)))
        stage.check()
    stage.settle()
    stage.check_end()


def cancel_it(stage: Stage) -> None:
    cancel.cancel_items(stage.redrive, CancelScope.of(KEYS[0]), stage.actor, REASON)


def save_it(stage: Stage) -> None:
    stage._save(lambda held: held[0])


def confirm_it(stage: Stage) -> None:
    stage._confirm(lambda held: held[0])


def fail_it(stage: Stage) -> None:
    stage._fail(lambda held: held[0])


def retry_it(stage: Stage) -> None:
    stage._retry(lambda choices: KEYS[:1])


def lose_it(stage: Stage) -> None:
    stage._lose(None)


def pause_it(stage: Stage) -> None:
    stage._pause(lambda found: found[0])


def dispatch_it(stage: Stage) -> None:
    dispatcher.dispatch(stage.redrive)


def stop_it(stage: Stage) -> None:
    with suppress(cancel.Refused):
        cancel_it(stage)
    stage._force_stop(lambda found: found[0])


def cancel_its_operation(stage: Stage) -> None:
    stage._cancel_operation(lambda found: found[0])


def complete_it(stage: Stage) -> None:
    dispatcher.complete_operations(stage.redrive)


COLLISIONS = [(cancel_it, cancel_it), (cancel_it, save_it), (cancel_it, fail_it), (cancel_it, retry_it), (cancel_it, lose_it),
              (save_it, lose_it), (pause_it, cancel_it), (confirm_it, save_it), (pause_it, dispatch_it), (save_it, save_it),
              (stop_it, cancel_its_operation), (stop_it, save_it), (cancel_its_operation, complete_it)]


@pytest.mark.parametrize(("one", "other"), COLLISIONS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("is_running", [True, False])
def test_of_two_that_collide_one_wins(redrive, operator, one, other, is_running):
    """Eight times at the same moment, with a worker that holds the item and without."""
    for _round in range(8):
        clear(redrive)
        broken_platform(redrive)
        stage = Stage(redrive, operator)
        stage.do("retry", lambda choices: KEYS[:1])
        if is_running:
            stage.do("begin", lambda queued: queued[0])
        errors = _at_once(partial(one, stage), partial(other, stage))
        stage.check()
        stage.settle()
        stage.check_end()
        assert not errors, errors
        outcomes = [state for state, _attempt in stage.seen.values()]
        assert outcomes.count(ItemState.SUCCEEDED) == len(stage.saves)


def _at_once(*acts: Callable[[], None]) -> list[BaseException]:
    """Run them at the same moment; returns what was raised and is no refusal."""
    barrier, errors = threading.Barrier(len(acts)), []

    def run(act: Callable[[], None]) -> None:
        barrier.wait()
        try:
            act()
        except (cancel.Refused, cancel.NotFound, retry.NothingToRetry):
            pass
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return errors
