"""Covers as items: begun, made, saved, failed, cancelled; nothing says success without its picture."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import event, select, text

from backend.actions import attempts, breaker, cover_attempts, covers, dispatcher, retry, spills, withdrawals
from backend.actions.attempts import Attempt, NotBegun
from backend.content.covers import CoverVersionState, picture_path, token_of
from backend.content.errors import ErrorKind, ItemError
from backend.content.facts import Saved
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import CoverStatus, ItemState
from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.redrive import Redrive
from backend.settings import Price
from backend.storage import cover_versions
from backend.storage.facts import load_cover_facts
from backend.storage.ops_tables import items
from backend.storage.platform_tables import roadmap_cover_images, tasks
from backend.views.detection import counts_and_problems
from tests.factories import add, add_roadmap, ago, concept
from tests.integration.test_attempts import COVER, begun, item_row, queued
from workers.chunk import Chunk
from workers.generators.offline import OfflineGenerator
from workers.generators.painters.protocol import Answered
from workers.generators.prompt import write_cover_prompt

KEY = ContentKey(ContentKind.COVER, "r1")


def painted(content: Cover = COVER) -> Written[Cover]:
    return Written(content, "test-painter", is_sample=False)


def add_bare(redrive: Redrive, *roadmap_ids: str, **cover: object) -> list[ContentKey]:
    """Roadmaps without a picture; with `cover` the columns of a row that says so."""
    for roadmap_id in roadmap_ids:
        add_roadmap(redrive.engine, roadmap_id, concepts=[concept("a")], has_cover=False)
        if cover:
            with redrive.engine.begin() as connection:
                add(connection, "roadmap_cover_images", {
                    "roadmap_id": roadmap_id, "created_at": ago(days=2), "updated_at": ago(days=2), **cover})
    return [ContentKey(ContentKind.COVER, roadmap_id) for roadmap_id in roadmap_ids]


def row_of(redrive: Redrive, roadmap_id: str = "r1"):
    with redrive.engine.connect() as connection:
        return connection.execute(
            select(roadmap_cover_images).where(roadmap_cover_images.c.roadmap_id == roadmap_id)).one_or_none()


def versions(redrive: Redrive, roadmap_id: str = "r1"):
    with redrive.engine.connect() as connection:
        return cover_versions.of_roadmap(connection, roadmap_id)


def begin_one(redrive: Redrive, operator, *keys: ContentKey) -> Attempt:
    return begun(redrive, queued(redrive, operator, *(keys or (KEY,)))[0])


@pytest.mark.parametrize(("state", "problem"), [
    ({}, ProblemKind.MISSING), ({"generation_status": "pending"}, ProblemKind.MISSING),
    ({"generation_status": "failed", "error_message": "timed out"}, ProblemKind.FAILED),
    ({"generation_status": "generating"}, ProblemKind.STALE)])
def test_a_cover_that_is_not_there_is_made_saved_and_published(redrive, operator, state, problem):
    add_bare(redrive, "r1", **state)
    assert [found.kind for found in counts_and_problems(redrive).problems] == [problem]

    attempt = begin_one(redrive, operator)
    assert row_of(redrive).generation_status == CoverStatus.GENERATING
    assert attempts.save(redrive, attempt, painted())

    row, (version,) = row_of(redrive), versions(redrive)
    assert (row.generation_status, row.error_message, row.cover_image_url) == (CoverStatus.SUCCESS, None, version.large_url)
    assert row.retry_count == (1 if problem is ProblemKind.FAILED else 0)
    assert (version.is_published, version.alt_text, version.attribution, version.generator) == (
        True, "A lighthouse", "Photo by A on B", "test-painter")
    assert redrive.objects.get(picture_path(token_of(version.large_url))) == COVER.large
    assert redrive.objects.get(picture_path(token_of(version.thumbnail_url))) == COVER.thumbnail
    assert counts_and_problems(redrive).problems == ()
    with redrive.engine.connect() as connection:
        assert connection.execute(select(tasks.c.task_type, tasks.c.status)).one() == ("cover", "completed")


def test_a_cover_is_begun_and_saved_with_few_statements(redrive, operator):
    """Each costs the worker and PostgreSQL half a millisecond of CPU: with a third more of them a hundred covers took a tenth longer."""
    add_bare(redrive, "r1", "r2")
    item_ids = queued(redrive, operator, KEY, replace(KEY, owner_id="r2"))
    begun(redrive, item_ids[0])  # a first connection asks more
    asked: list[str] = []
    event.listen(redrive.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    attempt = begun(redrive, item_ids[1])
    count_begun = len(asked)
    assert attempts.save(redrive, attempt, painted())

    assert (count_begun, len(asked) - count_begun) == (13, 7), asked


def test_a_cover_takes_the_place_of_one_that_is_gone_and_what_it_cost_is_noted_with_it(redrive, operator):
    add_bare(redrive, "r1")
    assert attempts.save(redrive, begin_one(redrive, operator), painted())
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_cover_images set generation_status = 'pending', cover_image_url = null, "
                                "updated_at = now() - interval '2 days'"))
    paid = replace(painted(COVER.model_copy(update={"large": COVER.large + b"2"})), calls=2, prompt_tokens=7)

    attempt = begun(redrive, queued(redrive, operator, KEY)[-1])
    assert attempts.save(redrive, attempt, paid)

    newest, gone = versions(redrive)
    assert (newest.is_published, gone.is_published, newest.large_url) == (True, False, row_of(redrive).cover_image_url)
    row = item_row(redrive, attempt.item.item_id)
    assert (row.state, row.generator, row.calls, row.prompt_tokens, row.completion_tokens) == ("succeeded", "test-painter", 2, 7, None)


def test_the_painter_is_told_the_title_and_the_topics(redrive, operator):
    add_roadmap(redrive.engine, "r1", title="潮汐", concepts=[concept("a"), concept("b")], has_cover=False)

    assert begin_one(redrive, operator).brief == CoverBrief("r1", "潮汐", "zh", ("Stage", "Module 0"))


def test_a_cover_that_failed_says_why_and_counts_its_retries(redrive, operator):
    add_bare(redrive, "r1", generation_status="failed", error_message="old", retry_count=2)

    attempts.fail(redrive, begin_one(redrive, operator), ItemError(ErrorKind.MODEL_REFUSED, "The painter refused."), Spent(1))

    row = row_of(redrive)
    assert (row.generation_status, row.error_message, row.retry_count) == (CoverStatus.FAILED, "The painter refused.", 3)
    assert [found.error_message for found in counts_and_problems(redrive).problems] == ["The painter refused."]


def test_a_cover_that_failed_is_paid_by_the_price_of_the_image_model(redrive, operator):
    painted_by_model = replace(redrive, settings=redrive.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1", "image_model": "painter-1",
        "prices": {"writer-1": Price(1_000_000, 1_000_000), "painter-1": Price(1_000, 2_000)}}))
    add_bare(redrive, "r1")

    attempts.fail(painted_by_model, begin_one(redrive, operator), ItemError(ErrorKind.CONTENT_NO_PICTURE, "no"), Spent(1, 1_000, 2_000))

    with redrive.engine.connect() as connection:
        assert connection.scalar(select(items.c.cost)) == pytest.approx(5.0)


@pytest.mark.parametrize(("painter", "cost", "unpriced"), [("unsplash", 0, 0), ("painter-1", None, 1)])
def test_a_photo_is_free_and_what_the_image_model_takes_without_telling_is_not_known(redrive, operator, painter, cost, unpriced):
    painted_by_model = replace(redrive, settings=redrive.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "image_model": "painter-1", "prices": {"painter-1": Price(1_000, 2_000)}}))
    add_bare(redrive, "r1")

    attempts.save(painted_by_model, begin_one(redrive, operator), replace(painted(), generator=painter))

    with redrive.engine.connect() as connection:
        assert connection.scalar(select(items.c.cost)) == cost
        assert connection.scalar(text("select unpriced_calls from ops.spendings")) == unpriced


@pytest.mark.parametrize(("before", "after"), [
    ({"generation_status": "failed", "error_message": "old"}, "failed"), ({}, "pending"), ({"generation_status": "pending"}, "pending"),
    ({"generation_status": "generating"}, "generating")])
def test_a_cancelled_cover_is_what_it_was_before(redrive, operator, before, after):
    add_bare(redrive, "r1", **before)
    problems = [found.kind for found in counts_and_problems(redrive).problems]
    attempt = begin_one(redrive, operator)

    assert withdrawals.confirm_cancelled(redrive, attempt.item)

    row = row_of(redrive)
    assert (row.generation_status, row.error_message, row.retry_count) == (after, before.get("error_message"), 0)
    assert [found.kind for found in counts_and_problems(redrive).problems] == problems != []


def test_a_picture_that_the_platform_published_in_the_meantime_is_not_made_again(redrive, operator):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    with redrive.engine.begin() as connection:
        add(connection, "roadmap_cover_images", {
            "roadmap_id": "r1", "generation_status": "success", "cover_image_url": "https://example.org/c.png"})

    assert attempts.begin(redrive, item_id)[0] is NotBegun.SKIPPED
    assert row_of(redrive).cover_image_url == "https://example.org/c.png"


def test_a_picture_that_the_platform_published_while_ours_was_painted_stays_and_ours_stands_beside_it(redrive, operator):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    with redrive.engine.begin() as connection:
        connection.execute(roadmap_cover_images.update().values(generation_status="success", cover_image_url="https://example.org/c.png"))

    assert attempts.save(redrive, attempt, painted())

    row, (version,) = row_of(redrive), versions(redrive)
    assert (row.generation_status, row.cover_image_url) == ("success", "https://example.org/c.png")
    assert (version.state, version.is_published) == (CoverVersionState.READY, False)
    assert redrive.objects.get(picture_path(token_of(version.large_url))) == COVER.large
    assert item_row(redrive, attempt.item.item_id).state == ItemState.SUCCEEDED
    covers.choose(redrive, operator, version.version_id, expected_url=row.cover_image_url)
    assert {found.large_url for found in versions(redrive)} == {version.large_url, "https://example.org/c.png"}


def test_a_picture_that_is_published_just_when_ours_begins_stays(redrive, operator, monkeypatch):
    add_bare(redrive, "r1", generation_status="pending")
    lock = cover_attempts.lock

    def published_meanwhile(connection, owner_id):
        with redrive.engine.begin() as platform:
            platform.execute(roadmap_cover_images.update().values(generation_status="success", cover_image_url="https://example.org/c.png"))
        return lock(connection, owner_id)

    item_id, = queued(redrive, operator, KEY)
    with monkeypatch.context() as patched:
        patched.setattr(cover_attempts, "lock", published_meanwhile)
        attempt = begun(redrive, item_id)
    attempts.save(redrive, attempt, painted())

    assert (row_of(redrive).generation_status, row_of(redrive).cover_image_url) == ("success", "https://example.org/c.png")


@pytest.mark.parametrize("unreadable_at", ["begun", "saved"])
def test_a_cover_needs_no_framework_that_can_be_read(redrive, operator, unreadable_at):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    if unreadable_at == "begun":
        spoil_framework(redrive)
    attempt = begun(redrive, item_id)
    spoil_framework(redrive)

    assert attempts.save(redrive, attempt, painted())

    assert row_of(redrive).generation_status == CoverStatus.SUCCESS
    assert attempt.brief.roadmap_title
    covers.regenerate(redrive, operator, "r1")
    with redrive.engine.connect() as connection:
        found, _owner = load_cover_facts(connection, KEY)
    assert found.saved is Saved.VALID


def spoil_framework(redrive: Redrive) -> None:
    """As PostgreSQL takes it, and cannot read it as jsonb."""
    with redrive.engine.begin() as connection:
        connection.execute(text("alter table roadmap_metadata alter column framework_data type json using framework_data::json"))
        connection.execute(text("update roadmap_metadata set framework_data = '{\"stages\": [\"\\u0000\"]}'"))


def test_a_name_that_nothing_can_send_keeps_no_cover_from_being_painted(redrive, operator):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    odd = '{"stages": [{"name": "half \\ud83d", "modules": [{"name": "nul \\u0000", "concepts": [{"concept_id": "a"}]}]}]}'
    with redrive.engine.begin() as connection:
        connection.execute(text("alter table roadmap_metadata alter column framework_data type json using framework_data::json"))
        connection.execute(text("update roadmap_metadata set framework_data = cast(:odd as json)"), {"odd": odd})

    brief = begun(redrive, item_id).brief

    assert brief.topics == ("half \N{REPLACEMENT CHARACTER}", "nul \N{REPLACEMENT CHARACTER}")
    write_cover_prompt(brief).encode()


def test_a_roadmap_that_is_deleted_while_its_cover_is_made_loses_only_that_one(redrive, operator):
    add_bare(redrive, "r1", "r2")
    first, second = (begun(redrive, item_id) for item_id in queued(redrive, operator, KEY, ContentKey(ContentKind.COVER, "r2")))
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set deleted_at = now() where roadmap_id = 'r1'"))

    with pytest.raises(ItemError) as told:
        attempts.save(redrive, first, painted())

    assert told.value.kind is ErrorKind.SAVE_OWNER_GONE
    assert attempts.save(redrive, second, painted())


def test_a_store_that_is_down_never_yields_a_success(redrive, operator, monkeypatch):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)

    def away(_self, path, _picture):
        raise ItemError(ErrorKind.SAVE_STORE_GONE, f"{path} was not taken")

    monkeypatch.setattr("backend.storage.objects.Objects.put_picture", away)
    with pytest.raises(ItemError) as told:
        attempts.save(redrive, attempt, painted())

    assert told.value.is_outage
    assert (row_of(redrive).generation_status, item_row(redrive, attempt.item.item_id).state) == ("generating", ItemState.RUNNING)


def test_a_spilled_picture_is_saved_later_without_the_painter(redrive, operator):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    spills.spill(redrive, attempt.item, painted(COVER.model_copy(update={"large": bytes(range(256))})))

    assert spills.save_spilled(redrive) == [KEY]

    assert redrive.objects.get(picture_path(token_of(row_of(redrive).cover_image_url))) == bytes(range(256))


def test_a_late_attempt_changes_nothing(redrive, operator):
    add_bare(redrive, "r1")
    late, paid = begin_one(redrive, operator), replace(painted(), calls=1)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set attempt = attempt + 1"))

    assert not attempts.save(redrive, late, painted())
    assert not attempts.save(redrive, late, paid)
    assert not attempts.fail(redrive, late, ItemError(ErrorKind.MODEL_REFUSED, "no"))

    assert (row_of(redrive).generation_status, versions(redrive)) == ("generating", ())
    assert item_row(redrive, late.item.item_id).calls is None
    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.spendings")) == 0


def test_a_plan_takes_what_is_missing_and_names_what_is_not(redrive, operator):
    bare = add_bare(redrive, "r1", "r2", "r3")
    good = [add_roadmap(redrive.engine, roadmap_id) for roadmap_id in ("g1", "g2")]
    named = [*bare, *(ContentKey(ContentKind.COVER, roadmap_id) for roadmap_id in (*good, "unknown"))]
    counts_and_problems(redrive)

    plan = retry.plan(redrive, Scope.of(*named), operator)

    assert plan.keys == set(bare)
    assert {left_out.key.owner_id for left_out in plan.excluded if left_out.rule is ExclusionRule.ALREADY_MADE} == {"g1", "g2"}
    assert [left_out.key.owner_id for left_out in plan.excluded if left_out.rule is ExclusionRule.OWNER_GONE] == ["unknown"]


class FakePainter:
    """A painter of our own interface."""

    name, is_sample = "fake", True

    def __init__(self, error: ItemError | None = None) -> None:
        self.error, self.briefs, self.is_closed = error, [], False

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]:
        self.briefs.append(brief)
        if self.error:
            raise self.error
        return painted()

    async def close(self) -> None:
        self.is_closed = True


def run(redrive: Redrive, painter: FakePainter, item_ids: list[int]) -> dict[str, int]:
    return asyncio.run(Chunk(redrive, OfflineGenerator(redrive.settings), lambda: painter).run(item_ids))


def test_a_worker_makes_covers_with_its_painter(redrive, operator):
    keys = add_bare(redrive, "r1", "r2")
    painter = FakePainter()

    assert run(redrive, painter, queued(redrive, operator, *keys)) == {"succeeded": 2}

    assert {brief.roadmap_id for brief in painter.briefs} == {"r1", "r2"}
    assert painter.is_closed
    assert counts_and_problems(redrive).problems == ()


def test_an_outage_of_pictures_holds_back_pictures_and_no_texts(redrive, operator):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")], has_cover=False)
    for _failure in range(redrive.settings.breaker_failures):
        breaker.note_failure(redrive, ItemError(ErrorKind.MODEL_UNREACHABLE, "away"), ContentKind.COVER)
    counts_and_problems(redrive)
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)

    sent = dispatcher.dispatch(redrive)

    assert (sent.queued, sent.is_held) == (1, True)
    with redrive.engine.connect() as connection:
        assert dict(connection.execute(select(items.c.kind, items.c.state)).all()) == {"quiz": "queued", "cover": "planned"}


def test_an_outage_of_texts_holds_back_texts_and_no_pictures(redrive, operator):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")], has_cover=False)
    counts_and_problems(redrive)
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
    for _failure in range(redrive.settings.breaker_failures):
        breaker.note_failure(redrive, ItemError(ErrorKind.MODEL_UNREACHABLE, "away"))

    dispatcher.dispatch(redrive)

    with redrive.engine.connect() as connection:
        assert dict(connection.execute(select(items.c.kind, items.c.state)).all()) == {"quiz": "planned", "cover": "queued"}
