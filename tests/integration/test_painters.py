"""Painters against an images API and an Unsplash on loopback: real sockets, every way in which they fail."""

import asyncio
import io
import json
import socket

import pytest
from openai.types import ImagesResponse
from PIL import Image

from backend.content.checks import check
from backend.content.errors import ErrorKind, ItemError
from backend.content.written import CoverBrief, Spent
from backend.settings import Settings
from tests import model_pictures
from tests.model_answers import Behaviour
from tests.model_pictures import painted
from tests.model_server import ModelServer
from workers.generators.painters import fetching
from workers.generators.painters.choose import choose_painter

KEY = "sk-loopback-0123456789abcdef"
BRIEF = CoverBrief("r1", "Tides and moons", "en", ("Orbits", "Coasts"), note="warmer")


def settings_of(server, **changes):
    values = {
        "openai_base_url": server.base_url, "openai_api_key": KEY, "image_model": "loopback-painter", "model_timeout_seconds": 30.0,
        "model_retries": 0, "unsplash_base_url": server.base_url.removesuffix("/v1"), "offline_delay_seconds": 0.0, "offline_faults": ""}
    return Settings(**(values | changes))


def paint(server, *, brief=BRIEF, spent=None, **changes):
    async def run():
        painter = choose_painter(settings_of(server, **changes))
        try:
            return await painter.paint(brief, spent)
        finally:
            await painter.close()

    return asyncio.run(run())


def error_of(server, **changes):
    with pytest.raises(ItemError) as caught:
        paint(server, **changes)
    return caught.value


def colour_of(cover):
    return Image.open(io.BytesIO(cover.thumbnail)).convert("RGB").getpixel((200, 105))


@pytest.mark.parametrize("behaviour", ["ok", "tall", "at-url", "at-redirect"])
def test_the_model_paints_a_cover_whatever_way_its_answer_takes(behaviour):
    spent = Spent()
    with ModelServer(script=[behaviour]) as server:
        written = paint(server, spent=spent)

    check(written.content)
    assert Image.open(io.BytesIO(written.content.large)).size == (1200, 630)
    assert colour_of(written.content)[1] > 100  # teal
    assert (written.generator, written.is_sample, written.calls) == ("loopback-painter", False, 1)
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (1, 120, 1056)
    assert (server.requests[0].path, server.requests[0].model) == ("/v1/images/generations", "loopback-painter")
    assert all(request.key == "" for request in server.requests[1:])  # the key is not shown to where the picture is


@pytest.mark.parametrize(("model", "image_format", "asked"), [
    ("gpt-image-1", "", "jpeg"), ("gpt-image-1", "webp", "webp"), ("dall-e-3", "", "")])
def test_a_model_that_knows_formats_is_asked_for_a_small_one(model, image_format, asked):
    with ModelServer() as server:
        written = paint(server, image_model=model, image_format=image_format)

    assert server.requests[0].file_format == asked
    assert colour_of(written.content)[1] > 100


def test_a_model_that_knows_no_formats_refuses_the_question_by_name():
    with ModelServer() as server:
        error = error_of(server, image_model="dall-e-3", image_format="png")

    assert error.kind is ErrorKind.MODEL_REJECTED_REQUEST
    assert "output_format" in error.message


FAILURES = [
    ("slow", ErrorKind.MODEL_TIMEOUT, "sent nothing for 0.3 seconds"),
    ("stalled", ErrorKind.MODEL_TIMEOUT, "sent nothing for 0.3 seconds"),
    ("cut", ErrorKind.MODEL_CUT_STREAM, "broke before the answer was complete"),
    ("429", ErrorKind.MODEL_RATE_LIMITED, "Rate limit reached"),
    ("500", ErrorKind.MODEL_SERVER_ERROR, "had an error"),
    ("401", ErrorKind.MODEL_REJECTED_KEY, "Check OPENAI_API_KEY"),
    ("404", ErrorKind.MODEL_REJECTED_REQUEST, "REDRIVE_IMAGE_MODEL"),
    ("refusal", ErrorKind.MODEL_REFUSED, "safety system"),
    ("web-page", ErrorKind.MODEL_INVALID_JSON, "did not answer with pictures"),
    ("garbage", ErrorKind.MODEL_INVALID_JSON, "did not answer with pictures"),
    ("no-picture", ErrorKind.CONTENT_NO_PICTURE, "without a picture"),
    ("not-an-image", ErrorKind.CONTENT_NOT_A_PICTURE, "no PNG, JPEG, WebP or GIF"),
    ("40-mb", ErrorKind.CONTENT_PICTURE_SIZE, "more than 20 MB"),
    ("small", ErrorKind.CONTENT_PICTURE_SIZE, "64 x 64 pixels"),
    ("at-huge-url", ErrorKind.CONTENT_PICTURE_SIZE, "more than 20 MB"),
    ("at-slow-url", ErrorKind.MODEL_TIMEOUT, "no picture within 2 seconds"),
    ("at-private-url", ErrorKind.CONTENT_NO_PICTURE, "not a public"),
    ("at-private-redirect", ErrorKind.CONTENT_NO_PICTURE, "not a public"),
    ("at-file", ErrorKind.CONTENT_NO_PICTURE, "not a public"),
]


@pytest.mark.parametrize(("behaviour", "kind", "words"), FAILURES, ids=[behaviour for behaviour, _kind, _words in FAILURES])
def test_a_failure_of_the_model_has_its_kind_and_says_what_happened(behaviour, kind, words):
    spent = Spent()
    seconds = {"slow": 0.3, "stalled": 0.3, "at-slow-url": 2.0}.get(behaviour, 30.0)
    with ModelServer(script=[behaviour]) as server:
        error = error_of(server, model_timeout_seconds=seconds, spent=spent)

    assert error.kind is kind
    assert words in error.message
    assert KEY not in error.message
    assert spent.calls == 1


def test_tries_of_the_client_are_counted():
    spent = Spent()
    with ModelServer(script=["429-retry-after", "500", "ok"], retry_after_seconds=0.01) as server:
        paint(server, model_retries=2, spent=spent)

    assert spent.calls == len(server.requests) == 3


def test_an_endpoint_that_nobody_listens_at_costs_nothing():
    spent = Spent()
    with socket.socket() as reserved, ModelServer() as server:
        reserved.bind(("127.0.0.1", 0))
        error = error_of(server, spent=spent, openai_base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}/v1")

    assert (error.kind, spent.calls) == (ErrorKind.MODEL_UNREACHABLE, 0)


UNSPLASH = {"painters": "unsplash", "unsplash_access_key": "unsplash-secret-key"}


def test_unsplash_names_the_photographer_and_is_told_of_the_download():
    with ModelServer() as server:
        written = paint(server, **UNSPLASH)

    cover = written.content
    assert (written.generator, written.is_sample, written.calls) == ("unsplash", False, 1)
    assert cover.attribution == "Photo by Ana Lupe on Unsplash"
    assert cover.attribution_url == "https://unsplash.com/@analupe?utm_source=redrive&utm_medium=referral"
    assert cover.alt_text == "Olive leaves in the sun"
    search, photo, download = server.requests
    assert search.path.startswith("/search/photos?query=Tides+and+moons+warmer&")
    assert "ixid=1" in photo.path
    assert download.path == "/photos/loopback/download?ixid=1"
    assert [request.key for request in server.requests] == ["Client-ID unsplash-secret-key", "", "Client-ID unsplash-secret-key"]


def test_unsplash_looks_for_the_topics_when_it_has_nothing_for_the_title():
    with ModelServer(script=["no-picture"]) as server:
        written = paint(server, **UNSPLASH)

    assert written.calls == 2
    assert "query=Orbits" in server.requests[1].path


@pytest.mark.parametrize(("script", "kind", "words"), [
    (["no-picture"] * 3, ErrorKind.CONTENT_NO_PICTURE, "no photo for this title"),
    (["429"], ErrorKind.MODEL_RATE_LIMITED, "too many requests"),
    (["401"], ErrorKind.MODEL_REJECTED_KEY, "Check UNSPLASH_ACCESS_KEY"),
    (["web-page"], ErrorKind.MODEL_INVALID_JSON, "REDRIVE_UNSPLASH_BASE_URL"),
    (["not-an-image"], ErrorKind.CONTENT_NOT_A_PICTURE, "no PNG"),
    (["slow"], ErrorKind.MODEL_TIMEOUT, "within 0.3 seconds")], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_a_failure_of_unsplash_has_its_kind_and_says_what_happened(script, kind, words):
    with ModelServer(script=script) as server:
        error = error_of(server, **UNSPLASH, model_timeout_seconds=0.3 if "slow" in script else 30.0)

    assert error.kind is kind
    assert words in error.message
    assert "unsplash-secret-key" not in error.message


BAD_ADDRESSES = ["http://[", "https://exa mple.org:port/", "javascript:alert(1)", "/relative", "http://\x00", "https://" + "a" * 70_000]


def answering_with(monkeypatch, **changes):
    """Unsplash gives a photo with these fields changed."""
    def photo(behaviour, root):
        return {**found(behaviour, root), **changes}

    found = model_pictures._photo
    monkeypatch.setattr(model_pictures, "_photo", photo)


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=lambda address: ascii(address[:20]))
def test_a_photo_whose_address_is_none_is_left_to_the_next_painter(address, monkeypatch):
    answering_with(monkeypatch, urls={"raw": address})
    with ModelServer() as server:
        error = error_of(server, **UNSPLASH)
        written = paint(server, **UNSPLASH | {"painters": "unsplash,offline"})

    assert (error.kind, written.generator) == (ErrorKind.CONTENT_NO_PICTURE, "offline")


@pytest.mark.parametrize("address", ["", *BAD_ADDRESSES], ids=lambda address: ascii(address[:20]))
def test_a_photographer_whose_page_cannot_be_linked_is_named_with_unsplash(address, monkeypatch):
    answering_with(monkeypatch, user={"name": "Ana Lupe", "links": {"html": address}}, links={"download_location": address})
    with ModelServer() as server:
        cover = paint(server, **UNSPLASH).content

    assert cover.attribution == "Photo by Ana Lupe on Unsplash"
    assert cover.attribution_url == "https://unsplash.com?utm_source=redrive&utm_medium=referral"


def test_the_next_painter_takes_over_when_a_provider_fails_and_is_named():
    spent = Spent()
    with ModelServer(script=["500", "429"]) as server:
        written = paint(server, spent=spent, painters="model,unsplash,offline", unsplash_access_key="k" * 20)

    assert (written.generator, written.is_sample, spent.calls) == ("offline", True, 3)


@pytest.mark.parametrize("behaviour", ["401", "404", "refusal"])
def test_what_people_must_mend_is_not_hidden_by_the_next_painter(behaviour):
    with ModelServer(script=[behaviour]) as server:
        error = error_of(server, painters="model,offline")

    assert error.kind in (ErrorKind.MODEL_REJECTED_KEY, ErrorKind.MODEL_REJECTED_REQUEST, ErrorKind.MODEL_REFUSED)
    assert len(server.requests) == 1


def test_a_painter_that_is_cancelled_lets_go_of_its_request():
    async def cancel(server):
        painter = choose_painter(settings_of(server))
        painting = asyncio.create_task(painter.paint(BRIEF))
        await asyncio.to_thread(server.wait_for, bool)
        painting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await painting
        await asyncio.to_thread(server.wait_for, lambda requests: requests[0].status)
        await painter.close()

    with ModelServer(script=["slow"]) as server:
        asyncio.run(cancel(server))

    assert [request.status for request in server.requests] == [499]


def test_the_loopback_answers_as_the_images_api_does():
    """What the painter reads is held against the client's own classes."""
    answered = ImagesResponse.model_validate(json.loads(painted(Behaviour.OK, root="")))

    assert answered.data[0].b64_json


@pytest.mark.parametrize(("address", "is_public"), [
    ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False), ("192.168.0.1", False),
    ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1", False),
    ("fd00::1", False), ("fec0::1", False), ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False),
    ("64:ff9b::127.0.0.1", False), ("64:ff9b::169.254.169.254", False), ("64:ff9b::93.184.216.34", True), ("64:ff9b:1::1", False),
    ("2002:7f00:1::", False), ("2002:a9fe:a9fe::1", False), ("2002:5db8:d822::1", True), ("::127.0.0.1", False),
    ("::ffff:0:127.0.0.1", False), ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False), ("2001:0:7f00:1:8000:63bf:3fff:fdd2", False)])
def test_only_public_addresses_are_opened(address, is_public):
    assert fetching.is_public(address) is is_public


@pytest.mark.parametrize("changes", [{}, UNSPLASH, {"painters": "offline"}, {"painters": "model,offline"}])
def test_a_painter_tells_that_it_asks_nobody_any_more_and_only_once(changes):
    told = []

    async def run(server):
        painter = choose_painter(settings_of(server, **changes))
        await painter.paint(BRIEF, None, lambda: told.append(len(server.requests)))
        await painter.close()

    with ModelServer(script=["500"] if changes.get("painters") == "model,offline" else []) as server:
        asyncio.run(run(server))

    assert len(told) == 1
    assert told[0] >= len([request for request in server.requests if "download" not in request.path])
