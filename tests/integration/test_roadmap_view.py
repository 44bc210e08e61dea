"""What is shown as saved is the row that the detector judged, and a text that cannot be read is told."""

import pytest

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.redrive import Redrive
from backend.storage import contents
from backend.storage.objects import Objects
from backend.views.detection import counts_and_problems
from backend.views.roadmap import saved_content
from tests.factories import add_content, add_roadmap, ago, concept

TUTORIAL, RESOURCES, QUIZ = (ContentKey(kind, "r1", "a") for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ))
RESOURCE, QUESTION = {"title": "R", "url": "https://example.org"}, {"question": "Q", "options": ["a", "b"]}


@pytest.fixture
def roadmap(redrive: Redrive) -> Redrive:
    """Redrive with a roadmap whose one concept declares everything as completed, and nothing is saved."""
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")], saved=[])
    return redrive


def add_rows(redrive: Redrive, kind: ContentKind, *rows: dict[str, object]) -> None:
    with redrive.engine.begin() as connection:
        for row in rows:
            add_content(connection, "r1", "a", kind, **row)


def problem_keys(redrive: Redrive) -> set[ContentKey]:
    return {problem.key for problem in counts_and_problems(redrive).problems}


@pytest.mark.parametrize("bad", [
    {"content_status": "failed"}, {"content_status": "generating"}, {"content_url": None}, {"content_url": " \u3000"}])
def test_a_bad_newer_tutorial_does_not_hide_the_good_one(roadmap, bad):
    url = roadmap.objects.put_text("t.md", "# Good")
    add_rows(roadmap, TUTORIAL.kind, {"tutorial_id": "good", "content_url": url},
             {"tutorial_id": "bad", "content_version": 2, "content_url": url} | bad)

    saved = saved_content(roadmap, TUTORIAL)

    assert (saved.version, saved.text) == (1, "# Good")
    assert TUTORIAL not in problem_keys(roadmap)


def test_an_empty_status_of_a_tutorial_counts_as_completed_as_for_the_detector(roadmap):
    url = roadmap.objects.put_text("t.md", "# Good")
    add_rows(roadmap, TUTORIAL.kind, {"tutorial_id": "empty", "content_url": url, "content_status": ""},
             {"tutorial_id": "bad", "content_version": 2, "content_status": "failed"})

    assert saved_content(roadmap, TUTORIAL).version == 1
    assert TUTORIAL not in problem_keys(roadmap)


@pytest.mark.parametrize("empty_first", [True, False])
@pytest.mark.parametrize("empty", [[], None, {"not": "a list"}])
def test_an_empty_row_does_not_hide_the_one_that_holds_something(roadmap, empty, empty_first):
    for key, name, column, entry in ((RESOURCES, "id", "resources", RESOURCE), (QUIZ, "quiz_id", "questions", QUESTION)):
        rows = [{name: "empty", column: empty, "generated_at": ago(hours=1)}, {name: "good", column: [entry], "generated_at": ago(days=1)}]
        add_rows(roadmap, key.kind, *(rows if empty_first else reversed(rows)))

    assert [saved_content(roadmap, key).entries for key in (RESOURCES, QUIZ)] == [(RESOURCE,), (QUESTION,)]
    assert not {RESOURCES, QUIZ} & problem_keys(roadmap)


def test_of_two_good_rows_the_newest_is_shown_and_is_the_one_that_a_repair_names(roadmap):
    add_rows(roadmap, QUIZ.kind, {"quiz_id": "older", "questions": [QUESTION] * 3, "generated_at": ago(days=1)},
             {"quiz_id": "newer", "questions": [QUESTION] * 2, "generated_at": ago(hours=1)},
             {"quiz_id": "undated", "questions": [QUESTION] * 4, "generated_at": None})

    with roadmap.engine.connect() as connection:
        fields = contents.saved_fields(connection, QUIZ)

    assert len(saved_content(roadmap, QUIZ).entries) == 2
    assert (fields["quiz_id"], fields["quiz_questions_count"]) == ("newer", 2)


@pytest.mark.parametrize("key", [TUTORIAL, RESOURCES, QUIZ], ids=str)
def test_a_row_that_holds_nothing_is_shown_and_never_named_by_a_repair(roadmap, key):
    add_rows(roadmap, key.kind, {TUTORIAL: {"content_url": None}, RESOURCES: {"resources": []}, QUIZ: {"questions": []}}[key])

    with roadmap.engine.connect() as connection, pytest.raises(LookupError):
        contents.saved_fields(connection, key)

    saved = saved_content(roadmap, key)
    assert (saved.text, saved.entries, saved.unreadable) == (None, (), "")


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_where_there_is_no_row_nothing_is_saved(roadmap, kind):
    assert saved_content(roadmap, ContentKey(kind, "r1", "a")) is None


def test_a_text_in_a_store_that_does_not_answer_is_told_as_unreadable(roadmap, monkeypatch):
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                        "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    add_rows(roadmap, TUTORIAL.kind, {"content_url": "s3://texts/redrive/a.md"})
    away = Redrive(roadmap.settings, roadmap.engine, roadmap.redis, roadmap.queue, Objects("s3://texts/redrive"))

    saved = saved_content(away, TUTORIAL)

    assert saved.text is None
    assert saved.unreadable.startswith("The object store does not give the text: ")
