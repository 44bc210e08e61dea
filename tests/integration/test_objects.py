"""The object store on a folder and on an S3 server: the same promises."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from backend.actions import attempts, covers, deep
from backend.actions.covers import CoverRefused
from backend.content.covers import token_of
from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import make_cover
from backend.storage.objects import BadStoreAddress, Objects, StoreUnreachable
from backend.views import covers as views
from tests.integration.test_covers import KEY, add_bare, begin_one, painted, row_of, versions
from tests.model_pictures import encoded

TEXT = "# 缓存\n\nText with “quotes” and 🙂"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A bucket on moto's S3 server, reached through the environment as a real one would be."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}.items():
            environment.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="texts")
        yield "s3://texts/redrive"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    root = (tmp_path / "with a space").as_uri() if request.param == "file" else request.getfixturevalue("s3_url")
    return Objects(root)


def test_a_text_comes_back_as_it_was_stored(objects):
    url = objects.put_text("tutorials/r1/概念-1.md", TEXT)

    assert url.startswith(objects.root_url)
    assert objects.get_text(url) == TEXT


def test_a_text_that_is_gone_is_told_as_not_found(objects):
    url = objects.put_text("tutorials/r1/gone.md", TEXT)

    objects.delete_all("tutorials")

    with pytest.raises(FileNotFoundError):
        objects.get_text(url)


def test_a_url_of_another_store_is_refused(objects):
    with pytest.raises(ValueError, match="outside the object store"):
        objects.get_text("https://example.org/a.md")


def test_check_passes_on_a_store_that_works(objects):
    objects.check()


@pytest.fixture
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Objects:
    """A bucket on a server that is not there."""
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                        "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    return Objects("s3://texts/redrive")


def test_a_store_that_does_not_answer_is_a_named_error(silent_store):
    with pytest.raises(ItemError) as refused:
        silent_store.put_text("a.md", TEXT)

    assert refused.value.kind is ErrorKind.SAVE_STORE_GONE


def test_a_text_of_a_store_that_does_not_answer_is_not_told_as_not_found(silent_store):
    with pytest.raises(StoreUnreachable, match="The object store does not give the text: ") as refused:
        silent_store.get_text("s3://texts/redrive/a.md")

    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("url", [
    "ftp://example.org/texts", "texts", "", "s3://", "s3:///prefix", "file://relative/texts", "file:///etc/hostname/texts"])
def test_an_address_that_cannot_be_used_says_what_to_write(url):
    with pytest.raises(BadStoreAddress, match="file:///folder or s3://bucket/prefix") as refused:
        Objects(url)

    assert "REDRIVE_OBJECT_STORE" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_picture_comes_back_with_its_type_and_may_be_kept_for_ever(objects):
    url = objects.put_picture("covers/token.webp", b"RIFF....WEBP")

    assert url == f"{objects.root_url}/covers/token.webp"
    assert objects.get("covers/token.webp") == b"RIFF....WEBP"
    if objects.root_url.startswith("s3"):
        told = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1").head_object(
            Bucket="texts", Key="redrive/covers/token.webp")
        assert (told["ContentType"], told["CacheControl"]) == ("image/webp", "public, max-age=31536000, immutable")


def test_a_cover_goes_its_whole_way_through_the_store(objects, redrive, operator):
    redrive = replace(redrive, objects=objects)
    add_bare(redrive, "r1")
    content = make_cover(encoded(), alt_text="A teal square")

    assert attempts.save(redrive, begin_one(redrive, operator), painted(content))

    url, (version,) = row_of(redrive).cover_image_url, versions(redrive)
    assert (url, version.thumbnail_url.startswith(f"{objects.root_url}/covers/")) == (version.large_url, True)
    web = replace(redrive, objects=Objects(objects.root_url))  # of another process
    assert (views.picture(web, token_of(url)), views.picture(web, token_of(version.thumbnail_url))) == (content.large, content.thumbnail)
    assert deep.look(redrive).gone == ()
    objects.delete(objects.path_of(url))
    with pytest.raises(FileNotFoundError):
        views.picture(redrive, token_of(url))
    assert deep.look(redrive).gone == (KEY,)
    assert row_of(redrive).generation_status == "pending"
    with pytest.raises(CoverRefused, match="The stored picture is gone"):
        covers.choose(redrive, operator, version.version_id, expected_url="")


def test_whether_an_object_is_there_can_be_asked(objects):
    url = objects.put_picture("covers/there.webp", b"RIFF")

    assert objects.has(url)
    objects.delete("covers/there.webp")
    assert not objects.has(url)
    with pytest.raises(ValueError, match="outside the object store"):
        objects.has("https://example.org/covers/there.webp")
