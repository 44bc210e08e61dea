"""Cancelling, pausing and stopping by force: what waits, what runs, what has ended, and who may do it."""

from dataclasses import replace

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, cancel, dispatcher, reconciler, retry, withdrawals
from backend.actions.actors import Actor, NotAllowed, ReasonNeeded, Role
from backend.actions.force_stop import force_stop
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState, Priority
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage import audit, task_records
from backend.storage.ops_tables import audit_log, items, operations
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, add_task, ago, concept
from tests.integration.test_attempts import QUIZ, begun, concept_fields, item_row, queued, task_row, written

QUIZ_A, QUIZ_B = (ContentKey(ContentKind.QUIZ, "r1", part) for part in "ab")
REASON = CancelReason.NOT_NEEDED
SOMEBODY = Actor("somebody else", Role.OPERATOR)


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    """Two quizzes are missing; one is marked failed, the other completed."""
    concepts = [concept("a", quiz_status="failed"), concept("b")]
    add_roadmap(redrive.engine, concepts=concepts, unsaved=[(ContentKind.QUIZ, part) for part in "ab"])
    return redrive


def state_of(redrive: Redrive, item_id: int) -> str:
    return item_row(redrive, item_id).state


def operation(redrive: Redrive):
    with redrive.engine.connect() as connection:
        return connection.execute(select(operations)).one()


def audited(redrive: Redrive) -> list[tuple[str, str, str]]:
    with redrive.engine.connect() as connection:
        return [(row.action, row.reason, row.result) for row in connection.execute(select(audit_log).order_by(audit_log.c.audit_id))]


def problem_kinds(redrive: Redrive) -> dict[str, ProblemKind]:
    return {found.key.part: found.kind for found in counts_and_problems(redrive).problems}


def test_what_waits_is_cancelled_at_once_and_its_content_is_what_it_was(broken, operator):
    item_ids = queued(broken, operator, QUIZ_A, QUIZ_B)

    done = cancel.cancel_items(broken, CancelScope.of(QUIZ_A, QUIZ_B), operator, REASON, "wrong roadmap")

    assert (done.cancelled_count, done.cancelling_count) == (2, 0)
    assert {state_of(broken, item_id) for item_id in item_ids} == {ItemState.CANCELLED}
    assert problem_kinds(broken) == {"a": ProblemKind.FAILED, "b": ProblemKind.MISSING}
    assert (task_row(broken).status, task_row(broken).failed_concepts) == ("cancelled", None)
    assert item_row(broken, item_ids[0]).cancelled_by == operator.actor_id
    assert audited(broken)[-1] == ("cancel", "Not needed any more: wrong roadmap", "2 items cancelled, 0 items told to stop")


def test_what_runs_is_told_to_stop_and_its_worker_puts_the_status_back(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    assert concept_fields(broken)["quiz_status"] == "generating"

    done = cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    told = item_row(broken, item_id)
    confirmed = withdrawals.confirm_cancelled(broken, attempt.item)

    assert (done.cancelled_count, done.cancelling_count, confirmed) == (0, 1, True)
    assert (told.state, told.cancel_requested_at is not None) == (ItemState.RUNNING, True)
    assert state_of(broken, item_id) == ItemState.CANCELLED
    assert concept_fields(broken)["quiz_status"] == "failed"


def test_a_text_that_was_finished_first_wins_over_the_cancel(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)

    assert attempts.save(broken, attempt, written(QUIZ))
    assert not withdrawals.confirm_cancelled(broken, attempt.item)
    assert state_of(broken, item_id) == ItemState.SUCCEEDED


def test_an_item_that_was_begun_before_and_waits_again_leaves_no_mark(broken, operator):
    item_id, = queued(broken, operator, QUIZ_B)
    withdrawals.give_back(broken, begun(broken, item_id).item)
    assert concept_fields(broken)["quiz_status"] == "failed"  # of concept a; b is marked generating

    done = cancel.cancel_items(broken, CancelScope.of(QUIZ_B), operator, REASON)

    assert done.cancelled_count == 1
    assert problem_kinds(broken)["b"] == ProblemKind.MISSING


def test_a_lost_worker_of_a_cancelled_item_ends_it_as_cancelled(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    with broken.engine.begin() as connection:
        connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour'"))

    reconciler.take_back_lost(broken)

    assert state_of(broken, item_id) == ItemState.CANCELLED
    assert concept_fields(broken)["quiz_status"] == "failed"


def test_a_cancelled_key_can_be_retried_and_starts_clean(broken, operator):
    queued(broken, operator, QUIZ_A)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)

    again = queued(broken, operator, QUIZ_A)[-1]

    assert (item_row(broken, again).attempt, item_row(broken, again).cancel_requested_at) == (1, None)
    assert attempts.save(broken, begun(broken, again), written(QUIZ))
    assert "a" not in problem_kinds(broken)


def test_cancelling_twice_is_refused_in_words(broken, operator):
    queued(broken, operator, QUIZ_A)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)

    with pytest.raises(cancel.Refused, match="has ended, or has been told to stop"):
        cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)


def test_cancelling_everything_needs_words(broken, operator):
    queued(broken, operator, QUIZ_A, QUIZ_B)

    with pytest.raises(ReasonNeeded, match="Say why"):
        cancel.cancel_items(broken, CancelScope.everything(), operator, REASON, " ")
    done = cancel.cancel_items(broken, CancelScope.everything(), operator, REASON, "wrong platform")

    assert done.cancelled_count == 2


def test_what_others_started_needs_the_role(broken, operator):
    queued(broken, operator, QUIZ_A)
    task_id, operation_id = task_row(broken).task_id, operation(broken).operation_id

    for act in (lambda: cancel.cancel_items(broken, CancelScope.of(QUIZ_A), SOMEBODY, REASON),
                lambda: cancel.cancel_task(broken, task_id, SOMEBODY, REASON),
                lambda: cancel.cancel_operation(broken, operation_id, SOMEBODY, REASON),
                lambda: cancel.pause(broken, operation_id, SOMEBODY)):
        with pytest.raises(NotAllowed, match="needs the role admin"):
            act()

    assert operation(broken).state == OperationState.RUNNING


def test_an_operator_may_cancel_what_they_started(broken):
    queued(broken, SOMEBODY, QUIZ_A)

    assert cancel.cancel_task(broken, task_row(broken).task_id, SOMEBODY, REASON).cancelled_count == 1


def test_an_unknown_task_is_not_found(broken, operator):
    with pytest.raises(cancel.NotFound, match="no task nowhere"):
        cancel.cancel_task(broken, "nowhere", operator, REASON)


@pytest.mark.parametrize(("status", "word"), [
    ("completed", "completed"), ("failed", "failed"), ("partial_failure", "partly failed"), ("cancelled", "cancelled"), ("odd", "odd")])
def test_a_task_that_has_ended_is_refused_by_the_name_of_its_state(redrive, operator, status, word):
    add_roadmap(redrive.engine)
    add_task(redrive.engine, roadmap_id="r1", status=status)

    with pytest.raises(cancel.Refused, match=f"This task is {word}"):
        cancel.cancel_task(redrive, "task-1", operator, REASON)


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_task_of_the_platform_itself_is_cancelled(redrive, operator, status):
    add_roadmap(redrive.engine, concepts=[concept("a", status=None)], saved=())
    add_task(redrive.engine, roadmap_id="r1", status=status, updated_at=ago(minutes=1))

    cancel.cancel_task(redrive, "task-1", operator, CancelReason.STUCK)

    assert counts_and_problems(redrive).counts[ProblemKind.CANCELLED] == 3


def test_a_task_with_something_done_ends_as_cancelled_and_keeps_what_is_done(broken, operator):
    first, second = queued(broken, operator, QUIZ_A, QUIZ_B)
    attempts.save(broken, begun(broken, first), written(QUIZ))
    attempt = begun(broken, second)

    cancel.cancel_task(broken, task_row(broken).task_id, operator, REASON)
    assert task_row(broken).status == "processing"
    withdrawals.confirm_cancelled(broken, attempt.item)

    assert (task_row(broken).status, task_row(broken).execution_summary["completed"]) == ("cancelled", 1)


def test_a_cancelled_task_whose_items_were_all_done_before_they_could_stop_ends_as_completed(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    cancel.cancel_task(broken, task_row(broken).task_id, operator, REASON)

    assert attempts.save(broken, attempt, written(QUIZ))

    task = task_row(broken)
    assert (task.status, task.current_step, task.execution_summary["completed"]) == ("completed", "completed", 1)


def test_a_cancelled_operation_queues_nothing_more(broken, operator):
    counts_and_problems(broken)
    retry.confirm(broken, retry.plan(broken, Scope.of(QUIZ_A, QUIZ_B), operator), operator)

    cancel.cancel_operation(broken, operation(broken).operation_id, operator, REASON)

    assert dispatcher.dispatch(broken).queued == 0
    assert (operation(broken).state, operation(broken).state_by) == (OperationState.CANCELLED, operator.actor_id)
    with pytest.raises(cancel.Refused, match="is cancelled"):
        cancel.cancel_operation(broken, operation(broken).operation_id, operator, REASON)


def test_a_pause_lets_finish_what_runs_and_keeps_the_rest_until_it_is_resumed(broken, operator):
    first, second = queued(broken, operator, QUIZ_A, QUIZ_B)
    attempt, operation_id = begun(broken, first), operation(broken).operation_id

    cancel.pause(broken, operation_id, operator, "lunch")
    refused = attempts.begin(broken, second)
    saved = attempts.save(broken, attempt, written(QUIZ))
    assert (dispatcher.dispatch(broken).queued, reconciler.resend_lost(broken)) == (0, 0)
    cancel.resume(broken, operation_id, operator)

    assert (refused[0], saved) == (attempts.NotBegun.TAKEN, True)
    assert dispatcher.dispatch(broken).queued == 1
    assert attempts.save(broken, begun(broken, second), written(QUIZ))
    assert problem_kinds(broken) == {}


def test_an_item_that_comes_back_into_a_paused_operation_waits(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    cancel.pause(broken, operation(broken).operation_id, operator)
    withdrawals.give_back(broken, attempt.item)

    assert reconciler.resend_lost(broken) == 0
    cancel.resume(broken, operation(broken).operation_id, operator)

    assert reconciler.resend_lost(broken) == 1


@pytest.mark.parametrize("state", [state for state in OperationState if state is not OperationState.RUNNING])
def test_an_old_job_begins_no_item_of_an_operation_that_does_not_run(broken, operator, state):
    item_id, = queued(broken, operator, QUIZ_A)
    with broken.engine.begin() as connection:
        connection.execute(text("update ops.operations set state = :state"), {"state": state})

    assert attempts.begin(broken, item_id)[0] is attempts.NotBegun.TAKEN

    assert state_of(broken, item_id) == ItemState.QUEUED
    assert concept_fields(broken)["quiz_status"] == "failed"


@pytest.mark.parametrize("act", [cancel.pause, cancel.resume])
def test_only_what_runs_is_paused_and_only_what_is_paused_goes_on(broken, operator, act):
    queued(broken, operator, QUIZ_A)
    operation_id = operation(broken).operation_id
    if act is cancel.pause:
        cancel.pause(broken, operation_id, operator)

    with pytest.raises(cancel.Refused, match="This operation is"):
        act(broken, operation_id, operator)
    with pytest.raises(cancel.NotFound):
        act(broken, "nowhere", operator)


def test_force_stop_waits_for_the_grace_period(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)

    with pytest.raises(cancel.Refused, match="told to stop for 10 s"):
        force_stop(broken, [item_id], operator, "it hangs")
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    with pytest.raises(cancel.Refused, match="told to stop for 10 s"):
        force_stop(broken, [item_id], operator, "it hangs")


@pytest.mark.parametrize("reason", ["", "  "])
def test_force_stop_needs_words(broken, operator, reason):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    impatient = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))

    with pytest.raises(ReasonNeeded, match="by force"):
        force_stop(impatient, [item_id], operator, reason)

    assert state_of(broken, item_id) == ItemState.RUNNING


def test_force_stop_cancels_the_one_and_gives_the_innocent_back_without_a_lost_try(broken, operator):
    guilty, innocent = queued(broken, operator, QUIZ_A, QUIZ_B)
    late = [begun(broken, guilty), begun(broken, innocent)]
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    impatient = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))

    done = force_stop(impatient, [guilty], operator, "it hangs")

    row = item_row(broken, innocent)
    assert done.cancelled_count == 1
    assert state_of(broken, guilty) == ItemState.CANCELLED
    assert (row.state, row.attempt, row.returned_count, row.job_id) == (ItemState.QUEUED, 2, 1, None)
    assert [attempts.save(broken, attempt, written(QUIZ)) for attempt in late] == [False, False]
    assert audited(broken)[-1] == ("force_stop", "it hangs", "1 item of the same job queued again")


def test_items_that_were_given_back_do_not_count_as_tries(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    for _round in range(5):
        assert withdrawals.give_back(broken, begun(broken, item_id).item)
    attempts.fail(broken, begun(broken, item_id), ItemError(ErrorKind.MODEL_REFUSED, "no"))

    plan = retry.plan(broken, Scope.of(QUIZ_A), operator)

    assert [item.key for item in plan.included] == [QUIZ_A]


def test_jobs_of_cancelled_items_are_dropped_from_redis(broken, operator):
    queued(broken, operator, QUIZ_A, QUIZ_B)
    assert broken.queue.length(Priority.INTERACTIVE) == 1
    cancel.cancel_items(broken, CancelScope.everything(), operator, REASON, "all wrong")

    assert reconciler.drop_jobs_without_items(broken) == 1
    assert broken.queue.length(Priority.INTERACTIVE) == 0


def test_a_task_that_the_platform_cancelled_takes_its_items_with_it(broken, operator):
    first, second = queued(broken, operator, QUIZ_A, QUIZ_B)
    begun(broken, second)
    with broken.engine.begin() as connection:
        connection.execute(text("update tasks set status = 'cancelled'"))

    assert reconciler.mend_tasks(broken) == 1
    assert state_of(broken, first) == ItemState.CANCELLED
    assert item_row(broken, second).cancel_requested_at is not None
    assert reconciler.mend_tasks(broken) == 0


def test_a_task_whose_items_are_all_settled_is_settled(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempts.save(broken, begun(broken, item_id), written(QUIZ))
    with broken.engine.begin() as connection:
        connection.execute(text("update tasks set status = 'processing', completed_at = null"))

    assert reconciler.mend_tasks(broken) == 1
    assert task_row(broken).status == "completed"


def test_poison_is_left_out_until_an_admin_gives_a_reason(broken, operator):
    with broken.engine.begin() as connection:
        connection.execute(items.insert().values(
            operation_id="o", kind="quiz", owner_id="r1", part="a", action="generate", state="failed", problem_kind="failed",
            attempt=5, settled_at=ago(hours=1)))
    counts_and_problems(broken)
    assert retry.plan(broken, Scope.of(QUIZ_A), operator).poison_count == 1
    with pytest.raises(NotAllowed):
        retry.plan(broken, Scope.of(QUIZ_A), SOMEBODY, overrides_limits=True)

    plan = retry.plan(broken, Scope.of(QUIZ_A), operator, overrides_limits=True)

    with pytest.raises(retry.ReasonNeeded):
        retry.confirm(broken, plan, operator)
    assert retry.confirm(broken, plan, operator, "the model was exchanged").item_count == 1
    assert audited(broken)[-1][:2] == ("retry_over_limit", "the model was exchanged")


def test_begin_and_cancel_again_and_again_is_poison_too(broken, operator):
    for _try in range(broken.settings.maximum_attempts_per_day):
        attempt = begun(broken, queued(broken, operator, QUIZ_A)[-1])
        cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
        withdrawals.confirm_cancelled(broken, attempt.item)
        queued(broken, operator, QUIZ_B)
        cancel.cancel_items(broken, CancelScope.of(QUIZ_B), operator, REASON)  # never begun

    counts_and_problems(broken)
    plan = retry.plan(broken, Scope.of(QUIZ_A, QUIZ_B), operator)

    assert [item.key for item in plan.included] == [QUIZ_B]
    assert plan.poison_count == 1


def armed(redrive: Redrive, seconds: float) -> Redrive:
    return replace(redrive, settings=redrive.settings.model_copy(update={"armed_seconds": seconds}))


def test_a_small_retry_waits_armed_and_undoing_it_sends_nothing(broken, operator):
    counts_and_problems(broken)
    patient = armed(broken, 60)
    retry.confirm(patient, retry.plan(patient, Scope.of(QUIZ_A, QUIZ_B), operator), operator)
    assert (operation(broken).state, dispatcher.start_armed(broken), dispatcher.dispatch(broken).queued) == (OperationState.ARMED, 0, 0)

    done = cancel.undo(broken, operation(broken).operation_id, operator)

    assert (done.cancelled_count, operation(broken).state, task_row(broken).status) == (2, OperationState.UNDONE, "cancelled")
    assert problem_kinds(broken) == {"a": ProblemKind.FAILED, "b": ProblemKind.MISSING}
    assert dispatcher.dispatch(broken).queued == 0
    with pytest.raises(cancel.Refused, match="has begun already"):
        cancel.undo(broken, operation(broken).operation_id, operator)


def test_an_armed_retry_begins_by_itself_and_cannot_be_undone_then(broken, operator):
    counts_and_problems(broken)
    patient = armed(broken, 0.001)
    retry.confirm(patient, retry.plan(patient, Scope.of(QUIZ_A), operator), operator)

    assert dispatcher.start_armed(broken) == 1
    assert dispatcher.dispatch(broken).queued == 1
    with pytest.raises(cancel.Refused, match="has begun already"):
        cancel.undo(broken, operation(broken).operation_id, operator)


def test_a_large_retry_is_not_armed(broken, operator):
    counts_and_problems(broken)
    strict = replace(broken, settings=broken.settings.model_copy(update={"armed_seconds": 60.0, "interactive_items": 1}))

    retry.confirm(strict, retry.plan(strict, Scope.of(QUIZ_A, QUIZ_B), operator), operator)

    assert operation(broken).state == OperationState.RUNNING


@pytest.mark.parametrize("what", ["items", "task", "operation", "undo"])
@pytest.mark.parametrize("where", ["record_progress_of_many", "record"])
def test_a_cancel_whose_process_dies_has_changed_nothing(broken, operator, monkeypatch, what, where):
    item_ids = queued(broken, operator, QUIZ_A, QUIZ_B)
    if what == "undo":
        with broken.engine.begin() as connection:
            connection.execute(text("update ops.operations set state = 'armed'"))
    else:
        begun(broken, item_ids[1])
    operation_id, task_id = operation(broken).operation_id, task_row(broken).task_id
    act = {"items": lambda: cancel.cancel_items(broken, CancelScope.of(QUIZ_A, QUIZ_B), operator, REASON),
           "task": lambda: cancel.cancel_task(broken, task_id, operator, REASON),
           "operation": lambda: cancel.cancel_operation(broken, operation_id, operator, REASON),
           "undo": lambda: cancel.undo(broken, operation_id, operator)}[what]
    before = [item_row(broken, item_id) for item_id in item_ids], task_row(broken), operation(broken), audited(broken)

    def killed(*_arguments, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr({"record_progress_of_many": task_records, "record": audit}[where], where, killed)
        with pytest.raises(KeyboardInterrupt):
            act()

    assert ([item_row(broken, item_id) for item_id in item_ids], task_row(broken), operation(broken), audited(broken)) == before
    act()
    assert all(item_row(broken, item_id).cancelled_by == operator.actor_id for item_id in item_ids)


def test_a_mark_that_a_cancel_did_not_get_to_put_back_is_put_back_by_the_reconciler(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_A)
    withdrawals.give_back(broken, begun(broken, item_id).item)

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # the web process dies after the commit
        patched.setattr(withdrawals, "put_back", killed)
        with pytest.raises(KeyboardInterrupt):
            cancel.cancel_operation(broken, operation(broken).operation_id, operator, REASON)
    assert state_of(broken, item_id) == ItemState.QUEUED
    assert attempts.begin(broken, item_id)[0] is attempts.NotBegun.TAKEN  # it is told to stop already
    assert reconciler.finish_cancels(broken) == 0  # it may be going on
    with broken.engine.begin() as connection:
        connection.execute(text("update ops.items set cancel_requested_at = now() - interval '1 minute'"))

    assert reconciler.finish_cancels(broken) == 1

    row = item_row(broken, item_id)
    assert (row.state, row.cancelled_by, row.cancel_reason) == (ItemState.CANCELLED, operator.actor_id, "Not needed any more")
    assert concept_fields(broken)["quiz_status"] == "failed"
    assert task_row(broken).status == "cancelled"
    assert reconciler.finish_cancels(broken) == 0


@pytest.mark.parametrize("state", [OperationState.CANCELLED, OperationState.STOPPED])
def test_an_item_that_is_left_in_an_ended_operation_is_cancelled_for_who_ended_it(broken, operator, state):
    item_id, = queued(broken, operator, QUIZ_A)
    with broken.engine.begin() as connection:
        connection.execute(text("update ops.operations set state = :state, state_by = 'somebody', state_reason = 'too dear', "
                                "settled_at = now() - interval '1 minute'"), {"state": state})

    assert reconciler.finish_cancels(broken) == 1

    row = item_row(broken, item_id)
    assert (row.state, row.cancelled_by, row.cancel_reason) == (ItemState.CANCELLED, "somebody", "too dear")


def test_the_audit_log_tells_operation_and_task_of_each_cancel(broken, operator):
    queued(broken, operator, QUIZ_A, QUIZ_B)
    operation_id, task_id = operation(broken).operation_id, task_row(broken).task_id

    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    cancel.cancel_task(broken, task_id, operator, REASON)

    with broken.engine.connect() as connection:
        lines = connection.execute(select(audit_log).where(audit_log.c.action == "cancel").order_by(audit_log.c.audit_id)).all()
    assert [(line.operation_id, line.task_id) for line in lines] == [(operation_id, task_id)] * 2
    assert [line.result for line in lines] == ["1 item cancelled, 0 items told to stop"] * 2


def test_an_operation_whose_last_item_ends_while_it_is_paused_is_completed(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    cancel.pause(broken, operation(broken).operation_id, operator)
    attempts.save(broken, attempt, written(QUIZ))

    dispatcher.complete_operations(broken)
    counts_and_problems(broken)
    dispatcher.complete_operations(broken)

    assert operation(broken).state == OperationState.COMPLETED


def test_force_stop_counts_all_that_died_with_the_work_horse(broken, operator):
    item_ids = queued(broken, operator, QUIZ_A, QUIZ_B)
    for item_id in item_ids:
        begun(broken, item_id)
    cancel.cancel_items(broken, CancelScope.everything(), operator, REASON, "wrong")
    impatient = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))

    assert force_stop(impatient, item_ids, operator, "they hang").cancelled_count == 2
    assert [action for action, *_rest in audited(broken)].count("force_stop") == 1


@pytest.mark.parametrize("is_aimed_at_both", [False, True])
def test_a_force_stop_of_what_has_just_ended_hits_no_innocent(broken, operator, monkeypatch, is_aimed_at_both):
    tutorial_a = ContentKey(ContentKind.TUTORIAL, "r1", "a")
    with broken.engine.begin() as connection:
        connection.execute(text("delete from tutorial_metadata where concept_id = 'a'"))
    held = {item_id: begun(broken, item_id) for item_id in queued(broken, operator, QUIZ_A, QUIZ_B, tutorial_a)}
    by_key = {attempt.item.key: item_id for item_id, attempt in held.items()}
    ended, told, innocent = by_key[QUIZ_A], by_key[QUIZ_B], by_key[tutorial_a]
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A, QUIZ_B), operator, REASON)
    impatient = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))
    keep_told, killed = withdrawals.keep_told, []

    def late(redrive, connection, item):  # between the look and the lock
        if state_of(broken, ended) == ItemState.RUNNING:
            attempts.save(broken, held[ended], written(QUIZ))
        keep_told(redrive, connection, item)

    monkeypatch.setattr(withdrawals, "keep_told", late)
    monkeypatch.setattr(broken.queue, "stop", lambda job_id: bool(killed.append(job_id)))
    if is_aimed_at_both:
        assert force_stop(impatient, [ended, told], operator, "it hangs").cancelled_count == 1
    else:
        with pytest.raises(cancel.Refused, match="has ended in the meantime"):
            force_stop(impatient, [ended], operator, "it hangs")

    row = item_row(broken, innocent)
    assert row.attempt - row.returned_count == 1
    assert state_of(broken, ended) == ItemState.SUCCEEDED
    if is_aimed_at_both:
        assert (state_of(broken, told), row.state, len(killed)) == (ItemState.CANCELLED, ItemState.QUEUED, 1)
    else:
        assert (state_of(broken, told), row.state, killed) == (ItemState.RUNNING, ItemState.RUNNING, [])
        assert "force_stop" not in {action for action, *_rest in audited(broken)}


def test_a_force_stop_that_reaches_no_process_says_so(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)  # in this very process, which is no work-horse
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    broken.redis.flushall()
    impatient = replace(broken, settings=broken.settings.model_copy(update={"force_stop_seconds": 0.0}))

    done = force_stop(impatient, [item_id], operator, "it hangs")

    assert (done.cancelled_count, done.is_complete) == (1, False)


def test_a_cancel_that_came_too_late_is_refused(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    cancel_all = withdrawals.cancel_all

    def late(*arguments, **named):  # between the look and the change
        attempts.save(broken, attempt, written(QUIZ))
        return cancel_all(*arguments, **named)

    monkeypatch.setattr(withdrawals, "cancel_all", late)

    with pytest.raises(cancel.Refused, match="has ended"):
        cancel.cancel_items(broken, CancelScope.of(QUIZ_A), operator, REASON)
    assert audited(broken)[-1][0] == "retry"
