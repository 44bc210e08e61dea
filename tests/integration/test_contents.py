"""Saving content: versions, statuses in framework_data, and many at once on one roadmap."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text

from backend.clock import utc_now
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.written import Quiz, Resources, Tutorial
from backend.redrive import Redrive
from backend.storage import contents
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_roadmap, concept

TUTORIAL = Tutorial(title="Back pressure", summary="You can slow a sender down.", body_markdown="# Text", estimated_minutes=12)
RESOURCES = Resources.model_validate({
    "resources": [{"title": "流量控制", "url": "https://example.org/a", "type": "article", "description": "why"}],
    "search_queries": ["back pressure"]})
QUIZ = Quiz.model_validate({"questions": [
    {"question": "Q?", "options": ["a", "b"], "correct_options": [0], "explanation": "so", "difficulty": level}
    for level in ("easy", "hard", "hard")]})
KEYS_NOBODY_KNOWS = {"x_author": {"name": "Ada", "tags": ["a", None, 1.5]}, "注": "留着"}


@pytest.fixture(params=["jsonb", "json"])
def platform(request: pytest.FixtureRequest, redrive: Redrive) -> Redrive:
    """Redrive on a platform that chose this type for framework_data."""
    with redrive.engine.begin() as connection:
        connection.execute(text(f"alter table roadmap_metadata alter column framework_data type {request.param}"))
    return redrive


def save(redrive: Redrive, kind: ContentKind, concept_id: str = "a", *, between: Callable[[], object] = lambda: None) -> dict[str, object]:
    """Content of one concept as a worker saves it, in one transaction. Returns what framework_data was told."""
    key, now = ContentKey(kind, "r1", concept_id), utc_now()
    with redrive.engine.begin() as connection:
        found = contents.lock_roadmap(connection, "r1").framework.concept(concept_id)
        between()
        fields = {
            ContentKind.TUTORIAL: lambda: contents.insert_tutorial(connection, key, TUTORIAL, "file:///new.md", now),
            ContentKind.RESOURCES: lambda: contents.replace_resources(connection, key, RESOURCES, now),
            ContentKind.QUIZ: lambda: contents.replace_quiz(connection, key, QUIZ, now),
        }[kind]()
        contents.patch_concept(connection, "r1", found, fields)
    return fields


def concepts(redrive: Redrive) -> dict[str, dict[str, object]]:
    return {found["concept_id"]: found for stage in framework_data(redrive)["stages"] for module in stage["modules"]
            for found in module["concepts"]}


def framework_data(redrive: Redrive) -> dict:
    with redrive.engine.connect() as connection:
        return json.loads(connection.scalar(text("select framework_data::text from roadmap_metadata where roadmap_id = 'r1'")))


def rows(redrive: Redrive, query: str) -> list[tuple]:
    with redrive.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def execute(redrive: Redrive, statement: str) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text(statement))


def found_problems(redrive: Redrive) -> dict[ContentKey, ProblemKind]:
    return {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_saved_content_is_what_framework_data_says_and_the_key_is_healthy(platform, kind):
    add_roadmap(platform.engine, concepts=[concept("a", status="failed")], saved=[each for each in CONCEPT_KINDS if each is not kind])

    fields = save(platform, kind)

    assert fields.items() <= concepts(platform)["a"].items()
    assert ContentKey(kind, "r1", "a") not in found_problems(platform)


def test_a_patch_leaves_everything_else_in_framework_data_as_it_is(platform):
    add_roadmap(platform.engine, concepts=[concept("a", status="failed", **KEYS_NOBODY_KNOWS), concept("b", **KEYS_NOBODY_KNOWS)], saved=[])
    before = framework_data(platform)

    fields = save(platform, ContentKind.QUIZ)

    before["stages"][0]["modules"][0]["concepts"][0].update(fields)
    assert framework_data(platform) == before


def test_concepts_of_one_roadmap_saved_at_once_lose_nothing(platform):
    names = [f"c{number}" for number in range(12)]
    add_roadmap(platform.engine, concepts=[concept(name, status=None, **KEYS_NOBODY_KNOWS) for name in names], saved=[])
    start = Barrier(4)

    def save_some(mine: list[str]) -> None:
        start.wait()
        for name in mine:
            for kind in CONCEPT_KINDS:
                save(platform, kind, name)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(save_some, names[number::4]) for number in range(4)]:
            done.result(timeout=120)

    said = concepts(platform)
    assert [said[name][f"{kind}_status"] for name in names for kind in ("content", "resources", "quiz")] == ["completed"] * 36
    assert all(KEYS_NOBODY_KNOWS.items() <= said[name].items() for name in names)
    assert found_problems(platform) == {}


def test_the_second_of_two_saves_of_one_roadmap_waits_and_sees_what_the_first_one_said(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a", status=None), concept("b", status=None)], saved=[])
    is_locked = Barrier(2)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(save, redrive, ContentKind.QUIZ, "a", between=lambda: is_locked.wait(timeout=30))
        is_locked.wait(timeout=30)
        save(redrive, ContentKind.QUIZ, "b")
        first.result(timeout=30)

    assert [found["quiz_status"] for found in concepts(redrive).values()] == ["completed", "completed"]


def test_a_new_tutorial_is_the_next_version_and_the_only_latest_one(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")], saved=[])
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, content_version=4, tutorial_id="old-4")
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, content_version=6, tutorial_id="old-6", is_latest=False)
        add_content(connection, "r1", "another", ContentKind.TUTORIAL, content_version=1, tutorial_id="of-another")

    fields = save(redrive, ContentKind.TUTORIAL)

    assert rows(redrive, "select tutorial_id, content_version, is_latest from tutorial_metadata order by concept_id, content_version") == [
        ("old-4", 4, False), ("old-6", 6, False), (fields["content_ref"], 7, True), ("of-another", 1, True)]
    assert (fields["content_version"], fields["content_summary"]) == (7, TUTORIAL.summary)


def test_a_first_tutorial_is_version_1(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")], saved=[])

    save(redrive, ContentKind.TUTORIAL)

    assert rows(redrive, "select content_version, is_latest, content_status, estimated_completion_time from tutorial_metadata") == [
        (1, True, "completed", 12)]


@pytest.mark.parametrize(("kind", "broken", "count"), [
    (ContentKind.RESOURCES, "update resource_recommendation_metadata set resources = '[]'",
     "select count(*), max(resources_count), max(resources #>> '{0,title}') from resource_recommendation_metadata"),
    (ContentKind.QUIZ, "update quiz_metadata set questions = null",
     "select count(*), max(total_questions), concat(max(easy_count), max(medium_count), max(hard_count)) from quiz_metadata"),
])
def test_an_empty_row_is_replaced_and_the_counts_are_right(redrive, kind, broken, count):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    execute(redrive, broken)
    before = found_problems(redrive)

    save(redrive, kind)

    assert before == {ContentKey(kind, "r1", "a"): ProblemKind.INVALID}
    assert rows(redrive, count) == [{ContentKind.RESOURCES: (1, 1, "流量控制"), ContentKind.QUIZ: (1, 3, "102")}[kind]]
    assert found_problems(redrive) == {}


def test_a_roadmap_that_is_gone_or_deleted_is_not_locked(redrive):
    add_roadmap(redrive.engine, deleted_at=utc_now(), framework_data={"stages": []})

    with redrive.engine.begin() as connection:
        assert contents.lock_roadmap(connection, "r1") is None
        assert contents.lock_roadmap(connection, "never was") is None


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_the_repair_of_drifted_content_tells_framework_data_what_is_saved(redrive, kind):
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed")])

    fields = repair(redrive, kind)

    assert set(fields.values()) >= {"completed"}
    assert fields.items() <= concepts(redrive)["a"].items()
    assert ContentKey(kind, "r1", "a") not in found_problems(redrive)


def test_the_repair_names_the_good_row_and_not_a_newer_broken_one(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a", content_status="failed")])
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, tutorial_id="newer", content_version=2, content_url=" ")
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, tutorial_id="newest", content_version=3, content_status="failed")

    fields = repair(redrive, ContentKind.TUTORIAL)

    assert (fields["content_ref"], fields["content_version"]) == ("t-r1-a", 1)


@pytest.mark.parametrize(("kind", "spaced"), [
    (ContentKind.RESOURCES, "update resource_recommendation_metadata set resources = ' [ {\"title\": \"T\"} ]'"),
    (ContentKind.QUIZ, "update quiz_metadata set questions = '\n[{}, {}]'")])
def test_a_list_that_begins_with_a_blank_is_found_by_the_repair_as_it_is_by_the_detector(redrive, kind, spaced):
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed")])
    execute(redrive, spaced)
    drifted = found_problems(redrive)[ContentKey(kind, "r1", "a")]

    repair(redrive, kind)

    assert drifted is ProblemKind.DRIFTED
    assert ContentKey(kind, "r1", "a") not in found_problems(redrive)


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_nothing_that_is_saved_cannot_be_repaired(redrive, kind):
    add_roadmap(redrive.engine, concepts=[concept("a")], saved=[])

    with pytest.raises(LookupError, match=f"nothing is saved for {kind}:r1:a"):
        repair(redrive, kind)


def repair(redrive: Redrive, kind: ContentKind) -> dict[str, object]:
    with redrive.engine.begin() as connection:
        found = contents.lock_roadmap(connection, "r1").framework.concept("a")
        fields = contents.saved_fields(connection, ContentKey(kind, "r1", "a"))
        contents.patch_concept(connection, "r1", found, fields)
    return fields
