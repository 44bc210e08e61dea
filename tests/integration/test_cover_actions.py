"""What people do with covers, and the limits of calls."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from PIL import Image
from redis import Redis
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from backend.actions import attempts, covers, dispatcher, retry
from backend.actions.actors import Actor, NotAllowed, Role
from backend.actions.attempts import NotBegun
from backend.actions.covers import CoverMovedOn, CoverRefused
from backend.content.covers import CoverVersionState, picture_path, token_of
from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import MOST_BYTES
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.storage import items as items_storage
from backend.storage.objects import Objects, StoreUnreachable
from backend.storage.ops_tables import audit_log, items, operations
from backend.views import covers as cover_views
from backend.views.covers import CoverState
from backend.views.detection import counts_and_problems
from tests.factories import add, add_roadmap
from tests.integration.test_attempts import COVER, begun
from tests.integration.test_covers import add_bare, begin_one, painted, row_of, versions
from tests.integration.test_retry_plan import execute
from tests.model_pictures import encoded

VIEWER = Actor("viewer", Role.VIEWER)
OLD_URL = "https://cdn.example.org/old.png"


def limited(redrive, **settings):
    """With these settings, and with covers that somebody is asked for: what is drawn offline is not limited."""
    return replace(redrive, settings=redrive.settings.model_copy(update={"painters": "unsplash", **settings}))


@pytest.fixture
def covered(redrive, operator):
    """r1 with a cover that Redrive made."""
    add_bare(redrive, "r1")
    attempts.save(redrive, begin_one(redrive, operator), painted())
    return redrive


def next_attempt(redrive):
    dispatcher.dispatch(redrive)
    with redrive.engine.connect() as connection:
        return begun(redrive, connection.scalar(select(items.c.item_id).where(items.c.state == "queued")))


def audited(redrive) -> list[str]:
    with redrive.engine.connect() as connection:
        return list(connection.scalars(select(audit_log.c.action).order_by(audit_log.c.audit_id)))


def test_a_regenerated_cover_stands_beside_the_published_until_it_is_chosen(covered, operator):
    before = row_of(covered)

    begun_version = covers.regenerate(covered, operator, "r1", note="warmer")
    attempt = next_attempt(covered)
    assert attempt.brief.note == "warmer"
    assert attempts.save(covered, attempt, painted(COVER.model_copy(update={"large": b"RIFF other"})))

    assert row_of(covered) == before
    newest, published = versions(covered)
    assert (newest.version_id, newest.state, newest.is_published, published.is_published) == (
        begun_version.version_id, CoverVersionState.READY, False, True)

    covers.choose(covered, operator, newest.version_id, expected_url=before.cover_image_url)
    assert covered.objects.get(picture_path(token_of(row_of(covered).cover_image_url))) == b"RIFF other"

    covers.choose(covered, operator, published.version_id, expected_url=newest.large_url)
    assert row_of(covered).cover_image_url == before.cover_image_url
    assert audited(covered)[-2:] == ["choose_cover", "choose_cover"]


def test_a_version_that_fails_leaves_the_published_cover_alone(covered, operator):
    before = row_of(covered)
    covers.regenerate(covered, operator, "r1")

    attempts.fail(covered, next_attempt(covered), ItemError(ErrorKind.MODEL_REFUSED, "The painter refused."))

    assert row_of(covered) == before
    assert (versions(covered)[0].state, versions(covered)[0].error_message) == (CoverVersionState.FAILED, "The painter refused.")
    assert counts_and_problems(covered).problems == ()
    with pytest.raises(CoverRefused, match="it is failed"):
        covers.choose(covered, operator, versions(covered)[0].version_id, expected_url=before.cover_image_url)


@pytest.fixture
def refused(redrive):
    """r1, whose cover the model refused to paint, as the kept problems know it."""
    add_bare(redrive, "r1", generation_status="failed", error_message="The model refused.", retry_count=1)
    counts_and_problems(redrive)
    return redrive


def test_a_cover_that_was_refused_is_made_by_a_note_and_published(refused, operator):
    covers.regenerate(refused, operator, "r1", note="no people")
    assert cover_views.cover(refused, "r1").card.state is CoverState.MAKING
    attempt = next_attempt(refused)
    assert attempt.brief.note == "no people"

    assert attempts.save(refused, attempt, painted())

    row, version = row_of(refused), versions(refused)[0]
    assert (row.generation_status, row.cover_image_url, row.error_message, row.retry_count) == ("success", version.large_url, None, 2)
    assert (version.note, version.is_published, len(versions(refused))) == ("no people", True, 1)
    assert counts_and_problems(refused).problems == ()


def test_a_cover_that_is_refused_by_its_note_too_says_so_and_counts_it(refused, operator):
    covers.regenerate(refused, operator, "r1", note="no people")

    attempts.fail(refused, next_attempt(refused), ItemError(ErrorKind.MODEL_REFUSED, "Refused again."))

    row = row_of(refused)
    assert (row.generation_status, row.error_message, row.retry_count) == ("failed", "Refused again.", 2)
    assert [problem.key.owner_id for problem in counts_and_problems(refused).problems] == ["r1"]


def test_a_note_does_not_lift_the_limit_of_tries(refused, operator):
    narrow = limited(refused, maximum_attempts_per_day=1)
    covers.regenerate(narrow, operator, "r1", note="no people")
    attempts.fail(narrow, next_attempt(narrow), ItemError(ErrorKind.MODEL_REFUSED, "Refused again."))
    counts_and_problems(narrow)

    with pytest.raises(CoverRefused, match="Poison"):
        covers.regenerate(narrow, operator, "r1", note="no people, no animals")


def test_an_alt_text_is_mended_and_written_down(covered, operator):
    version_id = versions(covered)[0].version_id

    covers.describe(covered, operator, version_id, "  A red lighthouse ")

    assert cover_views.cover(covered, "r1").card.picture.alt_text == "A red lighthouse"
    assert audited(covered)[-1] == "describe_cover"
    with pytest.raises(ItemError, match="cannot see it"):
        covers.describe(covered, operator, version_id, " ")
    with pytest.raises(CoverRefused, match="no such picture"):
        covers.describe(covered, operator, "never", "A lighthouse")


def test_an_upload_that_the_database_does_not_take_leaves_no_pictures(covered, operator, monkeypatch):
    before = covered.objects.paths("covers")
    away = OperationalError("insert", {}, Exception("gone"))
    monkeypatch.setattr(covers, "_publish", lambda *_given: (_ for _ in ()).throw(away))

    with pytest.raises(OperationalError):
        covers.upload(covered, operator, "r1", encoded(), alt_text="A teal square")

    assert covered.objects.paths("covers") == before


def test_an_upload_of_which_the_store_takes_only_one_picture_leaves_neither(covered, operator, monkeypatch):
    before = covered.objects.paths("covers")
    put, taken = Objects.put_picture, []

    def once(self, path, picture):
        if taken:
            raise ItemError(ErrorKind.SAVE_STORE_GONE, "The object store is full.")
        taken.append(path)
        return put(self, path, picture)

    monkeypatch.setattr(Objects, "put_picture", once)

    with pytest.raises(ItemError, match="is full"):
        covers.upload(covered, operator, "r1", encoded(), alt_text="A teal square")

    assert taken
    assert covered.objects.paths("covers") == before


def test_an_upload_whose_commit_was_taken_unheard_keeps_its_pictures(covered, operator, monkeypatch):
    publish = covers._publish_upload

    def unheard(*given):
        publish(*given)
        raise OperationalError("commit", {}, Exception("gone"))

    monkeypatch.setattr(covers, "_publish_upload", unheard)

    with pytest.raises(OperationalError):
        covers.upload(covered, operator, "r1", encoded(), alt_text="A teal square")

    assert covered.objects.has(row_of(covered).cover_image_url)


def test_a_store_that_goes_away_before_an_upload_is_refused_does_not_hide_why(covered, operator, monkeypatch):
    def moved_on(*_given):
        raise CoverRefused("The cover is being made already.")

    def away(_self, _path):
        raise StoreUnreachable("away")

    monkeypatch.setattr(covers, "_publish_upload", moved_on)
    monkeypatch.setattr(Objects, "delete", away)

    with pytest.raises(CoverRefused, match="being made already"):
        covers.upload(covered, operator, "r1", encoded(), alt_text="A teal square")


def test_choosing_is_refused_when_somebody_else_was_faster(covered, operator):
    version, = versions(covered)

    with pytest.raises(CoverMovedOn):
        covers.choose(covered, operator, version.version_id, expected_url=OLD_URL)


def two_versions(redrive, operator):
    """(the one that was published first, the uploaded one that is published now)."""
    covers.upload(redrive, operator, "r1", encoded(), alt_text="A teal square")
    newest, first = versions(redrive)
    return first, newest


def test_a_version_whose_picture_is_gone_is_not_published_and_says_so_from_then_on(covered, operator):
    first, newest = two_versions(covered, operator)
    covered.objects.delete(covered.objects.path_of(first.large_url))

    with pytest.raises(CoverRefused, match="The stored picture is gone"):
        covers.choose(covered, operator, first.version_id, expected_url=newest.large_url)

    assert row_of(covered).cover_image_url == newest.large_url
    gone = versions(covered)[1]
    assert (gone.state, gone.error_message, gone.is_published) == (CoverVersionState.FAILED, "The stored picture is gone.", False)
    assert audited(covered)[-1] == "cover_version_gone"
    with pytest.raises(CoverRefused, match="it is failed"):
        covers.choose(covered, operator, first.version_id, expected_url=newest.large_url)


def test_a_store_that_does_not_answer_publishes_nothing_and_makes_no_version_failed(covered, operator, monkeypatch):
    first, newest = two_versions(covered, operator)

    def away(_self, _url):
        raise StoreUnreachable("The object store does not answer")

    monkeypatch.setattr("backend.storage.objects.Objects.has", away)
    with pytest.raises(CoverRefused, match="nobody can tell whether the picture is still there: The object store does not answer"):
        covers.choose(covered, operator, first.version_id, expected_url=newest.large_url)

    assert row_of(covered).cover_image_url == newest.large_url
    assert versions(covered)[1].state is CoverVersionState.READY


def test_pictures_of_strangers_are_looked_at_one_after_the_other(redrive, operator, monkeypatch):
    at_once, most = [], []

    def looked_at(_picture, **_options):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.02)
        at_once.pop()
        raise ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, "It is none.")

    def upload(_number):
        with pytest.raises(ItemError):
            covers.upload(redrive, operator, "r1", b"bytes", alt_text="A")

    monkeypatch.setattr(covers, "make_cover", looked_at)
    with ThreadPoolExecutor(4) as sessions:
        list(sessions.map(upload, range(4)))

    assert most == [1] * 4


def test_only_one_version_is_made_at_a_time(covered, operator):
    covers.regenerate(covered, operator, "r1")

    with pytest.raises(CoverRefused, match="being made already"):
        covers.regenerate(covered, operator, "r1")


def test_an_uploaded_picture_is_published_and_the_platforms_own_can_be_gone_back_to(redrive, operator):
    add_roadmap(redrive.engine, "r1", has_cover=False)
    with redrive.engine.begin() as connection:
        add(connection, "roadmap_cover_images", {"roadmap_id": "r1", "generation_status": "success", "cover_image_url": OLD_URL})

    version_id = covers.upload(redrive, operator, "r1", encoded(), alt_text="A teal square")

    view = cover_views.cover(redrive, "r1")
    assert {shown.version.version_id for shown in view.versions if shown.version.is_published} == {version_id}
    old = next(shown for shown in view.versions if shown.version.version_id != version_id)
    assert (old.version.generator, old.picture.kept_elsewhere) == ("platform", OLD_URL)
    covers.choose(redrive, operator, old.version.version_id, expected_url=view.url)
    assert row_of(redrive).cover_image_url == OLD_URL
    assert audited(redrive) == ["upload_cover", "choose_cover"]


@pytest.mark.parametrize(("picture", "kind"), [
    (b"", ErrorKind.CONTENT_NO_PICTURE), (b"<svg onload=alert(1)>", ErrorKind.CONTENT_NOT_A_PICTURE),
    (encoded()[:900], ErrorKind.CONTENT_NOT_A_PICTURE), (encoded(599, 314), ErrorKind.CONTENT_PICTURE_SIZE),
    (encoded(12_000, 5_000), ErrorKind.CONTENT_PICTURE_SIZE), (bytes(MOST_BYTES + 1), ErrorKind.CONTENT_PICTURE_SIZE)])
def test_an_upload_that_is_no_good_picture_is_refused_by_the_action_itself(covered, operator, picture, kind):
    before = row_of(covered), covered.objects.paths("covers")

    with pytest.raises(ItemError) as refused:
        covers.upload(covered, operator, "r1", picture, alt_text="A teal square")

    assert refused.value.kind is kind
    assert (row_of(covered), covered.objects.paths("covers")) == before
    assert "upload_cover" not in audited(covered)


def test_an_upload_is_brought_to_both_sizes(covered, operator):
    covers.upload(covered, operator, "r1", encoded(3000, 900, "JPEG"), alt_text="A teal square")

    published = versions(covered)[0]
    sizes = []
    for url in (published.large_url, published.thumbnail_url):
        with Image.open(io.BytesIO(covered.objects.get(picture_path(token_of(url))))) as picture:
            sizes.append((picture.format, picture.size))
    assert sizes == [("WEBP", (1200, 630)), ("WEBP", (400, 210))]


def test_what_cannot_be_is_refused_by_name(redrive, operator):
    add_bare(redrive, "r1")
    with pytest.raises(CoverRefused, match="not listed yet"):
        covers.regenerate(redrive, operator, "r1")
    execute(redrive, "update roadmap_metadata set created_at = now(), updated_at = now()")  # nothing is wrong yet

    with pytest.raises(CoverRefused, match="generate it instead"):
        covers.regenerate(redrive, operator, "r1")
    with pytest.raises(CoverRefused, match="no roadmap never"):
        covers.upload(redrive, operator, "never", encoded(), alt_text="A teal square")
    with pytest.raises(CoverRefused, match="no such version"):
        covers.choose(redrive, operator, "never", expected_url="")
    with pytest.raises(ItemError, match="cannot see it"):
        covers.upload(redrive, operator, "r1", encoded(), alt_text=" ")


@pytest.mark.parametrize("act", [
    lambda redrive: covers.regenerate(redrive, VIEWER, "r1"), lambda redrive: covers.upload(redrive, VIEWER, "r1", encoded(), alt_text="A"),
    lambda redrive: covers.choose(redrive, VIEWER, "v", expected_url=""), lambda redrive: covers.describe(redrive, VIEWER, "v", "A"),
    lambda redrive: covers.generate_missing_once(limited(redrive, covers_automatic=True), VIEWER)])
def test_who_may_only_look_changes_nothing(redrive, act):
    with pytest.raises(NotAllowed):
        act(redrive)


def test_missing_covers_are_generated_by_themselves_once_a_day(redrive, operator):
    add_bare(redrive, "r1", "r2")
    counts_and_problems(redrive)
    assert covers.generate_missing_once(redrive, operator) is None  # not unless it is said so
    automatic = limited(redrive, covers_automatic=True)

    assert covers.generate_missing_once(automatic, operator).item_count == 2
    dispatcher.start_armed(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(items.update().values(state=ItemState.FAILED))
    counts_and_problems(redrive)

    assert covers.generate_missing_once(automatic, operator) is None


def test_another_process_that_tried_them_in_the_meantime_is_not_followed_by_a_second_try(redrive, operator, monkeypatch):
    add_bare(redrive, "r1", "r2")
    counts_and_problems(redrive)
    automatic = limited(redrive, covers_automatic=True, armed_seconds=0)
    look = items_storage.tried_today

    def overtaken(connection, keys, now):
        """Both have looked and found nothing; then the other one confirms, and its items fail, before this one confirms."""
        found = look(connection, keys, now)
        monkeypatch.setattr(items_storage, "tried_today", look)
        assert covers.generate_missing_once(automatic, operator).item_count == 2
        with redrive.engine.begin() as other:
            other.execute(items.update().values(state=ItemState.FAILED))
        return found

    monkeypatch.setattr(items_storage, "tried_today", overtaken)

    assert covers.generate_missing_once(automatic, operator) is None
    with redrive.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(select(operations.c.priority, operations.c.planned_count))] == [("automatic", 2)]


def test_however_many_processes_open_the_covers_at_once_each_is_made_once(redrive, operator):
    add_bare(redrive, "r1", "r2", "r3")
    counts_and_problems(redrive)
    automatic = limited(redrive, covers_automatic=True)
    at_once = threading.Barrier(4)

    def opened(_process: int):
        at_once.wait(timeout=60)
        return covers.generate_missing_once(automatic, operator)

    with ThreadPoolExecutor(4) as processes:
        begun_by = [found for found in processes.map(opened, range(4)) if found]

    assert [found.item_count for found in begun_by] == [3]


def test_over_the_limit_of_calls_covers_wait_and_are_not_failed(redrive, operator):
    narrow = limited(redrive, cover_calls_per_person="2/hour", armed_seconds=0)
    keys = add_bare(narrow, "r1", "r2", "r3")
    assert covers.wait_words(narrow, operator, 2) == ""
    assert covers.wait_words(narrow, operator, 3, tell_time=lambda _moment: "14:03 CET") == (
        "2 of 3 items can be made now; the rest waits for the limit of calls and goes on at 14:03 CET.")
    counts_and_problems(narrow)
    retry.confirm(narrow, retry.plan(narrow, Scope.of(*keys), operator), operator)

    dispatcher.dispatch(redrive)  # as if another process had handed them all out
    with redrive.engine.connect() as connection:
        queued = list(connection.scalars(select(items.c.item_id).where(items.c.state == "queued").order_by(items.c.item_id)))
    begun_now = [attempts.begin(narrow, item_id) for item_id in queued]

    assert begun_now[2] == (NotBegun.BRAKED, None)
    with redrive.engine.connect() as connection:
        states = list(connection.scalars(select(items.c.state).order_by(items.c.item_id)))
    assert states == [ItemState.RUNNING, ItemState.RUNNING, ItemState.PLANNED]
    assert dispatcher.dispatch(narrow).queued == 0
    assert "It goes on at" in covers.wait_words(narrow, operator, 1)
    with pytest.raises(CoverRefused, match="It goes on at"):
        covers.regenerate(narrow, operator, "r1")


def test_the_limit_in_all_holds_whoever_asks(redrive, operator):
    narrow = limited(redrive, cover_calls="1/hour")

    assert narrow.cover_calls.take("somebody")
    assert not narrow.cover_calls.take("somebody else")
    assert narrow.cover_calls.room("a third").is_used_up


def test_what_the_limit_in_all_refuses_costs_its_person_nothing_however_many_ask_at_once(redrive):
    narrow, person = limited(redrive, cover_calls="3/hour"), limited(redrive, cover_calls_per_person="20/hour")
    calls = limited(redrive, cover_calls="3/hour", cover_calls_per_person="20/hour").cover_calls

    with ThreadPoolExecutor(12) as workers:
        taken = sum(workers.map(lambda _number: calls.take("ana"), range(12)))

    assert taken == 3
    assert (narrow.cover_calls.room("ana").count, person.cover_calls.room("ana").count) == (0, 17)


def test_asking_for_the_limits_makes_no_new_limiter(redrive, monkeypatch):
    """It cost each cover that began a millisecond of CPU, as much as all that is asked of Redis."""
    narrow = limited(redrive, cover_calls="5/hour")
    assert narrow.cover_calls.take("ana")
    monkeypatch.setattr("backend.jobs.cover_calls.RedisStorage", None)

    assert narrow.cover_calls.take("ana")


def test_what_a_person_may_not_have_made_leaves_room_for_others(redrive):
    calls = limited(redrive, cover_calls="5/hour", cover_calls_per_person="1/hour").cover_calls

    assert [calls.take("ana") for _number in range(9)] == [True] + [False] * 8
    assert calls.take("ben")


def test_the_offline_painter_calls_nobody_and_is_not_limited(redrive, operator):
    narrow = limited(redrive, cover_calls="0/hour", painters="")

    assert narrow.cover_calls.take(operator.actor_id)
    assert covers.wait_words(narrow, operator, 9) == ""
    assert not limited(redrive, cover_calls="0/hour", painters="offline,unsplash").cover_calls.take(operator.actor_id)


def test_a_limit_that_never_lets_anything_through_names_no_time(redrive, operator):
    words = covers.wait_words(limited(redrive, cover_calls="0/hour", cover_calls_per_person="9/hour"), operator, 1)

    assert words.startswith("No cover can be made: the limit of calls is 0. Raise REDRIVE_COVER_CALLS")


def test_when_redis_is_away_it_is_said_that_calls_cannot_be_counted(redrive, operator):
    away = replace(limited(redrive, cover_calls="9/hour"), redis=Redis(port=1, socket_connect_timeout=1))

    assert not away.cover_calls.take(operator.actor_id)
    assert covers.wait_words(away, operator, 1).startswith("Calls cannot be counted now")
    with pytest.raises(CoverRefused, match="cannot be counted now"):
        covers.regenerate(away, operator, "r1")


def test_texts_go_on_while_covers_wait_for_their_limit(redrive, operator):
    narrow = limited(redrive, cover_calls="0/hour", armed_seconds=0)
    add_bare(narrow, "r1")
    add_roadmap(narrow.engine, "r2", concepts=[{"concept_id": "a", "name": "A", "quiz_status": "failed"}], saved=())
    counts_and_problems(narrow)
    retry.confirm(narrow, retry.plan(narrow, Scope.everything(), operator), operator)

    dispatcher.dispatch(narrow)

    with redrive.engine.connect() as connection:
        states = {tuple(row) for row in connection.execute(select(items.c.kind, items.c.state))}
    assert states == {("cover", "planned"), ("quiz", "queued"), ("tutorial", "queued"), ("resources", "queued")}
