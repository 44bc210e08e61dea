"""The end of an operation: every key was looked at again, and is healthy or named with what is wrong with it now."""

import pytest
from sqlalchemy import text

from backend.actions import cancel, verification
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.views import operations
from tests.factories import add_novel
from tests.integration.acting import NOT_WRITTEN, Stand, add_broken

CAUSE = "Refused by the model"


@pytest.fixture
def stand(redrive, operator) -> Stand:
    return Stand(redrive, operator)


def outcome(stand: Stand) -> dict:
    return stand.operation().outcome


def test_twenty_one_retried_twenty_healthy_one_failed_again_by_its_new_cause(redrive, stand):
    keys = add_broken(redrive, {CAUSE: 21})
    stand.answer = lambda key: NOT_WRITTEN if key == keys[CAUSE][4] else None
    stand.confirm()

    stand.run()

    assert stand.operation().state == OperationState.COMPLETED
    assert (outcome(stand)["healthy"], outcome(stand)["problems"], outcome(stand)["untouched"]) == (20, {"failed": 1}, 0)
    (cause,) = outcome(stand)["causes"]
    assert (cause["words"], cause["count"]) == ("Model refused: The model refused.", 1)
    found = operations.progress(redrive, stand.operation_id)
    assert [(named.words, named.count) for named in found.outcome_causes] == [("Model refused: The model refused.", 1)]


def test_of_very_many_causes_the_number_is_told_though_not_all_are_named(redrive, stand, monkeypatch):
    keys = add_broken(redrive, {CAUSE: 5})
    monkeypatch.setattr(verification, "NAMED_CAUSES", 2)
    kinds = [ErrorKind.MODEL_REFUSED, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_TRUNCATED, ErrorKind.MODEL_CUT_STREAM, ErrorKind.UNEXPECTED]
    stand.answer = lambda key: ItemError(kinds[keys[CAUSE].index(key)], f"{kinds[keys[CAUSE].index(key)]} happened")
    stand.confirm()

    stand.run()

    found = operations.progress(redrive, stand.operation_id)
    assert (len(found.outcome_causes), found.outcome_cause_count) == (2, 5)


def test_a_chapter_that_was_written_is_healthy_and_gone_only_with_its_novel(redrive, stand):
    add_novel(redrive.engine, "n1", chapters=[{}, {"status": "failed", "content": ""}])
    add_novel(redrive.engine, "n2", chapters=[{"status": "failed", "content": ""}])
    stand.confirm()
    stand.round()
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from options where chapter_id in (select id from chapters where novel_id = 'n2')"))
        connection.execute(text("delete from chapters where novel_id = 'n2'"))
        connection.execute(text("delete from novels where id = 'n2'"))

    stand.verify()

    assert (outcome(stand)["healthy"], outcome(stand)["gone"], outcome(stand)["problems"]) == (1, 1, {})


def test_what_was_never_begun_did_not_fail_again(redrive, stand, operator):
    keys = add_broken(redrive, {CAUSE: 6})
    stand.confirm()
    cancel.cancel_items(redrive, CancelScope.of(*keys[CAUSE][:2]), operator, CancelReason.WRONG_SCOPE)

    stand.run()

    assert (outcome(stand)["healthy"], outcome(stand)["problems"], outcome(stand)["untouched"]) == (4, {}, 2)


def test_what_another_program_broke_again_is_named(redrive, stand):
    keys = add_broken(redrive, {CAUSE: 3})
    stand.confirm()
    stand.round()
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from quiz_metadata where concept_id = 'c001'"))

    stand.verify()

    assert stand.operation().state == OperationState.COMPLETED
    assert (outcome(stand)["healthy"], outcome(stand)["problems"]) == (2, {"missing": 1})
    assert len(keys[CAUSE]) == 3


def test_content_that_is_not_due_yet_is_not_called_healthy(redrive, stand, operator):
    keys = add_broken(redrive, {CAUSE: 2})
    stand.confirm()
    cancel.cancel_items(redrive, CancelScope.of(keys[CAUSE][0]), operator, CancelReason.WRONG_SCOPE)
    with redrive.engine.begin() as connection:  # the platform begins anew: nothing is expected of it for a while
        connection.execute(text("delete from tasks where task_type = 'creation'"))
        connection.execute(text(
            "update roadmap_metadata set created_at = now(), "
            "framework_data = replace(cast(framework_data as text), '\"quiz_status\": \"failed\"', '\"quiz_status\": null')::jsonb"))

    stand.run()

    assert outcome(stand)["healthy"] == 1
    assert outcome(stand)["waiting"] == 1


def test_a_deleted_roadmap_is_gone_also_for_what_was_written(redrive, stand):
    add_broken(redrive, {CAUSE: 2})
    stand.confirm()
    stand.round()
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set deleted_at = now()"))

    stand.verify()

    assert (outcome(stand)["healthy"], outcome(stand)["gone"]) == (0, 2)


def test_it_is_not_completed_before_the_detector_has_looked(redrive, stand):
    from backend.actions import dispatcher

    add_broken(redrive, {CAUSE: 2})
    stand.confirm()
    stand.round()

    dispatcher.complete_operations(redrive)
    dispatcher.complete_operations(redrive)

    assert stand.operation().state == OperationState.VERIFYING
    assert not stand.item_ids(ItemState.RUNNING)
    stand.verify()
    assert stand.operation().state == OperationState.COMPLETED


def test_secrets_in_a_cause_are_not_kept_in_the_outcome(redrive, stand):
    add_broken(redrive, {CAUSE: 4})
    leaking = ItemError(ErrorKind.MODEL_REFUSED, "No. Authorization: Bearer abcdefgh12345")
    stand.answer = lambda _key: leaking
    stand.confirm()

    stand.run()

    assert "abcdefgh12345" not in str(operations.progress(redrive, stand.operation_id).outcome_causes)
