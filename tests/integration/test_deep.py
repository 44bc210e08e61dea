"""The deep look into the store: which pictures are gone, and what can be made again of what is left."""

import io
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from backend.actions import attempts, covers, deep
from backend.cli.main import main
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.storage.objects import StoreUnreachable
from backend.storage.platform_tables import roadmap_cover_images
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, ago
from tests.integration.test_attempts import begun, queued
from tests.integration.test_cover_actions import audited
from tests.integration.test_covers import KEY, add_bare, begin_one, painted, row_of, versions
from tests.model_pictures import encoded


@pytest.fixture
def covered(redrive, operator):
    """r1 with a cover that Redrive made."""
    add_bare(redrive, "r1")
    attempts.save(redrive, begin_one(redrive, operator), painted())
    return redrive


def test_the_deep_look_finds_pictures_that_are_gone_and_leaves_others_alone(covered, operator):
    add_roadmap(covered.engine, "elsewhere")  # kept under an address that is not ours
    add_bare(covered, "r2")
    attempts.save(covered, begun(covered, queued(covered, operator, ContentKey(ContentKind.COVER, "r2"))[-1]), painted())
    url = row_of(covered).cover_image_url
    covered.objects.delete(url.removeprefix(f"{covered.objects.root_url}/"))
    with covered.engine.begin() as connection:  # it was made long ago
        connection.execute(roadmap_cover_images.update().values(updated_at=ago(days=1)))

    looked = deep.look(covered)

    assert (looked.looked_at, looked.gone) == (2, (KEY,))
    assert [(found.key, found.kind) for found in counts_and_problems(covered).problems] == [(KEY, ProblemKind.MISSING)]
    assert audited(covered)[-1] == "cover_gone"
    assert deep.look(covered).gone == ()


def lose_thumbnail(redrive) -> str:
    """Its address; the row still names it."""
    url = versions(redrive)[0].thumbnail_url
    redrive.objects.delete(redrive.objects.path_of(url))
    return url


def test_the_deep_look_makes_a_gone_thumbnail_of_the_large_picture(covered, operator):
    covers.upload(covered, operator, "r1", encoded(1200, 630), alt_text="A teal square")
    before, url = row_of(covered), lose_thumbnail(covered)

    looked = deep.look(covered)

    assert (looked.gone, looked.mended) == ((), (KEY,))
    with Image.open(io.BytesIO(covered.objects.get(covered.objects.path_of(url)))) as picture:
        assert (picture.format, picture.size) == ("WEBP", (400, 210))
    assert (row_of(covered), audited(covered)[-1]) == (before, "cover_thumbnail_mended")
    assert deep.look(covered).mended == ()


def test_a_thumbnail_of_a_picture_that_cannot_be_read_is_gone_for_good(covered):
    lose_thumbnail(covered)  # of bytes that are no picture

    looked = deep.look(covered)

    assert (looked.gone, looked.mended) == ((KEY,), ())
    assert row_of(covered).generation_status == "pending"


def test_a_store_that_takes_no_thumbnail_makes_nothing_missing(covered, operator, monkeypatch):
    covers.upload(covered, operator, "r1", encoded(1200, 630), alt_text="A teal square")
    lose_thumbnail(covered)

    def full(_self, path, _picture):
        raise ItemError(ErrorKind.SAVE_STORE_GONE, f"{path} was not taken")

    monkeypatch.setattr("backend.storage.objects.Objects.put_picture", full)

    with pytest.raises(StoreUnreachable):
        deep.look(covered)
    assert row_of(covered).generation_status == "success"


def test_the_deep_look_tells_programs_how_many_pictures_are_gone(covered):
    covered.objects.delete(row_of(covered).cover_image_url.removeprefix(f"{covered.objects.root_url}/"))
    with covered.engine.begin() as connection:  # it was made long ago
        connection.execute(roadmap_cover_images.update().values(updated_at=ago(days=1)))
    settings = covered.settings

    shown = CliRunner().invoke(main, ["detect", "--deep", "--json"], env={
        "REDRIVE_DATABASE_URL": settings.database_url.get_secret_value(), "REDRIVE_REDIS_URL": settings.redis_url.get_secret_value(),
        "REDRIVE_STATE_DIR": str(settings.state_dir)})

    document = json.loads(shown.stdout)
    assert document["pictures"] == {"looked_at": 1, "gone": [str(KEY)], "thumbnails_mended": []}
    assert document["counts"]["missing"] == 1


def test_a_store_that_does_not_answer_makes_nothing_missing(covered, monkeypatch):
    def away(_self, _url):
        raise StoreUnreachable("away")

    monkeypatch.setattr("backend.storage.objects.Objects.has", away)

    with pytest.raises(StoreUnreachable):
        deep.look(covered)
    assert counts_and_problems(covered).problems == ()
