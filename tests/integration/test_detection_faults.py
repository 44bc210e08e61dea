"""Data that no drain may stumble over, errors that are out of date, and saves that commit while the detector reads."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text
from sqlalchemy.exc import OperationalError

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import Problem, ProblemKind
from backend.storage import problems as kept
from backend.storage.engine import make_engine
from backend.storage.ops_tables import items
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_novel, add_roadmap, add_task, ago, concept

QUIZ = ContentKey(ContentKind.QUIZ, "r1", "a")
BESIDE = ContentKey(ContentKind.QUIZ, "beside", "a")  # of an owner that must never suffer
READ_OF_CONCEPTS = "is_quiz_suspect"


@pytest.fixture
def beside(redrive) -> str:
    """A roadmap of somebody else, with one missing quiz."""
    return add_roadmap(redrive.engine, "beside", concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])


def execute(engine: Engine, *statements: str, **parameters: object) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), parameters)


def found(redrive) -> dict[ContentKey, Problem]:
    return {problem.key: problem for problem in counts_and_problems(redrive).problems}


def kinds(redrive) -> dict[ContentKey, ProblemKind]:
    return {key: problem.kind for key, problem in found(redrive).items()}


def add_failed_quiz(engine: Engine, reason: str = "Refused", **task: Any) -> None:
    """Roadmap r1 with one quiz that a task of the platform says has failed."""
    add_roadmap(engine, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    at = ago(days=3)
    add_task(engine, roadmap_id="r1", status="partial_failure", updated_at=at, failed_concepts={
        "a": {"reason": reason, "content_type": "quiz", "timestamp": at.isoformat()}}, **task)


def add_item(engine: Engine, state: str, settled_at, message: str | None = None, **columns: Any) -> None:
    with engine.begin() as connection:
        connection.execute(insert(items).values(
            operation_id="op", kind="quiz", owner_id="r1", part="a", problem_kind="failed", state=state, created_at=ago(days=4),
            settled_at=settled_at, error_message=message, error_kind="model_timeout" if message else None,
            **{"action": "generate", **columns}))


@pytest.mark.parametrize(("reason", "shown"), [("nul \x00 byte", "nul \ufffd byte"), ("half \ud83d pair", "half \ufffd pair")])
def test_a_reason_that_no_text_can_hold_stops_nobody(redrive, beside, reason, shown):
    add_failed_quiz(redrive.engine, reason)

    problems = found(redrive)

    assert problems.keys() == {QUIZ, BESIDE}
    assert problems[QUIZ].error_message == shown


def test_an_owner_that_cannot_be_read_is_listed_and_stops_nobody(redrive, beside):
    add_failed_quiz(redrive.engine)
    add_novel(redrive.engine, "n1")
    execute(redrive.engine, "update tasks set failed_concepts = cast(:deep as json)", deep="[" * 2000 + "]" * 2000)
    execute(redrive.engine, "update novels set created_at = 'infinity'")

    problems = found(redrive)

    framework, novel = ContentKey(ContentKind.FRAMEWORK, "r1"), ContentKey(ContentKind.CHAPTER, "n1")
    assert {key: problem.kind for key, problem in problems.items()} == {
        framework: ProblemKind.UNREADABLE, novel: ProblemKind.UNREADABLE, BESIDE: ProblemKind.MISSING}
    assert "recursion" in problems[framework].detail
    assert "timestamp too large" in problems[novel].detail


def test_an_owner_whose_problem_cannot_be_kept_is_listed_until_it_is_mended(redrive, beside):
    long_id = secrets.token_hex(9000)  # no row of an index holds it
    add_roadmap(redrive.engine, concepts=[concept(long_id, status=None)], saved=[])
    before = found(redrive)

    execute(redrive.engine, "update roadmap_metadata set framework_data = '{\"stages\": []}' where roadmap_id = 'r1'")

    framework = ContentKey(ContentKind.FRAMEWORK, "r1")
    assert {key: problem.kind for key, problem in before.items()} == {
        framework: ProblemKind.UNREADABLE, BESIDE: ProblemKind.MISSING}
    assert "index row" in before[framework].detail
    assert kinds(redrive) == {BESIDE: ProblemKind.MISSING}


def test_an_owner_that_cannot_even_be_listed_stops_nobody(redrive, beside):
    add_roadmap(redrive.engine, framework_data=None, has_cover=False)
    execute(redrive.engine, "alter table ops.problems add constraint not_r1 check (owner_id <> 'r1')")

    assert kinds(redrive) == {BESIDE: ProblemKind.MISSING}


def test_a_fault_that_is_not_of_the_data_is_raised_and_nothing_is_forgotten(redrive, beside):
    with redrive.engine.connect() as connection:
        connection.execute(text("lock table ops.problems"))
        with redrive.engine.connect() as drain:
            drain.execute(text("set local lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                kept.refresh(drain, [Owner(OwnerKind.ROADMAP, "beside")], utc_now(), redrive.limits)

    assert kinds(redrive) == {BESIDE: ProblemKind.MISSING}


def test_ten_thousand_causes_fit_in_one_batch(redrive):
    words = [f"{first}{second}{third}{fourth}" for first in "ghijklmnop" for second in "ghijklmnop" for third in "ghijklmnop"
             for fourth in "ghijklmnop"]
    add_roadmap(redrive.engine, concepts=[concept(word, status="failed") for word in words], saved=[])
    add_task(redrive.engine, roadmap_id="r1", failed_concepts={word: f"It is {word}" for word in words})

    found(redrive)

    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.causes")) == len(words) + 1  # quizzes and resources: no message


def test_an_error_from_before_the_last_success_is_not_told_of_a_row_that_got_lost(redrive):
    add_failed_quiz(redrive.engine, error_message="The model was overloaded")
    succeeded_at = ago(days=1)
    add_item(redrive.engine, "failed", ago(days=2), "Request timed out.")
    add_item(redrive.engine, "succeeded", succeeded_at)
    execute(redrive.engine, "update roadmap_metadata set framework_data = "
            "jsonb_set(framework_data, '{stages,0,modules,0,concepts,0,quiz_status}', '\"completed\"')")

    problem = found(redrive)[QUIZ]

    assert (problem.kind, problem.error_message, problem.since_at) == (ProblemKind.MISSING, "", succeeded_at)


def test_a_repair_ends_an_error_too(redrive):
    add_failed_quiz(redrive.engine)
    add_item(redrive.engine, "succeeded", ago(days=1), action="repair")

    assert found(redrive)[QUIZ].error_message == ""


@pytest.mark.parametrize(("item_days", "told"), [
    (1, ("Request timed out.", ErrorKind.MODEL_TIMEOUT)), (5, ("The model refused to answer", ErrorKind.MODEL_REFUSED))])
def test_of_the_errors_of_the_platform_and_of_redrive_the_newest_is_told(redrive, item_days, told):
    add_failed_quiz(redrive.engine, "The model refused to answer")
    add_item(redrive.engine, "failed", ago(days=item_days), "Request timed out.")

    problem = found(redrive)[QUIZ]

    assert (problem.error_message, problem.error_kind) == told


def test_of_the_errors_of_two_tasks_the_newest_is_told_whichever_began_first(redrive):
    add_failed_quiz(redrive.engine, "old")
    add_task(redrive.engine, "task-2", roadmap_id="r1", created_at=ago(days=9), failed_concepts={
        "a": {"reason": "new", "content_type": "quiz", "timestamp": ago(days=1).isoformat()}})

    assert found(redrive)[QUIZ].error_message == "new"


@contextmanager
def meanwhile(engine: Engine, statement_part: str, act: Callable[[], None]) -> Iterator[list[str]]:
    """Another process acts and commits, once, right after a statement of the detector was answered."""
    acted: list[str] = []

    def answered(_connection, _cursor, statement, *_rest) -> None:
        if statement_part in statement and not acted:
            acted.append(statement)
            act()

    event.listen(engine, "after_cursor_execute", answered)
    try:
        yield acted
    finally:
        event.remove(engine, "after_cursor_execute", answered)


@pytest.fixture
def worker(redrive, settings) -> Iterator[Engine]:
    """The engine of another process."""
    made = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    yield made
    made.dispose()


def save_quiz(worker: Engine, *statements: str) -> None:
    with worker.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.QUIZ)
        connection.execute(text("update roadmap_metadata set framework_data = "
                                "jsonb_set(framework_data, '{stages,0,modules,0,concepts,0,quiz_status}', '\"completed\"')"))
        for statement in statements:
            connection.execute(text(statement))


def test_an_item_that_is_saved_while_the_detector_reads_is_never_stale(redrive, worker):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="generating")], unsaved=[(ContentKind.QUIZ, "a")])
    add_item(redrive.engine, "running", None)
    settle = "update ops.items set state = 'succeeded', settled_at = now()"

    with meanwhile(redrive.engine, READ_OF_CONCEPTS, lambda: save_quiz(worker, settle)) as acted:
        drained = kept.drain_batch(redrive.engine, utc_now, redrive.limits)

    assert acted
    assert drained == kept.Drained(owners=1, problems=0)
    assert kinds(redrive) == {}


def test_what_a_task_of_the_platform_saves_while_the_detector_reads_is_never_stale(redrive, worker):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="generating")], unsaved=[(ContentKind.QUIZ, "a")])
    add_task(redrive.engine, roadmap_id="r1", status="processing", updated_at=utc_now())
    settle = "update tasks set status = 'completed', updated_at = now()"

    with meanwhile(redrive.engine, READ_OF_CONCEPTS, lambda: save_quiz(worker, settle)) as acted:
        drained = kept.drain_batch(redrive.engine, utc_now, redrive.limits)

    assert acted
    assert drained == kept.Drained(owners=1, problems=0)
    assert kinds(redrive) == {}


def test_a_list_that_another_process_still_works_on_says_since_when_it_is_true(redrive, beside, worker):
    with worker.connect() as maintenance:
        oldest = maintenance.scalar(text("select min(marked_at) from ops.dirty"))
        maintenance.execute(text("delete from ops.dirty"))

        held = counts_and_problems(redrive)

        maintenance.rollback()
    assert (held.as_of, held.problems) == (oldest, ())
    now = counts_and_problems(redrive)
    assert [problem.key for problem in now.problems] == [BESIDE]
    assert utc_now() - now.as_of < timedelta(seconds=30)


def test_columns_without_a_time_zone_are_read_as_utc(redrive, beside):
    add_failed_quiz(redrive.engine)
    add_task(redrive.engine, "task-2", roadmap_id="r1", status="cancelled")
    add_roadmap(redrive.engine, "uncovered", concepts=[concept("a", status="processing")], has_cover=False)
    add_novel(redrive.engine, "n1", chapters=[{}, {"status": "failed", "error_message": "Refused"}])
    add_novel(redrive.engine, "n2")
    add_item(redrive.engine, "failed", ago(days=1), "Request timed out.")
    execute(redrive.engine, "insert into roadmap_cover_images (roadmap_id, generation_status, error_message) "
            "values ('uncovered', 'failed', 'Refused')")
    aware = found(redrive)

    with redrive.engine.begin() as connection:
        columns = connection.execute(text(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'public' and data_type = 'timestamp with time zone'")).all()
        for table, column in columns:
            connection.execute(text(f"alter table {table} alter column {column} type timestamp"))
    kept.mark_all_dirty(redrive.engine)

    assert len(columns) > 10
    assert len(aware) == 8
    assert found(redrive) == aware
