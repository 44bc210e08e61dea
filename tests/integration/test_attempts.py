"""One attempt at one item, in this process: claim, save, fail, and what a late attempt may change."""

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, dispatcher, reconciler, retry
from backend.actions.attempts import Attempt, NotBegun
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.content.written import Chapter, Choosable, Cover, Question, Quiz, Resource, Resources, Tutorial, Written
from backend.storage.ops_tables import items
from backend.storage.platform_tables import roadmap_metadata, tasks
from backend.views import roadmap as roadmap_view
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_roadmap, concept

TUTORIAL = Tutorial(title="Caching", summary="What it is.", body_markdown="# Caching\n\nText.", estimated_minutes=12)
RESOURCES = Resources(
    resources=[Resource(title="A", url="https://example.org/a", type="article", description="Good.")], search_queries=["caching"])
QUIZ = Quiz(questions=[Question(question="Q?", options=["a", "b"], correct_options=[0], explanation="E", difficulty="easy")])
CHAPTER = Chapter(title="The pier", content="She went down to the water.", options=[Choosable(text="Swim", impact="It is cold."),
                                                                                   Choosable(text="Wait", impact="It gets dark.")])
COVER = Cover(large=b"RIFF large WEBP", thumbnail=b"RIFF small WEBP", alt_text="A lighthouse", attribution="Photo by A on B")
CONTENT = {ContentKind.TUTORIAL: TUTORIAL, ContentKind.RESOURCES: RESOURCES, ContentKind.QUIZ: QUIZ, ContentKind.CHAPTER: CHAPTER,
           ContentKind.COVER: COVER}


def queued(redrive, operator, *keys: ContentKey) -> list[int]:
    """Items of a confirmed retry, queued; nobody works on them."""
    counts_and_problems(redrive)
    retry.confirm(redrive, retry.plan(redrive, Scope.of(*keys), operator), operator)
    dispatcher.dispatch(redrive)
    with redrive.engine.connect() as connection:
        return list(connection.scalars(select(items.c.item_id).order_by(items.c.item_id)))


def begun(redrive, item_id: int) -> Attempt:
    attempt = attempts.begin(redrive, item_id)
    assert isinstance(attempt, Attempt), attempt
    return attempt


def item_row(redrive, item_id: int):
    with redrive.engine.connect() as connection:
        return connection.execute(select(items).where(items.c.item_id == item_id)).one()


def concept_fields(redrive, roadmap_id: str = "r1") -> dict:
    with redrive.engine.connect() as connection:
        data = connection.scalar(select(roadmap_metadata.c.framework_data).where(roadmap_metadata.c.roadmap_id == roadmap_id))
    return data["stages"][0]["modules"][0]["concepts"][0]


def task_row(redrive):
    with redrive.engine.connect() as connection:
        return connection.execute(select(tasks).where(tasks.c.task_type.like("retry%"))).one()


def written(content) -> Written:
    return Written(content, generator="test-model", is_sample=False, prompt_tokens=10, completion_tokens=20)


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_saving_makes_the_key_healthy_in_row_framework_item_and_task(redrive, operator, kind):
    add_roadmap(redrive.engine, concepts=[concept("a", extra="kept")], unsaved=[(kind, "a")])
    key = ContentKey(kind, "r1", "a")
    item_id, = queued(redrive, operator, key)

    saved = attempts.save(redrive, begun(redrive, item_id), written(CONTENT[kind]))

    assert saved
    assert counts_and_problems(redrive).problems == ()
    assert item_row(redrive, item_id).state == ItemState.SUCCEEDED
    assert (task_row(redrive).status, task_row(redrive).execution_summary["completed"]) == ("completed", 1)
    assert concept_fields(redrive)["extra"] == "kept"
    assert roadmap_view.saved_content(redrive, key) is not None


def test_a_tutorial_is_stored_and_becomes_the_latest_version(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed")], saved=())
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, content_status="failed", content_url=None, content_version=3)
    key = ContentKey(ContentKind.TUTORIAL, "r1", "a")
    item_id, = queued(redrive, operator, key)

    attempts.save(redrive, begun(redrive, item_id), written(TUTORIAL))

    saved = roadmap_view.saved_content(redrive, key)
    assert (saved.version, saved.text) == (4, TUTORIAL.body_markdown)
    assert concept_fields(redrive)["content_version"] == 4
    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from tutorial_metadata where is_latest")) == 1


def test_an_item_is_claimed_once(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    first, second = attempts.begin(redrive, item_id), attempts.begin(redrive, item_id)

    assert isinstance(first, Attempt)
    assert second[0] is NotBegun.TAKEN


def test_content_that_another_program_saved_in_the_meantime_is_not_written_again(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.QUIZ)

    outcome, _item = attempts.begin(redrive, item_id)

    assert outcome is NotBegun.SKIPPED
    assert (item_row(redrive, item_id).state, item_row(redrive, item_id).skip_rule) == (ItemState.SKIPPED, "not_broken")
    assert task_row(redrive).status == "completed"


def test_drifted_content_is_repaired_without_the_model(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="processing", quiz_id=None)])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    outcome, _item = attempts.begin(redrive, item_id)

    assert outcome is NotBegun.REPAIRED
    assert item_row(redrive, item_id).calls == 0
    assert (concept_fields(redrive)["quiz_status"], concept_fields(redrive)["quiz_id"]) == ("completed", "q-r1-a")
    assert counts_and_problems(redrive).problems == ()


def test_a_failure_is_told_in_item_framework_task_and_problem(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a", status=None)], saved=(ContentKind.RESOURCES, ContentKind.QUIZ))
    key = ContentKey(ContentKind.TUTORIAL, "r1", "a")
    item_id, = queued(redrive, operator, key)

    attempts.fail(redrive, begun(redrive, item_id), ItemError(ErrorKind.MODEL_REFUSED, "The model refused: too spicy"))

    assert concept_fields(redrive)["content_status"] == "failed"
    task = task_row(redrive)
    assert (task.status, task.failed_concepts["a"]["reason"], task.failed_concepts["a"]["content_type"]) == (
        "failed", "The model refused: too spicy", "tutorial")
    problem = next(found for found in counts_and_problems(redrive).problems if found.key == key)
    assert (problem.kind, problem.error_kind, problem.error_message) == (
        ProblemKind.FAILED, ErrorKind.MODEL_REFUSED, "The model refused: too spicy")


def test_a_late_attempt_changes_nothing(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))
    late = begun(redrive, item_id)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour'"))
    reconciler.take_back_lost(redrive)
    again = begun(redrive, item_id)

    saved_late = attempts.save(redrive, late, written(QUIZ))
    failed_late = attempts.fail(redrive, late, ItemError(ErrorKind.MODEL_TIMEOUT, "too late"))
    with redrive.engine.connect() as connection:
        rows = connection.scalar(text("select count(*) from quiz_metadata"))

    assert (saved_late, failed_late, rows) == (False, False, 0)
    assert (item_row(redrive, item_id).state, item_row(redrive, item_id).attempt) == (ItemState.RUNNING, 2)
    assert attempts.save(redrive, again, written(QUIZ))


def test_an_item_is_queued_again_three_times_and_fails_with_its_fourth_lost_worker(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))

    states = []
    for _ in range(4):
        begun(redrive, item_id)
        with redrive.engine.begin() as connection:
            connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour'"))
        reconciler.take_back_lost(redrive)
        states.append(item_row(redrive, item_id).state)

    assert states == [ItemState.QUEUED, ItemState.QUEUED, ItemState.QUEUED, ItemState.FAILED]
    assert item_row(redrive, item_id).error_kind == ErrorKind.WORKER_LOST
    assert task_row(redrive).status == "failed"


@pytest.mark.parametrize(("content", "kind"), [
    (TUTORIAL.model_copy(update={"body_markdown": "a\x00b"}), ErrorKind.CONTENT_UNSTORABLE),
    (TUTORIAL.model_copy(update={"title": "\ud800"}), ErrorKind.CONTENT_UNSTORABLE),
    (TUTORIAL.model_copy(update={"body_markdown": "  "}), ErrorKind.CONTENT_EMPTY),
])
def test_content_that_cannot_be_stored_is_refused_with_a_name(redrive, operator, content, kind):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.TUTORIAL, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.TUTORIAL, "r1", "a"))

    with pytest.raises(ItemError) as refused:
        attempts.save(redrive, begun(redrive, item_id), written(content))

    assert refused.value.kind is kind


@pytest.mark.parametrize(("constraint", "kind"), [
    ("create unique index one_title on tutorial_metadata (title)", ErrorKind.SAVE_DUPLICATE_KEY),
    ("alter table tutorial_metadata alter column title type varchar(3)", ErrorKind.SAVE_TOO_LONG),
    ("alter table tutorial_metadata add check (estimated_completion_time > 100)", ErrorKind.SAVE_REJECTED),
])
def test_a_row_that_the_database_rejects_fails_with_its_own_cause(redrive, operator, constraint, kind):
    add_roadmap(redrive.engine, concepts=[concept("a"), concept("b")], saved=())
    item_ids = queued(redrive, operator, *(ContentKey(ContentKind.TUTORIAL, "r1", part) for part in "ab"))
    with redrive.engine.begin() as connection:
        connection.execute(text(constraint))

    errors = []
    for item_id in item_ids:
        try:
            attempts.save(redrive, begun(redrive, item_id), written(TUTORIAL))
        except ItemError as error:
            errors.append(error.kind)

    assert set(errors) == {kind}


def test_a_concept_deleted_while_it_waits_fails_by_name(redrive, operator):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    item_id, = queued(redrive, operator, ContentKey(ContentKind.QUIZ, "r1", "a"))
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set deleted_at = now()"))

    outcome, _item = attempts.begin(redrive, item_id)

    assert outcome is NotBegun.FAILED
    assert item_row(redrive, item_id).error_kind == ErrorKind.SAVE_OWNER_GONE
