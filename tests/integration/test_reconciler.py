"""What is left behind is found and mended, and each finding is written down."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import event, select, text

from backend.actions import attempts, cancel, chapters, dispatcher, reconciler, retry, spills, withdrawals
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import FindingKind, ItemState, Priority
from backend.content.stopping import CancelReason, CancelScope
from backend.jobs.queue import TAKEN_AT_MOST, queue_name, worker_name
from backend.processes import ProcessName, this_host, this_process
from backend.redrive import Redrive
from backend.storage import dispatching, items, stopping, task_records
from backend.storage.objects import Objects, StoreUnreachable
from backend.storage.ops_tables import findings
from backend.views.detection import counts_and_problems
from tests.factories import add, add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept
from tests.integration.test_attempts import CONTENT, QUIZ, begun, concept_fields, item_row, queued, task_row, written
from workers.main import ItemWorker

QUIZ_A = ContentKey(ContentKind.QUIZ, "r1", "a")


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    return redrive


def found(redrive: Redrive) -> dict[str, int]:
    with redrive.engine.connect() as connection:
        return {row.kind: row.count for row in connection.execute(select(findings))}


def execute(redrive: Redrive, *statements: str) -> None:
    with redrive.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_what_is_queued_without_a_job_is_sent_again(broken, operator):
    queued(broken, operator, QUIZ_A)
    broken.redis.flushall()
    execute(broken, "update ops.items set queued_at = now() - interval '1 hour'")

    assert reconciler.resend_lost(broken) == 1
    assert broken.queue.length(Priority.INTERACTIVE) == 1
    assert found(broken) == {FindingKind.QUEUED_WITHOUT_JOB: 1}


def test_what_is_sent_again_goes_before_what_came_later(broken, operator):
    queued(broken, operator, QUIZ_A)
    broken.redis.flushall()
    execute(broken, "update ops.items set queued_at = now() - interval '1 hour'")
    broken.queue.send(Priority.INTERACTIVE, {"later": [999], "latest": [998]})

    reconciler.resend_lost(broken)

    assert broken.queue.waiting(Priority.INTERACTIVE)[1:] == ["later", "latest"]


def test_several_jobs_that_go_to_the_front_keep_their_order(broken):
    broken.queue.send(Priority.BULK, {"later": [3]})

    broken.queue.send(Priority.BULK, {"first": [1], "second": [2]}, at_front=True)

    assert broken.queue.waiting(Priority.BULK) == ["first", "second", "later"]


def take_job(redrive: Redrive, process: ProcessName, *, is_begun: bool = True) -> str:
    """A worker of that process takes the next job, and goes no further."""
    worker = ItemWorker([queue_name(Priority.INTERACTIVE)], name=worker_name(process), connection=redrive.redis, serializer="json")
    worker.register_birth()
    job, _queue = worker.dequeue_job_and_maintain_ttl(None)
    if is_begun:
        worker.prepare_execution(job)
    return job.id


def test_a_job_that_was_taken_just_now_is_not_sent_again_and_one_that_stays_so_is(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_A)
    job_id = take_job(broken, this_process(), is_begun=False)
    execute(broken, "update ops.items set queued_at = now() - interval '1 hour'")  # it waited for its worker

    assert reconciler.resend_lost(broken) == 0
    assert item_row(broken, item_id).job_id == job_id

    later = utc_now() + TAKEN_AT_MOST
    monkeypatch.setattr("backend.jobs.queue.utc_now", lambda: later)
    assert reconciler.resend_lost(broken) == 1
    assert item_row(broken, item_id).job_id != job_id


def test_a_job_whose_worker_died_before_it_began_any_item_is_sent_again_at_once(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    job_id = item_row(broken, item_id).job_id
    take_job(broken, ProcessName(this_host(), 2147483647))
    assert reconciler.resend_lost(broken) == 0  # RQ lists it as running

    reconciler.take_back_orphans(broken)

    assert reconciler.resend_lost(broken) == 1
    assert item_row(broken, item_id).job_id != job_id
    assert item_row(broken, item_id).attempt == 1


def test_a_job_whose_worker_lives_is_left_to_it(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    job_id = take_job(broken, this_process())

    reconciler.take_back_orphans(broken)

    assert item_row(broken, item_id).job_id == job_id


def test_a_job_that_nobody_waits_for_is_dropped_and_others_stay(broken, operator):
    queued(broken, operator, QUIZ_A)
    broken.queue.send(Priority.INTERACTIVE, {"stray": [999]})

    assert reconciler.drop_jobs_without_items(broken) == 1
    assert len(broken.queue.waiting(Priority.INTERACTIVE)) == 1
    assert found(broken) == {FindingKind.JOB_WITHOUT_ITEM: 1}


def test_an_item_whose_process_is_gone_is_taken_back_before_its_lease_ends(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)
    assert reconciler.take_back_orphans(broken) == 0  # this very process lives
    execute(broken, "update ops.items set worker_pid = 2147483647")

    assert reconciler.take_back_orphans(broken) == 1
    assert (item_row(broken, item_id).state, item_row(broken, item_id).attempt) == (ItemState.QUEUED, 2)


def test_an_item_of_another_machine_is_left_to_its_lease(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)
    execute(broken, "update ops.items set worker_pid = 2147483647, worker_host = 'elsewhere/0123456789ab'")

    assert reconciler.take_back_orphans(broken) == 0


def test_content_marked_generating_for_too_long_is_marked_failed(redrive):
    impatient = replace(redrive, settings=redrive.settings.model_copy(update={"abandoned_seconds": 3600.0}))
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="generating")], unsaved=[(ContentKind.QUIZ, "a")], has_cover=False)
    add_novel(redrive.engine, chapters=[{"status": "generating", "content": "", "has_options": False}])
    with redrive.engine.begin() as connection:
        add(connection, "roadmap_cover_images", {
            "roadmap_id": "r1", "generation_status": "generating", "created_at": ago(days=2), "updated_at": ago(days=2)})
    assert counts_and_problems(redrive).counts[ProblemKind.STALE] == 3

    assert reconciler.mend_abandoned(impatient) == 3

    detected = counts_and_problems(redrive)
    assert (detected.counts[ProblemKind.STALE], detected.counts[ProblemKind.FAILED]) == (0, 3)
    assert concept_fields(redrive)["quiz_status"] == "failed"
    assert found(redrive) == {FindingKind.GENERATING_UNATTENDED: 3}


def test_what_is_stale_for_less_long_or_is_worked_on_again_stays_as_it_is(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="generating")], unsaved=[(ContentKind.QUIZ, "a")])
    counts_and_problems(redrive)
    assert reconciler.mend_abandoned(redrive) == 0  # 30 days
    impatient = replace(redrive, settings=redrive.settings.model_copy(update={"abandoned_seconds": 1.0}))
    queued(redrive, operator, QUIZ_A)

    assert reconciler.mend_abandoned(impatient) == 0
    assert concept_fields(redrive)["quiz_status"] == "generating"


def mark_generating(redrive: Redrive) -> None:
    """The platform writes back an old copy of the whole framework, with our own mark in it."""
    execute(redrive, "update roadmap_metadata set framework_data = jsonb_set(framework_data, "
                     "'{stages,0,modules,0,concepts,0,quiz_status}', '\"generating\"')")


def fail_it(redrive: Redrive, operator, item_id: int) -> None:
    attempts.fail(redrive, begun(redrive, item_id), ItemError(ErrorKind.MODEL_REFUSED, "No."))


def cancel_it(redrive: Redrive, operator, item_id: int) -> None:
    attempt = begun(redrive, item_id)
    cancel.cancel_items(redrive, CancelScope.of(attempt.item.key), operator, CancelReason.NOT_NEEDED)
    withdrawals.confirm_cancelled(redrive, attempt.item)


@pytest.mark.parametrize(("end", "before", "after"), [(fail_it, None, "failed"), (cancel_it, "failed", "failed"), (cancel_it, None, None)])
def test_our_own_mark_that_outlived_its_item_is_mended_at_once(redrive, operator, end, before, after):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status=before)], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, QUIZ_A)
    end(redrive, operator, item_id)
    mark_generating(redrive)
    assert counts_and_problems(redrive).counts[ProblemKind.STALE] == 1

    assert reconciler.mend_left_marks(redrive) == 1

    assert concept_fields(redrive)["quiz_status"] == after
    assert reconciler.mend_left_marks(redrive) == 0
    assert counts_and_problems(redrive).counts[ProblemKind.STALE] == 0


def test_a_mark_of_the_platform_itself_is_not_taken_for_ours(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="generating")], unsaved=[(ContentKind.QUIZ, "a")])
    counts_and_problems(redrive)
    assert reconciler.mend_left_marks(redrive) == 0  # nobody of ours was ever there
    item_id, = queued(redrive, operator, QUIZ_A)
    cancel_it(redrive, operator, item_id)
    counts_and_problems(redrive)
    assert reconciler.mend_left_marks(redrive) == 0  # it is as it was before
    item_id = queued(redrive, operator, QUIZ_A)[-1]
    fail_it(redrive, operator, item_id)
    mark_generating(redrive)
    add_task(redrive.engine, roadmap_id="r1", status="failed", task_type="retry_quiz", updated_at=utc_now())  # it has tried since
    counts_and_problems(redrive)

    assert reconciler.mend_left_marks(redrive) == 0
    assert concept_fields(redrive)["quiz_status"] == "generating"


def test_what_cannot_even_be_begun_leaves_no_mark_behind(redrive, operator):
    add_novel(redrive.engine, "n1", chapters=[{"status": "failed", "content": ""}])
    chapters.generate(redrive, operator, "n1", 1)
    dispatcher.dispatch(redrive)
    item_id = 1

    assert attempts.refuse(redrive, item_id, ItemError(ErrorKind.SAVE_REJECTED, "odd"))

    with redrive.engine.connect() as connection:
        assert connection.execute(text("select status, error_message from chapters")).one() == ("failed", "odd")


@pytest.mark.parametrize("kind", CONTENT)
def test_a_spilled_text_is_saved_without_asking_the_model_again(redrive, operator, kind):
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed")], saved=(), has_cover=False)
    add_novel(redrive.engine, "n1", chapters=[{"status": "failed", "content": ""}])
    own = {ContentKind.CHAPTER: ContentKey(ContentKind.CHAPTER, "n1", "1"), ContentKind.COVER: ContentKey(ContentKind.COVER, "r1")}
    key = own.get(kind, ContentKey(kind, "r1", "a"))
    item_id, = queued(redrive, operator, key)
    spills.spill(redrive, begun(redrive, item_id).item, written(CONTENT[kind]))

    assert reconciler.save_spilled(redrive) == 1

    row = item_row(redrive, item_id)
    assert (row.state, row.attempt, row.prompt_tokens) == (ItemState.SUCCEEDED, 1, 10)
    assert key not in {problem.key for problem in counts_and_problems(redrive).problems}
    assert redrive.objects.paths("spills/") == []
    assert found(redrive) == {FindingKind.TEXT_NOT_SAVED: 1}


def test_a_spilled_text_settles_an_item_that_was_taken_back_in_the_meantime(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    spills.spill(broken, begun(broken, item_id).item, written(QUIZ))
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")

    assert reconciler.take_back_lost(broken) == 0  # the text comes first

    assert item_row(broken, item_id).state == ItemState.SUCCEEDED


def test_an_item_whose_text_cannot_be_saved_now_is_not_written_again(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_A)
    spills.spill(broken, begun(broken, item_id).item, written(QUIZ))
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")
    save_spilled, holder = spills.save_spilled, broken.engine.connect()
    holder.execute(text("select 1 from roadmap_metadata for update"))

    def just_too_early(redrive):
        saved = save_spilled(redrive)
        holder.close()  # lets go of the row
        return saved

    with monkeypatch.context() as patched:
        patched.setattr(spills, "save_spilled", just_too_early)
        assert reconciler.take_back_lost(broken) == 0
    assert item_row(broken, item_id).state == ItemState.RUNNING
    assert reconciler.take_back_lost(broken) == 0
    assert (item_row(broken, item_id).state, item_row(broken, item_id).attempt) == (ItemState.SUCCEEDED, 1)


def test_a_spilled_text_of_an_item_that_another_worker_writes_again_waits(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    first = begun(broken, item_id)
    withdrawals.give_back(broken, first.item)
    second = begun(broken, item_id)
    spills.spill(broken, first.item, written(QUIZ))

    assert reconciler.save_spilled(broken) == 0
    assert attempts.save(broken, second, written(QUIZ))
    assert reconciler.save_spilled(broken) == 0

    assert broken.objects.paths("spills/") == []
    assert len(broken.objects.paths("spills-set-aside/")) == 1  # paid for, and kept


def test_a_spilled_text_is_saved_although_its_operation_was_paused_since(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    first = begun(broken, item_id)
    spills.spill(broken, first.item, written(QUIZ))
    withdrawals.give_back(broken, first.item)
    cancel.pause(broken, first.item.operation_id, operator)
    assert item_row(broken, item_id).state == ItemState.PLANNED

    assert reconciler.save_spilled(broken) == 1

    assert item_row(broken, item_id).state == ItemState.SUCCEEDED
    assert broken.objects.paths("spills/") == []


def test_a_spilled_text_waits_while_another_item_writes_its_key(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    first = begun(broken, item_id)
    spills.spill(broken, first.item, written(QUIZ))
    withdrawals.give_back(broken, first.item)
    cancel.pause(broken, first.item.operation_id, operator)
    add_operation(broken.engine)
    other_id = add_item(broken.engine, kind="quiz", part=first.item.key.part, state="running", heartbeat_at=utc_now())

    assert reconciler.save_spilled(broken) == 0
    assert (item_row(broken, item_id).state, item_row(broken, other_id).state) == (ItemState.PLANNED, ItemState.RUNNING)
    assert len(broken.objects.paths("spills/")) == 1


def test_what_is_no_spill_is_set_aside_and_stops_no_other(broken, operator):
    item_id, = queued(broken, operator, QUIZ_A)
    spills.spill(broken, begun(broken, item_id).item, written(QUIZ))
    broken.objects.put("spills/0.json", b"{")
    broken.objects.put("spills/00.json", json.dumps({"item_id": 1}).encode())

    assert reconciler.save_spilled(broken) == 1
    assert len(broken.objects.paths("spills-set-aside/")) == 2


def test_without_the_object_store_lost_items_wait_for_their_texts(broken, operator, monkeypatch):
    item_id, = queued(broken, operator, QUIZ_A)
    begun(broken, item_id)
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")

    def away(*_arguments):
        raise StoreUnreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "paths", away)
        assert reconciler.take_back_lost(broken) == 0
    assert reconciler.take_back_lost(broken) == 1
    assert item_row(broken, item_id).state == ItemState.QUEUED


def test_a_spilled_text_whose_object_store_takes_no_text_stays_spilled(redrive, operator, monkeypatch):
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed")], saved=())
    item_id, = queued(redrive, operator, ContentKey(ContentKind.TUTORIAL, "r1", "a"))
    spills.spill(redrive, begun(redrive, item_id).item, written(CONTENT[ContentKind.TUTORIAL]))

    def full(*_arguments):
        raise ItemError(ErrorKind.SAVE_STORE_GONE, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "put_text", full)
        with pytest.raises(StoreUnreachable, match="no space left"):
            reconciler.save_spilled(redrive)
    assert reconciler.save_spilled(redrive) == 1


def end_task(redrive: Redrive, status: str) -> None:
    """Another program says so; it does not even touch updated_at."""
    execute(redrive, f"update tasks set status = '{status}', completed_at = now()")


@pytest.mark.parametrize("status", ["failed", "completed", "partial_failure", "odd"])
def test_a_task_that_another_program_ended_while_its_items_run_is_processing_again_and_can_be_cancelled(broken, operator, status):
    item_id, = queued(broken, operator, QUIZ_A)
    attempt = begun(broken, item_id)
    end_task(broken, status)

    assert reconciler.mend_tasks(broken) == 1

    assert (task_row(broken).status, task_row(broken).completed_at) == ("processing", None)
    assert found(broken) == {FindingKind.TASK_DISAGREES: 1}
    assert cancel.cancel_task(broken, task_row(broken).task_id, operator, CancelReason.STUCK).cancelling_count == 1
    withdrawals.confirm_cancelled(broken, attempt.item)
    assert task_row(broken).status == "cancelled"


@pytest.mark.parametrize("status", ["failed", "cancelled", "partial_failure", "odd"])
def test_a_task_that_another_program_ended_otherwise_than_its_items_is_told_by_them(broken, operator, status):
    item_id, = queued(broken, operator, QUIZ_A)
    attempts.save(broken, begun(broken, item_id), written(QUIZ))
    assert reconciler.mend_tasks(broken) == 0  # its own end is looked at, and is true
    end_task(broken, status)

    assert reconciler.mend_tasks(broken) == 1

    assert task_row(broken).status == "completed"
    assert reconciler.mend_tasks(broken) == 0
    with broken.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.ended_tasks")) == 0


def test_tasks_of_the_platform_itself_are_not_looked_at(redrive):
    add_roadmap(redrive.engine)
    add_task(redrive.engine, roadmap_id="r1", status="processing")

    end_task(redrive, "failed")

    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.ended_tasks")) == 0


def test_what_is_unfinished_is_found_by_its_own_indexes(broken, operator):
    queued(broken, operator, QUIZ_A)
    execute(broken, "insert into tasks (task_id, user_id, status, task_type, current_step, created_at, updated_at) "
                    "select 'old' || n, 'u', 'completed', 'retry_quiz', 'x', now(), now() from generate_series(1, 5000) n",
            "insert into ops.items (operation_id, task_id, kind, owner_id, part, action, state, problem_kind, job_id, settled_at) "
            "select 'o', 'old' || n, 'quiz', 'r', 'p' || n, 'generate', 'succeeded', 'failed', 'j' || n, now() "
            "from generate_series(1, 5000) n", "analyze ops.items, public.tasks")
    asked: list[tuple[str, object]] = []

    with broken.engine.connect() as connection:
        event.listen(broken.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
        task_records.disagreeing_tasks(connection, 500)
        task_records.disagreeing_of(connection, ["old1", "old2"])
        items.jobs_with_items(connection, ["j1"])
        stopping.told_and_waiting(connection, utc_now())
        plans = [line for statement, values in tuple(asked)
                 for line in connection.exec_driver_sql(f"explain {statement}", values).scalars()]

    assert len(plans) > 3
    assert not [line for line in plans if "Seq Scan on" in line]


def test_of_what_is_planned_the_oldest_operation_goes_first_and_a_paused_one_waits(redrive, operator):
    keys = []
    for owner_id in ("r1", "r2", "r3"):
        add_roadmap(redrive.engine, owner_id, concepts=[concept(part) for part in "ab"], unsaved=[(ContentKind.QUIZ, p) for p in "ab"])
        keys.append([ContentKey(ContentKind.QUIZ, owner_id, part) for part in "ab"])
    counts_and_problems(redrive)
    oldest, *others = [retry.confirm(redrive, retry.plan(redrive, Scope.of(*found), operator), operator).operation_id for found in keys]
    cancel.pause(redrive, oldest, operator)

    with redrive.engine.begin() as connection:
        running = dispatching.lock_running(connection, Priority.INTERACTIVE, 10)
        first = [item for operation_id in running for item in dispatching.planned_items(connection, operation_id, 2)]

    assert running == others
    assert [str(item.key) for item in first] == ["quiz:r2:a", "quiz:r2:b", "quiz:r3:a", "quiz:r3:b"]
