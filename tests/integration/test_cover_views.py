"""The gallery of covers, and the pictures that the web process serves."""

import asyncio
import threading
from functools import partial

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from backend.actions import attempts
from backend.content.covers import new_picture_path, picture_path, token_of
from backend.views import covers
from backend.views.covers import CoverState, PictureUnreachable
from backend.views.detection import counts_and_problems
from dashboard.picture_route import AT_ONCE, picture_route
from tests.factories import add, add_roadmap
from tests.integration.test_covers import add_bare, begin_one, painted
from tests.pages_read import pages_of, pages_read
from tests.processes import wait_for


def gallery(redrive, **asked):
    counts_and_problems(redrive)
    return covers.cover_list_page(redrive, **asked)


def test_problems_come_first_then_what_is_made_then_what_is_there(redrive, operator):
    add_bare(redrive, "r1")
    begin_one(redrive, operator)
    add_roadmap(redrive.engine, "good")
    add_bare(redrive, "failed", generation_status="failed", error_message="timed out")

    page = gallery(redrive)

    assert [(card.roadmap_id, card.state) for card in page.rows] == [
        ("failed", CoverState.FAILED), ("r1", CoverState.MAKING), ("good", CoverState.SUCCESS)]
    assert page.rows[0].error_message == "timed out"
    assert (page.total, page.counts[CoverState.FAILED], page.counts[CoverState.MISSING]) == (3, 1, 0)


def test_the_gallery_is_filtered_searched_and_paged(redrive):
    add_bare(redrive, "r1", "r2", "r3")
    add_roadmap(redrive.engine, "tides", title="Tides 潮汐")

    assert [card.roadmap_id for card in gallery(redrive, states=[CoverState.SUCCESS]).rows] == ["tides"]
    assert [card.roadmap_id for card in gallery(redrive, search="潮汐").rows] == ["tides"]
    assert gallery(redrive, search="100%").rows == ()
    pages = [gallery(redrive, states=[CoverState.MISSING], page=number, page_size=2) for number in (1, 2)]
    assert sorted(card.roadmap_id for page in pages for card in page.rows) == ["r1", "r2", "r3"]
    assert {page.total for page in pages} == {3}


def test_a_made_cover_is_shown_with_its_words_and_its_source(redrive, operator):
    add_bare(redrive, "r1")
    attempts.save(redrive, begin_one(redrive, operator), painted())

    view = covers.cover(redrive, "r1")

    assert view is not None
    shown = view.card.picture
    assert (shown.alt_text, shown.attribution, shown.generator) == ("A lighthouse", "Photo by A on B", "test-painter")
    assert covers.picture(redrive, shown.large.split("/")[-1].removesuffix(".webp")) == b"RIFF large WEBP"
    assert shown.thumbnail not in ("", shown.large)
    assert [version.version.is_published for version in view.versions] == [True]


def test_a_picture_that_is_kept_elsewhere_is_named_and_not_loaded(redrive):
    add_roadmap(redrive.engine, "r1", has_cover=False)
    with redrive.engine.begin() as connection:
        add(connection, "roadmap_cover_images", {
            "roadmap_id": "r1", "generation_status": "success", "cover_image_url": "https://cdn.example.org/covers/x.webp"})

    shown = gallery(redrive).rows[0].picture

    assert (shown.large, shown.kept_elsewhere) == ("", "https://cdn.example.org/covers/x.webp")


def test_an_unknown_or_deleted_roadmap_has_no_cover(redrive):
    add_roadmap(redrive.engine, "r1")
    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set deleted_at = now()"))

    assert (covers.cover(redrive, "r1"), covers.cover(redrive, "never")) == (None, None)


def test_a_gallery_of_5000_covers_is_read_fast(redrive):
    with redrive.engine.begin() as connection:
        connection.execute(text(
            "insert into roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at, updated_at) "
            "select 'r' || n, 'user-1', 'Roadmap ' || n, cast(:data as jsonb), now() - interval '3 days', now() "
            "from generate_series(1, 5000) n"), {"data": '{"stages": []}'})
        connection.execute(text(
            "insert into roadmap_cover_images (roadmap_id, cover_image_url, generation_status) "
            "select 'r' || n, 'file:///c.webp', 'success' from generate_series(1, 5000) n"))
        connection.execute(text("truncate ops.dirty"))
        connection.execute(text("analyze"))

    found = covers.cover_list_page(redrive, search="roadmap 49", page=3)
    read = pages_read(redrive.engine, lambda: covers.cover_list_page(redrive, search="roadmap 49", page=3))
    whole = pages_of(redrive.engine, "roadmap_metadata") + pages_of(redrive.engine, "roadmap_cover_images")

    assert read < 4 * whole, (read, whole)
    assert (found.total, len(found.rows)) == (111, 24)


@pytest.fixture
def browser(redrive):
    """Asks the route of pictures, in this process."""
    transport = httpx2.ASGITransport(Starlette(routes=[picture_route(partial(covers.picture, redrive))]))
    return lambda path: _ask(transport, path)


def _ask(transport, path):
    async def ask():
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)
    return asyncio.run(ask())


def test_a_picture_is_served_to_whoever_knows_its_address(redrive, browser):
    path = new_picture_path()
    redrive.objects.put_picture(path, b"RIFF....WEBP")

    answer = browser(f"/{path}")

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"RIFF....WEBP", "image/webp")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", [
    "/covers/" + "A" * 32 + ".webp", "/covers/short.webp", "/covers/..%2Fspills%2F1-1.webp", "/covers/%2e%2e.webp", "/covers/", "/covers",
    "/covers/" + "A" * 31 + "%00.webp"])
def test_what_is_no_picture_is_not_found_and_nothing_is_listed(redrive, browser, path):
    redrive.objects.put("spills/1-1.webp", b"private")
    redrive.objects.put_picture(new_picture_path(), b"RIFF")

    answer = browser(path)

    assert (answer.status_code, answer.content) == (404, b"" if path.endswith(".webp") and "%2F" not in path else b"Not Found")


def test_a_store_that_is_away_is_told_as_away(redrive):
    def away(_redrive, _token):
        raise PictureUnreachable("away")

    transport = httpx2.ASGITransport(Starlette(routes=[picture_route(partial(away, redrive))]))

    answer = _ask(transport, "/" + new_picture_path())

    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")


def test_a_store_that_hangs_is_told_after_a_while_and_holds_up_nobody_for_ever():
    is_back = threading.Event()

    def hang(_token):
        is_back.wait(20)
        return b"RIFF"

    transport = httpx2.ASGITransport(Starlette(routes=[picture_route(hang, patience_seconds=0.2)]))

    async def gallery_of(count):
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await asyncio.gather(*(client.get("/" + new_picture_path()) for _ in range(count)))

    try:
        answers = asyncio.run(gallery_of(3 * AT_ONCE))
    finally:
        is_back.set()

    assert [answer.status_code for answer in answers] == [503] * 3 * AT_ONCE
    wait_for(lambda: _ask(transport, "/" + new_picture_path()).status_code == 200, what="its readers to be free again")


def test_a_token_is_read_from_addresses_of_our_own_form_only():
    path = new_picture_path()

    assert picture_path(token_of(f"file:///store/{path}")) == path
    for url in ("", "file:///c.webp", "https://example.org/covers/short.webp", f"file:///store/{path}.png"):
        assert token_of(url) == ""
