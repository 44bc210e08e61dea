"""People read words for every member of every enum, and never a stored value."""

import pytest

from backend.content import rule_wording, wording
from backend.content.errors import ErrorKind
from backend.content.hints import HINTS
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule, InclusionRule
from backend.content.problems import KeyState, ProblemKind
from backend.content.retry_rules import RunVerdict
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import BreakerState, FindingKind, ItemState, OperationState, TaskStatus, TaskType
from backend.content.stopping import CancelReason
from backend.content.triage import CauseEventKind, CauseState

MAPS = [
    (wording.CONTENT_KINDS, ContentKind), (wording.PROBLEM_KINDS, ProblemKind), (wording.PROBLEM_MEANINGS, ProblemKind),
    (wording.KEY_STATES, KeyState), (wording.ITEM_STATES, ItemState), (wording.OPERATION_STATES, OperationState),
    (wording.EXCLUSION_RULES, ExclusionRule),
    (wording.SKIPPED, ExclusionRule), (wording.INCLUSION_RULES, InclusionRule), (wording.ERROR_KINDS, ErrorKind),
    (wording.TASK_STATUSES, TaskStatus),
    (wording.TASK_TYPES, TaskType), (wording.CANCEL_REASONS, CancelReason), (wording.BREAKER_STATES, BreakerState),
    (wording.FINDING_KINDS, FindingKind), (wording.CAUSE_STATES, CauseState), (wording.CAUSE_EVENTS, CauseEventKind),
    (HINTS, ErrorKind), (rule_wording.VERDICTS, RunVerdict), (rule_wording.KINDS_PLURAL, ContentKind)]
KEYS = {
    ContentKind.TUTORIAL: "Tutorial of Backpressure, in Agents", ContentKind.RESOURCES: "Resources of Backpressure, in Agents",
    ContentKind.QUIZ: "Quiz of Backpressure, in Agents", ContentKind.COVER: "Cover of Agents",
    ContentKind.CHAPTER: "Chapter 7 of Agents", ContentKind.FRAMEWORK: "Framework of Agents"}


@pytest.mark.parametrize(("words", "members"), MAPS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_member_has_words_of_its_own(words, members):
    assert set(words) == set(members)
    assert len({text.strip() for text in words.values()} - {""}) == len(members)


@pytest.mark.parametrize("kind", ContentKind)
def test_every_kind_of_key_has_a_name_that_a_person_understands(kind):
    part = "7" if kind is ContentKind.CHAPTER else "c-1"

    assert wording.content_key(ContentKey(kind, "r1", part), "Backpressure", "Agents") == KEYS[kind]


def test_a_novel_that_cannot_be_read_is_named_without_a_number():
    assert wording.content_key(ContentKey(ContentKind.CHAPTER, "n1"), "Tides", "Tides") == "All chapters of Tides"


@pytest.mark.parametrize(("kind", "declared"), [
    (kind, declared) for kind in ProblemKind for declared in (None, "pending", "generating", "completed", "failed")
    if kind is not ProblemKind.STALE or declared == "generating"])
@pytest.mark.parametrize("error", ["", "Request timed out."])
def test_every_problem_has_a_reason_without_holes(kind, declared, error):
    reason = wording.reason(kind, declared, detail="no text", error_message=error)

    assert reason.strip()
    assert not any(hole in reason for hole in ("{", "None", "  "))


@pytest.mark.parametrize(("kind", "declared", "detail", "error", "reason"), [
    (ProblemKind.FAILED, "failed", "", "Request timed out.", "Failed: Request timed out."),
    (ProblemKind.FAILED, "failed", "", "", "Marked failed; no error was recorded."),
    (ProblemKind.MISSING, "completed", "", "", "Marked completed, but nothing is saved."),
    (ProblemKind.MISSING, None, "", "Pool dry", "Nothing is saved and nobody is working on it. Last error: Pool dry"),
    (ProblemKind.STALE, "processing", "", "", "Marked processing, but nobody is working on it."),
    (ProblemKind.INVALID, "completed", "no questions", "", "Saved, but broken: no questions."),
    (ProblemKind.DRIFTED, None, "", "", "Saved and complete, but marked nothing. Repairing it costs nothing."),
    (ProblemKind.CANCELLED, None, "", "Request timed out.", "Its creation was cancelled."),
    (ProblemKind.UNREADABLE, None, "$.stages: a list was expected, nothing is there", "",
     "The data cannot be read at $.stages: a list was expected, nothing is there"),
])
def test_the_reason_says_what_was_found(kind, declared, detail, error, reason):
    assert wording.reason(kind, declared, detail, error) == reason


@pytest.mark.parametrize(("error_kind", "title", "words"), [
    (ErrorKind.SAVE_POOL_EXHAUSTED, "QueuePool limit", "Saving: connection pool exhausted: QueuePool limit"),
    (ErrorKind.SAVE_TOO_LONG, "too long for varying(<n>) of <id>", "Saving: value too long: too long for varying(…) of …"),
    (ErrorKind.MODEL_REFUSED, "", "Model refused"), (ErrorKind.NO_MESSAGE, "missing", "Missing, no error recorded")])
def test_a_cause_is_named_by_its_error_or_by_the_problem_that_came_without_one(error_kind, title, words):
    assert wording.cause_title(error_kind, title) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 items"), (1, "1 item"), (12_000, "12,000 items")])
def test_numbers_of_items_are_counted_in_words(count, words):
    assert wording.items(count) == words


def test_what_a_plan_set_off_and_skipped_is_told_in_numbers_and_names():
    assert wording.triggered(5, [(ExclusionRule.ALREADY_MADE, 2, ["r1", "r2"]), (ExclusionRule.OWNER_GONE, 9, ["r8"])]) == (
        "Triggered 5, skipped 2 already successful (r1, r2), skipped 9 unknown or deleted (r8 and 8 more)")
    assert wording.triggered(1_200, []) == "Triggered 1,200"


@pytest.mark.parametrize(("scope", "words"), [
    (Scope.everything(), "everything that is broken"),
    (Scope.of(ContentKey(ContentKind.QUIZ, "r1", "a"), ContentKey(ContentKind.QUIZ, "r1", "b")), "2 items chosen by hand"),
    (Scope.matching(ProblemFilter(problem_kinds=(ProblemKind.FAILED, ProblemKind.MISSING), kinds=(ContentKind.TUTORIAL,), owner_id="r1")),
     "failed or missing tutorial of Agents"),
    (Scope.matching(ProblemFilter(cause_id="c1", minimum_age_seconds=5400, minimum_attempts=2, text="50% 智能体")),
     "broken content, cause: Pool dry, older than 1.5 h, tried at least 2 times, with “50% 智能体”"),
])
def test_a_scope_is_told_in_words(scope, words):
    assert wording.scope(scope, owner_title="Agents", cause="Pool dry") == words


def test_an_owner_or_a_cause_without_a_title_is_told_by_its_id():
    assert wording.scope(Scope.matching(ProblemFilter(owner_id="r1", cause_id="c1"))) == "broken content of r1, cause: c1"
