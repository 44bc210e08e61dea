"""The ledger of an operation: every key once, with its outcome; sums, pages, exports."""

import csv
import io
import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from backend.actions import attempts, cancel, retry, triage
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.settings import Price
from backend.views import ledger, operation_list
from backend.views.detection import counts_and_problems
from backend.views.ledger import OUTCOME_OF, Outcome
from tests.factories import add_content, add_item, add_operation, add_roadmap, ago, concept
from tests.integration.acting import NOT_WRITTEN, Stand, add_broken
from tests.integration.test_attempts import QUIZ, begun, queued, written

KEYS = [ContentKey(ContentKind.QUIZ, "r1", f"c{number}") for number in range(5)]


@pytest.fixture
def settled(redrive: Redrive, operator) -> str:
    """An operation with one key of each outcome: succeeded, failed, skipped, cancelled, waiting."""
    ids = [key.part for key in KEYS]
    add_roadmap(redrive.engine, concepts=[concept(found) for found in ids], unsaved=[(ContentKind.QUIZ, found) for found in ids])
    good, bad, other, _unwanted, _waiting = queued(redrive, operator, *KEYS)
    attempts.save(redrive, begun(redrive, good), written(QUIZ))
    attempts.fail(redrive, begun(redrive, bad), ItemError(ErrorKind.MODEL_REFUSED, "=No. Authorization: Bearer abcdefgh12345"))
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", KEYS[2].part, ContentKind.QUIZ)
    attempts.begin(redrive, other)
    cancel.cancel_items(redrive, CancelScope.of(KEYS[3]), operator, CancelReason.WRONG_SCOPE)
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select operation_id from ops.operations"))


def test_every_outcome_is_there_once_with_its_reason(redrive, settled):
    rows = ledger.ledger_page(redrive, settled).rows

    assert [row.outcome for row in rows] == [
        Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.WAITING]
    assert (rows[0].tries, rows[0].tokens, rows[0].problem_now) == (1, 30, None)
    assert rows[0].seconds >= 0
    assert (rows[1].reason, rows[1].problem_now) == ("=No. Authorization: ***", ProblemKind.FAILED)
    assert rows[2].reason == "Not broken any more."
    assert rows[3].reason == "Wrong items (test operator)"


BEGUN = {"started_at": ago(minutes=2)}


@pytest.mark.parametrize(("state", "columns", "tries"), [
    ("planned", {}, 0), ("queued", {}, 0), ("queued", {"attempt": 2}, 1), ("queued", {"attempt": 2, "returned_count": 1}, 0),
    ("running", BEGUN, 1), ("running", {**BEGUN, "attempt": 2}, 2), ("succeeded", BEGUN, 1),
    ("failed", {**BEGUN, "attempt": 3, "returned_count": 1}, 2), ("failed", {}, 0), ("skipped", {"skip_rule": "not_broken"}, 0),
    ("skipped", {**BEGUN, "skip_rule": "not_broken"}, 0), ("skipped", {"skip_rule": "same_cause"}, 0),
    ("skipped", {"skip_rule": "same_cause", "attempt": 2}, 1), ("cancelled", {}, 0), ("cancelled", BEGUN, 1)])
def test_a_try_is_what_was_begun_and_not_given_back_unused(redrive, state, columns, tries):
    add_operation(redrive.engine)
    add_item(redrive.engine, state=state, **columns)

    assert [row.tries for row in ledger.ledger_rows(redrive, "o1")] == [tries]


def test_the_numbers_add_up_to_the_scope_whatever_is_filtered(redrive, settled):
    page = ledger.ledger_page(redrive, settled, outcomes=[Outcome.FAILED])

    assert [row.key for row in page.rows] == [KEYS[1]]
    assert sum(page.counts.values()) == len(KEYS)
    assert [row.key for row in ledger.ledger_page(redrive, settled, words=" C3 ").rows] == [KEYS[3]]
    assert ledger.ledger_page(redrive, settled, words="nothing like it").rows == ()


def test_pages_follow_each_other_without_gap_or_repeat(redrive, settled):
    first = ledger.ledger_page(redrive, settled, limit=2)
    second = ledger.ledger_page(redrive, settled, limit=2, after=first.next_item_id)
    third = ledger.ledger_page(redrive, settled, limit=2, after=second.next_item_id)

    assert [row.key for page in (first, second, third) for row in page.rows] == KEYS
    assert third.next_item_id is None


def test_csv_and_json_hold_every_key_and_no_formula(redrive, settled):
    table = list(csv.DictReader(io.StringIO(ledger.as_csv(ledger.ledger_rows(redrive, settled)))))
    document = json.loads(ledger.as_json(ledger.ledger_rows(redrive, settled)))

    assert [row["part"] for row in table] == [row["part"] for row in document] == [key.part for key in KEYS]
    assert table[1]["reason"].startswith("'=")
    assert document[1]["problem_now"] == "failed"


def test_a_failure_is_told_with_the_cause_that_it_belongs_to_now(redrive, settled, operator):
    failed = ledger.ledger_page(redrive, settled, outcomes=[Outcome.FAILED]).rows[0]
    assert failed.cause.startswith("Model refused: ")
    with redrive.engine.begin() as connection:
        connection.execute(text("insert into ops.causes (cause_id, error_kind, origin, title, sample) "
                                "values ('other', 'model_timeout', 'model', 'Too late', '')"))

    triage.merge(redrive, failed.cause_id, "other", operator)

    told = list(csv.DictReader(io.StringIO(ledger.as_csv(ledger.ledger_rows(redrive, settled)))))
    assert [(row["cause_id"], row["cause"]) for row in told] == [("", ""), ("other", "Model timed out: Too late"), *[("", "")] * 3]


def test_an_unknown_operation_has_an_empty_ledger(redrive):
    page = ledger.ledger_page(redrive, "nowhere")

    assert (page.rows, sum(page.counts.values()), page.next_item_id) == ((), 0, None)
    assert ledger.groups(redrive, "nowhere") == ()


def test_what_failed_again_is_found_by_key_and_by_cause(redrive, settled):
    assert ledger.failed_keys(redrive, settled) == (KEYS[1],)
    group, = ledger.groups(redrive, settled)
    assert (group.count, group.healthy_now) == (1, 0)
    assert "Bearer abc" not in group.cause


def test_what_cannot_be_read_or_is_at_work_again_is_not_called_healthy(redrive, settled, operator):
    def told() -> tuple[ProblemKind | None, int]:
        counts_and_problems(redrive)
        group, = ledger.groups(redrive, settled)
        return ledger.ledger_page(redrive, settled).rows[1].problem_now, group.healthy_now

    with redrive.engine.begin() as connection:
        kept = connection.scalar(text("select framework_data from roadmap_metadata"))
        connection.execute(text("update roadmap_metadata set framework_data = '[]'"))
    unreadable = told()
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set framework_data = :kept"), {"kept": json.dumps(kept)})
    *_waiting, again = queued(redrive, operator, KEYS[1])
    at_work = told()
    attempts.save(redrive, begun(redrive, again), written(QUIZ))
    written_again = told()

    assert unreadable == (ProblemKind.UNREADABLE, 0)
    assert at_work == (None, 0)
    assert written_again == (None, 1)


def test_operations_are_listed_newest_first_and_narrowed(redrive, settled, operator):
    retry.confirm(redrive, retry.plan(redrive, Scope.of(KEYS[3]), operator), operator, "second look")
    every = operation_list.operation_rows(redrive)

    assert [row.reason for row in every] == ["second look", ""]
    assert operation_list.operation_rows(redrive, words="SECOND") == every[:1]
    assert operation_list.operation_rows(redrive, states=[OperationState.COMPLETED]) == ()
    assert operation_list.operation_rows(redrive, before=every[0].created_at) == every[1:]


def test_each_state_of_an_item_has_its_outcome():
    assert set(OUTCOME_OF) == set(ItemState)
    assert set(OUTCOME_OF.values()) | {Outcome.NOT_STARTED, Outcome.LEFT_OUT} == set(Outcome)


def test_what_the_plan_left_out_is_in_the_ledger_with_its_rule(redrive, operator, settled):
    """Also what somebody else had begun between the plan and its confirmation."""
    plan = retry.plan(redrive, Scope.of(*KEYS), operator)
    retry.confirm(redrive, retry.plan(redrive, Scope.of(KEYS[3]), operator), operator)

    operation_id = retry.confirm(redrive, plan, operator).operation_id

    page = ledger.ledger_page(redrive, operation_id)
    assert {row.key: (row.outcome, row.reason) for row in page.rows} == {
        KEYS[1]: (Outcome.WAITING, ""),
        **dict.fromkeys([KEYS[3], KEYS[4]], (Outcome.LEFT_OUT, "Already being worked on.")),
        **dict.fromkeys([KEYS[0], KEYS[2]], (Outcome.LEFT_OUT, "Not broken any more."))}
    assert page.counts[Outcome.LEFT_OUT] == 4
    assert {row.tries for row in page.rows} == {0}
    assert [row.key for row in ledger.ledger_page(redrive, operation_id, outcomes=[Outcome.LEFT_OUT], limit=2).rows] == [KEYS[0], KEYS[2]]


def test_what_waits_says_why_and_what_was_not_started_names_the_cause(redrive, operator):
    causes = add_broken(redrive, {"Refused by the model": 5, "Pool exhausted": 5})
    stand = Stand(redrive, operator, answer=lambda key: NOT_WRITTEN if key in causes["Refused by the model"] else None)
    operation_id = stand.confirm(Scope.everything())
    before = ledger.ledger_page(redrive, operation_id).rows
    cancel.pause(redrive, operation_id, operator)
    paused = ledger.ledger_page(redrive, operation_id).rows
    cancel.resume(redrive, operation_id, operator)
    stand.run()
    after = ledger.ledger_page(redrive, operation_id)

    assert [row.reason for row in before].count("Not started: the first items of its group go ahead.") == 4
    assert {row.reason for row in paused} == {"Not started: the operation is paused."}
    stopped = [row for row in after.rows if row.outcome is Outcome.NOT_STARTED]
    assert len(stopped) == after.counts[Outcome.NOT_STARTED] == 2
    assert {row.reason for row in stopped} == {
        "Not started: the first items of its group failed. The first 3 items failed: Model refused: The model refused."}
    assert sum(after.counts.values()) == 10


def test_tokens_and_cost_are_told_for_each_key(redrive, operator):
    priced = replace(redrive, settings=redrive.settings.model_copy(update={"prices": {"test-model": Price(1, 2)}}))
    add_broken(redrive, {"Refused by the model": 1})
    stand = Stand(priced, operator)
    operation_id = stand.confirm()
    stand.run()

    (row,) = ledger.ledger_page(redrive, operation_id).rows

    assert (row.tokens, row.cost) == (30, pytest.approx(50e-6))
