"""The rule itself, row by row of the table in DESIGN section 4, without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest

from backend.content.detector import detect, judge_owner
from backend.content.errors import ErrorKind
from backend.content.facts import KeyFacts, Limits, OwnerFacts, RecordedError, Saved, TaskFacts
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import KeyState, Problem, ProblemKind, Verdict

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = Limits(grace_seconds=900, silence_seconds=300)
TUTORIAL = ContentKey(ContentKind.TUTORIAL, "r1", "a")
QUIZ = ContentKey(ContentKind.QUIZ, "r1", "a")
ANY_STATUS = [None, "pending", "generating", "processing", "completed", "failed", "a word nobody knows"]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def make_key(
    saved: Saved = Saved.NONE, declared: str | None = None, *, key: ContentKey = TUTORIAL, age_seconds: float = 86_400,
    error: RecordedError | None = None, **fields: object,
) -> KeyFacts:
    """A tutorial that has been due for a day."""
    return KeyFacts(key, saved, declared, ago(age_seconds), error=error, **fields)


def make_task(status: str, task_type: str | None = "creation", *, age_seconds: float = 86_400, **fields: object) -> TaskFacts:
    return TaskFacts(task_type, status, fields.pop("concept_id", None), fields.pop("content_type", None), ago(age_seconds), **fields)


def make_facts(*keys: KeyFacts, tasks: Sequence[TaskFacts] = (), live: Sequence[ContentKey] = (), **fields: object) -> OwnerFacts:
    return OwnerFacts(
        Owner(OwnerKind.ROADMAP, "r1"), "Roadmap", keys, ago(86_400), tuple(tasks), live_keys=frozenset(live), **fields)


def verdict_of(facts: OwnerFacts, now: datetime = NOW) -> Verdict:
    (verdict,) = judge_owner(facts, now, LIMITS)
    return verdict


def problem_of(facts: OwnerFacts, now: datetime = NOW) -> Problem | None:
    return verdict_of(facts, now).problem


def kind_of(facts: OwnerFacts, now: datetime = NOW) -> ProblemKind | None:
    problem = problem_of(facts, now)
    return problem.kind if problem else None


@pytest.mark.parametrize("saved", Saved)
@pytest.mark.parametrize("declared", ANY_STATUS)
def test_what_an_item_works_on_is_in_progress_whatever_is_saved_or_declared(saved, declared):
    facts = make_facts(make_key(saved, declared), live=[TUTORIAL])

    verdict = verdict_of(facts)

    assert verdict == Verdict(TUTORIAL, KeyState.IN_PROGRESS)


@pytest.mark.parametrize("saved", [Saved.NONE, Saved.BROKEN, Saved.FAILED])
@pytest.mark.parametrize("declared", ANY_STATUS)
@pytest.mark.parametrize("status", ["pending", "processing"])
def test_what_a_living_platform_task_works_on_is_in_progress_until_its_silence_is_over(saved, declared, status):
    facts = make_facts(make_key(saved, declared), tasks=[make_task(status, age_seconds=299)])

    verdict = verdict_of(facts)

    assert verdict == Verdict(TUTORIAL, KeyState.IN_PROGRESS, look_again_at=ago(299) + timedelta(seconds=300))


def test_saved_and_declared_completed_is_healthy():
    assert verdict_of(make_facts(make_key(Saved.VALID, "completed"))) == Verdict(TUTORIAL, KeyState.HEALTHY)


@pytest.mark.parametrize("declared", [status for status in ANY_STATUS if status != "completed"])
def test_saved_but_declared_anything_else_is_drifted(declared):
    problem = problem_of(make_facts(make_key(Saved.VALID, declared)))

    assert (problem.kind, problem.declared) == (ProblemKind.DRIFTED, declared)


@pytest.mark.parametrize("saved", [Saved.NONE, Saved.FAILED])
def test_declared_failed_without_a_good_row_is_failed(saved):
    assert kind_of(make_facts(make_key(saved, "failed"))) is ProblemKind.FAILED


@pytest.mark.parametrize("declared", ANY_STATUS)
def test_a_row_that_says_failed_is_failed(declared):
    assert kind_of(make_facts(make_key(Saved.FAILED, declared))) is ProblemKind.FAILED


def test_declared_completed_without_a_row_is_missing_at_once():
    assert kind_of(make_facts(make_key(Saved.NONE, "completed", age_seconds=0))) is ProblemKind.MISSING


@pytest.mark.parametrize("declared", [None, "pending", "a word nobody knows"])
def test_without_a_row_it_is_waiting_during_the_grace_period_and_missing_from_its_end_on(declared):
    young, due = make_facts(make_key(Saved.NONE, declared, age_seconds=899)), make_facts(make_key(Saved.NONE, declared, age_seconds=900))

    verdicts = verdict_of(young), verdict_of(due)

    assert verdicts[0] == Verdict(TUTORIAL, KeyState.WAITING, look_again_at=NOW + timedelta(seconds=1))
    assert verdicts[1].problem.kind is ProblemKind.MISSING


@pytest.mark.parametrize("declared", ["generating", "processing"])
def test_marked_as_being_written_it_is_in_progress_during_the_silence_and_stale_from_its_end_on(declared):
    young, due = make_facts(make_key(Saved.NONE, declared, age_seconds=299)), make_facts(make_key(Saved.NONE, declared, age_seconds=300))

    verdicts = verdict_of(young), verdict_of(due)

    assert verdicts[0] == Verdict(TUTORIAL, KeyState.IN_PROGRESS, look_again_at=NOW + timedelta(seconds=1))
    assert verdicts[1].problem.kind is ProblemKind.STALE


@pytest.mark.parametrize("declared", ANY_STATUS)
def test_a_row_that_is_empty_or_broken_is_invalid_and_says_what_is_broken(declared):
    problem = problem_of(make_facts(make_key(Saved.BROKEN, declared, fault="no questions")))

    assert (problem.kind, problem.detail, problem.error_kind) == (ProblemKind.INVALID, "no questions", ErrorKind.CONTENT_EMPTY)


@pytest.mark.parametrize("declared", ANY_STATUS)
@pytest.mark.parametrize("task_type", ["creation", None])
def test_without_a_row_after_a_cancelled_creation_it_is_cancelled(declared, task_type):
    facts = make_facts(make_key(Saved.NONE, declared, age_seconds=0), tasks=[make_task("cancelled", task_type)])

    assert kind_of(facts) is ProblemKind.CANCELLED


@pytest.mark.parametrize(("saved", "kind"), [
    (Saved.VALID, ProblemKind.DRIFTED), (Saved.BROKEN, ProblemKind.INVALID), (Saved.FAILED, ProblemKind.FAILED)])
def test_a_cancelled_creation_excuses_no_row_that_is_there(saved, kind):
    assert kind_of(make_facts(make_key(saved, None), tasks=[make_task("cancelled")])) is kind


@pytest.mark.parametrize("task_type", ["retry_tutorial", "retry_batch", "cover"])
def test_a_cancelled_task_that_is_no_creation_makes_nothing_cancelled(task_type):
    assert kind_of(make_facts(make_key(Saved.NONE), tasks=[make_task("cancelled", task_type)])) is ProblemKind.MISSING


@pytest.mark.parametrize("status", ["completed", "failed", "partial_failure"])
def test_a_later_task_that_was_not_cancelled_makes_it_missing_again(status):
    facts = make_facts(make_key(), tasks=[make_task("cancelled", age_seconds=500), make_task(status, "retry_batch", age_seconds=400)])

    assert kind_of(facts) is ProblemKind.MISSING


def test_a_later_task_for_another_concept_leaves_it_cancelled():
    later = make_task("failed", "retry_tutorial", age_seconds=400, concept_id="another")

    assert kind_of(make_facts(make_key(), tasks=[make_task("cancelled", age_seconds=500), later])) is ProblemKind.CANCELLED


@pytest.mark.parametrize(("tried_seconds_ago", "kind"), [(400, ProblemKind.MISSING), (600, ProblemKind.CANCELLED)])
def test_an_item_of_redrive_counts_when_it_came_after_the_cancelling(tried_seconds_ago, kind):
    facts = make_facts(make_key(), tasks=[make_task("cancelled", age_seconds=500)], retried_at={TUTORIAL: ago(tried_seconds_ago)})

    assert kind_of(facts) is kind


def test_an_unreadable_framework_is_a_problem_of_its_own_beside_those_of_the_concepts_that_can_be_read():
    facts = make_facts(make_key(Saved.FAILED, "failed"), framework_faults=("$.stages[1]: an object was expected", "$.stages[2]: odd"))

    problems = detect(facts, NOW, LIMITS)

    assert [(problem.key, problem.kind) for problem in problems] == [
        (TUTORIAL, ProblemKind.FAILED), (ContentKey(ContentKind.FRAMEWORK, "r1"), ProblemKind.UNREADABLE)]
    assert problems[1].detail == "$.stages[1]: an object was expected (+1)"


def test_a_platform_task_is_alive_no_longer_when_its_silence_is_exactly_over():
    assert kind_of(make_facts(make_key(), tasks=[make_task("processing", age_seconds=300)])) is ProblemKind.MISSING


def test_of_two_platform_tasks_the_one_that_showed_life_last_counts():
    facts = make_facts(make_key(), tasks=[make_task("processing", age_seconds=100), make_task("pending", age_seconds=400)])

    assert verdict_of(facts) == Verdict(TUTORIAL, KeyState.IN_PROGRESS, look_again_at=NOW + timedelta(seconds=200))


@pytest.mark.parametrize(("task_type", "fields", "is_covered"), [
    ("creation", {}, True), (None, {}, True), ("retry_tutorial", {}, True), ("retry_tutorial", {"concept_id": "a"}, True),
    ("retry_tutorial", {"concept_id": "b"}, False), ("retry_quiz", {}, False), ("retry_batch", {}, True),
    ("retry_batch", {"content_type": "tutorial"}, True), ("retry_batch", {"content_type": "quiz"}, False),
    ("cover", {}, False), ("chapter", {}, False)])
def test_a_task_is_life_only_for_what_it_works_on(task_type, fields, is_covered):
    facts = make_facts(make_key(), tasks=[make_task("processing", task_type, age_seconds=1, **fields)])

    assert kind_of(facts) is (None if is_covered else ProblemKind.MISSING)


@pytest.mark.parametrize(("kind", "task_type", "is_covered"), [
    (ContentKind.COVER, "cover", True), (ContentKind.COVER, "creation", True), (ContentKind.COVER, "retry_batch", False),
    (ContentKind.CHAPTER, "chapter", True), (ContentKind.CHAPTER, "creation", True), (ContentKind.CHAPTER, "cover", False)])
def test_covers_and_chapters_have_tasks_of_their_own(kind, task_type, is_covered):
    facts = make_facts(make_key(key=ContentKey(kind, "r1", "")), tasks=[make_task("processing", task_type, age_seconds=1)])

    assert kind_of(facts) is (None if is_covered else ProblemKind.MISSING)


def test_each_key_has_at_most_one_problem():
    keys = [make_key(saved, declared, key=ContentKey(ContentKind.QUIZ, "r1", f"{saved}-{declared}"))
            for saved in Saved for declared in ANY_STATUS]

    problems = detect(make_facts(*keys, tasks=[make_task("cancelled")], framework_faults=("$: odd",)), NOW, LIMITS)

    assert len({problem.key for problem in problems}) == len(problems)


@pytest.mark.parametrize("judge_all", [detect, judge_owner])
def test_a_time_without_a_zone_is_refused(judge_all):
    with pytest.raises(ValueError, match="time zone"):
        judge_all(make_facts(make_key()), NOW.replace(tzinfo=None), LIMITS)


def test_a_time_in_another_zone_is_the_same_time():
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))

    assert verdict_of(make_facts(make_key(age_seconds=899)), elsewhere) == verdict_of(make_facts(make_key(age_seconds=899)))


def test_the_error_of_the_key_itself_is_kept_before_that_of_its_task():
    own = RecordedError("duplicate key value violates unique constraint", ago(700), ErrorKind.SAVE_DUPLICATE_KEY)
    task = make_task("failed", age_seconds=600, error_message="Request timed out.")

    problem = problem_of(make_facts(make_key(Saved.NONE, "failed", error=own), tasks=[task]))

    assert (problem.error_message, problem.error_kind, problem.since_at) == (own.message, ErrorKind.SAVE_DUPLICATE_KEY, ago(700))


def test_without_an_error_of_its_own_the_last_task_that_worked_on_it_tells_one():
    tasks = [make_task("failed", age_seconds=800, error_message="Connection error."),
             make_task("failed", age_seconds=600, error_message="Request timed out."),
             make_task("failed", "retry_quiz", age_seconds=500, error_message="of another key")]

    problem = problem_of(make_facts(make_key(Saved.NONE, "failed"), tasks=tasks))

    assert (problem.error_message, problem.error_kind, problem.since_at) == ("Request timed out.", ErrorKind.MODEL_TIMEOUT, ago(600))


@pytest.mark.parametrize("saved", [Saved.NONE, Saved.BROKEN])
def test_what_was_cancelled_or_is_broken_in_itself_borrows_no_error(saved):
    cancelled = make_task("cancelled", error_message="Request timed out.")

    problem = problem_of(make_facts(make_key(saved), tasks=[cancelled]))

    assert problem.error_message == ""


def test_a_problem_without_any_record_is_as_old_as_its_expectation():
    assert problem_of(make_facts(make_key(age_seconds=5000))).since_at == ago(5000)


def test_problems_come_in_the_order_of_the_facts():
    facts = make_facts(make_key(key=QUIZ), make_key(Saved.FAILED, "failed"), make_key(Saved.VALID, "completed", key=ContentKey(
        ContentKind.RESOURCES, "r1", "a")))

    assert [problem.key for problem in detect(facts, NOW, LIMITS)] == [QUIZ, TUTORIAL]


def test_a_framework_that_a_living_creation_still_writes_is_in_progress_and_unreadable_once_it_is_silent():
    creation = TaskFacts("creation", "processing", None, None, NOW)
    facts = OwnerFacts(Owner(OwnerKind.ROADMAP, "r1"), "R", (), NOW, (creation,), framework_faults=("$: nothing is there",))

    writing, = judge_owner(facts, NOW, LIMITS)
    silent = detect(facts, NOW + timedelta(seconds=LIMITS.silence_seconds), LIMITS)

    assert (writing.state, writing.look_again_at) == (KeyState.IN_PROGRESS, NOW + timedelta(seconds=LIMITS.silence_seconds))
    assert [problem.kind for problem in silent] == [ProblemKind.UNREADABLE]
