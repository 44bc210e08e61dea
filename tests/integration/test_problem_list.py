"""Filters, search, paging and counts over ops.problems, for the pages and for the plan alike."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.redrive import Redrive
from backend.storage import problems as kept
from backend.storage.problem_list import describe_scope, load_candidates
from backend.views import listing
from backend.views.listing import Sort
from tests.factories import add_novel, add_roadmap, add_task, ago, concept

EVERYTHING = ProblemFilter()


@pytest.fixture
def listed(redrive: Redrive) -> Redrive:
    """Redrive with problems of every kind but stale ones, of two roadmaps and a novel.

    agents: failed, invalid, drifted, missing. fish: 3 x missing by a cancelled creation, cover. tides: chapter 2 failed.
    """
    add_roadmap(
        redrive.engine, "agents", title="智能体 Agents_50%", concepts=[
            concept("pressure", quiz_status="failed", name="Back Pressure"), concept("drift", content_status=None, name="Drift/Drop"),
            concept("empty", name="Empty")],
        unsaved=[(ContentKind.QUIZ, "pressure"), (ContentKind.RESOURCES, "drift")], created_at=ago(days=9))
    add_task(redrive.engine, roadmap_id="agents", status="failed", task_type="retry_quiz", updated_at=ago(hours=3),
             error_message="QueuePool limit of size 5 overflow 10 reached")
    add_roadmap(redrive.engine, "fish", title="鱼 Fish", concepts=[concept("swim", status=None)], saved=[], has_cover=False)
    add_task(redrive.engine, "cancelled", roadmap_id="fish", status="cancelled", updated_at=ago(days=1))
    add_novel(redrive.engine, "tides", title="Tides", chapters=[{}, {"status": "failed", "error_message": "100% refused: “sea_level”"}])
    with redrive.engine.begin() as connection:
        connection.execute(text("update quiz_metadata set questions = '[]' where concept_id = 'empty'"))
        connection.execute(text(
            "insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind, attempt, settled_at) values "
            "('o1', 'quiz', 'agents', 'pressure', 'generate', 'failed', 'failed', 2, now()), "
            "('o2', 'resources', 'agents', 'drift', 'generate', 'planned', 'missing', 1, null)"))
    kept.drain(redrive.engine, utc_now, redrive.limits)
    return redrive


def keys(redrive: Redrive, problem_filter: ProblemFilter) -> set[str]:
    """What the filter lets through, on the page and in the plan: they must be the same."""
    page = listing.problem_page(redrive, problem_filter)
    with redrive.engine.connect() as connection:
        candidates = load_candidates(connection, Scope(problem_filter), utc_now())
    assert {row.key for row in page.rows} == {candidate.key for candidate in candidates}
    assert page.total == len(page.rows)
    return {str(row.key) for row in page.rows}


def test_an_empty_filter_lets_everything_through(listed):
    assert keys(listed, EVERYTHING) == {
        "quiz:agents:pressure", "resources:agents:drift", "tutorial:agents:drift", "quiz:agents:empty", "tutorial:fish:swim",
        "resources:fish:swim", "quiz:fish:swim", "cover:fish:", "chapter:tides:2"}


@pytest.mark.parametrize(("problem_filter", "expected"), [
    (ProblemFilter(problem_kinds=(ProblemKind.INVALID,)), {"quiz:agents:empty"}),
    (ProblemFilter(problem_kinds=(ProblemKind.DRIFTED, ProblemKind.MISSING)), {"tutorial:agents:drift", "resources:agents:drift"}),
    (ProblemFilter(problem_kinds=(ProblemKind.STALE,)), set()),
    (ProblemFilter(kinds=(ContentKind.COVER, ContentKind.CHAPTER)), {"cover:fish:", "chapter:tides:2"}),
    (ProblemFilter(owner_id="tides"), {"chapter:tides:2"}),
    (ProblemFilter(owner_id="nobody"), set()),
    (ProblemFilter(minimum_attempts=2), {"quiz:agents:pressure"}),
    (ProblemFilter(minimum_attempts=3), set()),
    (ProblemFilter(minimum_age_seconds=2 * 86_400 + 3600), {"resources:agents:drift"}),
    (ProblemFilter(problem_kinds=(ProblemKind.CANCELLED,), kinds=(ContentKind.QUIZ,), owner_id="fish", text="swim"), {"quiz:fish:swim"}),
])
def test_each_field_narrows(listed, problem_filter, expected):
    with listed.engine.begin() as connection:
        connection.execute(text("update ops.problems set since_at = now() - interval '9 days' where part = 'drift' and kind = 'resources'"))
        connection.execute(text("update ops.problems set since_at = now() - interval '1 day' where part <> 'drift' or kind <> 'resources'"))

    assert keys(listed, problem_filter) == expected


def test_a_cause_narrows_to_its_problems(listed):
    (refused,) = [row for row in listing.cause_rows(listed, EVERYTHING) if "refused" in row.sample]

    assert keys(listed, ProblemFilter(cause_id=refused.cause_id)) == {"chapter:tides:2"}


@pytest.mark.parametrize(("words", "expected"), [
    ("back", {"quiz:agents:pressure"}), ("PRESSURE  queuepool", {"quiz:agents:pressure"}), ("back chapter", set()),
    ("智能体", {"quiz:agents:pressure", "resources:agents:drift", "tutorial:agents:drift", "quiz:agents:empty"}),
    ("体 agents", {"quiz:agents:pressure", "resources:agents:drift", "tutorial:agents:drift", "quiz:agents:empty"}),
    ("鱼 cover", set()), ("鱼 swim", {"tutorial:fish:swim", "resources:fish:swim", "quiz:fish:swim"}),
    ("50%", {"quiz:agents:pressure", "resources:agents:drift", "tutorial:agents:drift", "quiz:agents:empty"}),
    ("100%", {"chapter:tides:2"}), ("0%r", set()), ("sea_level", {"chapter:tides:2"}), ("s_a", set()), ("“sea", {"chapter:tides:2"}),
    ("drift/drop", {"resources:agents:drift", "tutorial:agents:drift"}), ("drift\\drop", set()), ("'; drop table x", set()),
    ("no questions", {"quiz:agents:empty"}), ("%", {
        "quiz:agents:pressure", "resources:agents:drift", "tutorial:agents:drift", "quiz:agents:empty", "chapter:tides:2"}),
])
def test_every_word_must_occur_and_no_sign_is_a_wildcard(listed, words, expected):
    assert keys(listed, ProblemFilter(text=words)) == expected


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("page_size", [1, 7, 10])
def test_pages_are_complete_and_repeat_nothing_in_every_order(redrive, sort, page_size):
    for name in ("r1", "r2"):
        add_roadmap(redrive.engine, name, concepts=[concept(f"c{number}", status="failed") for number in range(4)], saved=[])
    kept.drain(redrive.engine, utc_now, redrive.limits)

    shown = [row.key for page in range(1, 26) for row in listing.problem_page(
        redrive, EVERYTHING, page=page, page_size=page_size, sort=sort).rows]

    assert len(shown) == min(24, 25 * page_size)
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(("sort", "rank"), [
    (Sort.OLDEST, lambda row: row.since_at), (Sort.NEWEST, lambda row: -row.since_at.timestamp()),
    (Sort.OWNER, lambda row: row.key.owner_id), (Sort.CAUSE, lambda row: row.cause_id), (Sort.ATTEMPTS, lambda row: -row.attempts)])
def test_rows_come_in_the_order_that_was_asked_for(listed, sort, rank):
    rows = listing.problem_page(listed, EVERYTHING, sort=sort).rows

    assert [rank(row) for row in rows] == sorted(rank(row) for row in rows)


def test_a_page_behind_the_last_one_is_empty_and_still_tells_the_total(listed):
    page = listing.problem_page(listed, EVERYTHING, page=5)

    assert (page.rows, page.total) == ((), 9)


@pytest.mark.parametrize("problem_filter", [
    EVERYTHING, ProblemFilter(owner_id="agents"), ProblemFilter(kinds=(ContentKind.QUIZ,)), ProblemFilter(text="swim"),
    ProblemFilter(problem_kinds=(ProblemKind.STALE,))])
def test_counts_are_those_of_the_rows(listed, problem_filter):
    rows = listing.problem_page(listed, problem_filter).rows

    counts = listing.counts(listed, problem_filter)

    assert counts.total == len(rows)
    assert counts.by_kind == {kind: number for kind in ContentKind if (number := sum(row.key.kind is kind for row in rows))}
    assert counts.by_problem_kind == {kind: number for kind in ProblemKind if (number := sum(row.kind is kind for row in rows))}


@pytest.mark.parametrize("problem_filter", [EVERYTHING, ProblemFilter(owner_id="agents"), ProblemFilter(kinds=(ContentKind.QUIZ,))])
def test_causes_count_the_rows_that_have_them(listed, problem_filter):
    rows = listing.problem_page(listed, problem_filter).rows

    causes = listing.cause_rows(listed, problem_filter)

    assert {cause.cause_id: (cause.problem_count, cause.owner_count, cause.oldest_since_at) for cause in causes} == {
        cause_id: (len(own := [row for row in rows if row.cause_id == cause_id]), len({row.key.owner_id for row in own}),
                   min(row.since_at for row in own))
        for cause_id in {row.cause_id for row in rows}}
    assert [cause.problem_count for cause in causes] == sorted((cause.problem_count for cause in causes), reverse=True)


def test_a_row_says_what_it_is_why_and_who_works_on_it(listed):
    rows = {str(row.key): row for row in listing.problem_page(listed, EVERYTHING).rows}

    row = rows["quiz:agents:pressure"]

    assert (row.title, row.owner_title, row.attempts, row.operation_id) == ("Back Pressure", "智能体 Agents_50%", 2, None)
    assert row.reason == "Failed: QueuePool limit of size 5 overflow 10 reached"
    assert row.cause == "Saving: connection pool exhausted: QueuePool limit of size … overflow … reached"
    assert rows["resources:agents:drift"].operation_id == "o2"


def test_a_selection_is_cut_down_to_what_still_is_a_problem(listed):
    broken, healed = ContentKey(ContentKind.QUIZ, "agents", "empty"), ContentKey(ContentKind.QUIZ, "agents", "drift")

    assert listing.problems_of(listed, [broken, healed]) == {broken: ProblemKind.INVALID}
    assert listing.problems_of(listed, []) == {}


def test_owners_are_those_with_most_problems_first(listed):
    assert list(listing.owner_titles(listed).items()) == [("agents", "智能体 Agents_50%"), ("fish", "鱼 Fish"), ("tides", "Tides")]


def test_the_list_is_as_old_as_the_oldest_change_that_was_not_looked_at(listed):
    with listed.engine.begin() as connection:
        connection.execute(text("insert into ops.dirty (owner_kind, owner_id, marked_at) values "
                                "('novel', 'tides', now() - interval '90 s'), ('novel', 'tides', now() - interval '5 s')"))
    seen_at = listing.problem_page(listed, EVERYTHING).as_of

    kept.drain(listed.engine, utc_now, listed.limits)

    assert timedelta(seconds=90) <= utc_now() - seen_at < timedelta(seconds=150)
    assert listing.problem_page(listed, EVERYTHING).as_of - seen_at > timedelta(seconds=89)


def test_candidates_know_what_the_plan_must_know(listed):
    with listed.engine.begin() as connection:
        connection.execute(text(
            "insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind, attempt, settled_at) values "
            "('o3', 'quiz', 'agents', 'pressure', 'generate', 'succeeded', 'failed', 1, now() - interval '23 h'), "
            "('o4', 'quiz', 'agents', 'pressure', 'generate', 'failed', 'failed', 3, now() - interval '25 h'), "
            "('o5', 'quiz', 'agents', 'pressure', 'repair', 'succeeded', 'drifted', 1, now()), "
            "('o6', 'quiz', 'agents', 'pressure', 'generate', 'cancelled', 'failed', 1, now()), "
            "('o7', 'quiz', 'agents', 'pressure', 'generate', 'skipped', 'failed', 3, now())"))

    with listed.engine.connect() as connection:
        candidates = {str(found.key): found for found in load_candidates(connection, Scope.everything(), utc_now())}

    assert (candidates["quiz:agents:pressure"].attempts_today, candidates["quiz:agents:pressure"].is_taken) == (5, False)
    assert (candidates["resources:agents:drift"].attempts_today, candidates["resources:agents:drift"].is_taken) == (0, True)


def test_candidates_of_chosen_keys_are_those_of_them_that_are_problems(listed):
    chosen = [ContentKey(ContentKind.COVER, "fish"), ContentKey(ContentKind.QUIZ, "agents", "drift"),
              *(ContentKey(ContentKind.QUIZ, "agents", f"x{number}") for number in range(2000))]

    with listed.engine.connect() as connection:
        candidates = load_candidates(connection, Scope.of(*chosen), utc_now())

    assert [str(candidate.key) for candidate in candidates] == ["cover:fish:"]


@pytest.mark.parametrize(("scope", "words"), [
    (Scope.everything(), "everything that is broken"),
    (Scope.matching(ProblemFilter(owner_id="agents", kinds=(ContentKind.QUIZ,))), "broken quiz of 智能体 Agents_50%"),
    (Scope.matching(ProblemFilter(owner_id="gone")), "broken content of gone"),
    (Scope.matching(ProblemFilter(cause_id="gone")), "broken content, cause: gone"),
    (Scope.of(ContentKey(ContentKind.QUIZ, "agents", "pressure")), "Quiz of Back Pressure, in 智能体 Agents_50%"),
    (Scope.of(ContentKey(ContentKind.CHAPTER, "tides", "2")), "Chapter 2 of Tides"),
    (Scope.of(ContentKey(ContentKind.COVER, "fish")), "Cover of 鱼 Fish"),
    (Scope.of(ContentKey(ContentKind.QUIZ, "gone", "a")), "Quiz of a, in gone"),
    (Scope.of(*(ContentKey(ContentKind.QUIZ, "agents", part) for part in ("pressure", "drift"))), "2 items chosen by hand"),
])
def test_a_scope_is_described_with_the_titles_that_people_know(listed, scope, words):
    with listed.engine.connect() as connection:
        assert describe_scope(connection, scope) == words


def test_a_cause_is_described_by_its_title(listed):
    (pool,) = [row for row in listing.cause_rows(listed, EVERYTHING) if "QueuePool" in row.sample]
    aim = replace(EVERYTHING, cause_id=pool.cause_id)

    with listed.engine.connect() as connection:
        words = describe_scope(connection, Scope.matching(aim))

    assert words == f"broken content, cause: {pool.title}"
