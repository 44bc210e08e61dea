"""Covers in a browser: a failed one becomes a picture, versions, an upload, and a store that is away in the middle."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import PATIENCE, open_page
from tests.processes import wait_for

RUST = "rust-in-practice"  # its cover failed
IMAGES = {"REDRIVE_IMAGE_MODEL": "loopback-painter"}


def cover_of(stack: Stack, roadmap_id: str = RUST) -> tuple[str, str | None]:
    return stack.query("select generation_status, cover_image_url from roadmap_cover_images where roadmap_id = %s", roadmap_id)[0]


def expect_picture(page: Page, selector: str) -> None:
    """It is not only there: the browser has its pixels."""
    image = page.locator(selector).first
    expect(image).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("selector => { const find = (root) => root.querySelector(selector) ?? [...root.querySelectorAll('*')]"
                           ".filter((one) => one.shadowRoot).map((one) => find(one.shadowRoot)).find(Boolean);"
                           " return (find(document)?.naturalWidth ?? 0) > 0 }", arg=selector, timeout=PATIENCE)


@pytest.mark.set_up(**IMAGES)
def test_a_failed_cover_is_retried_compared_replaced_and_replaced_by_an_upload(page: Page, stack: Stack):
    open_page(page, stack, "covers", "Covers")
    card = page.get_by_role("listitem").filter(has_text="Rust in practice")
    expect(card).to_contain_text("Failed", timeout=PATIENCE)
    card.get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry 1 item", exact=True).click()

    expect(card).to_contain_text("There", timeout=PATIENCE)
    expect_picture(page, f'[data-id="{RUST}"] img')
    first = cover_of(stack)
    assert first[0] == "success"

    card.locator(".open").press("Enter")
    page.get_by_placeholder("What should be different").fill("warmer")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Make it", exact=True).click()
    page.get_by_role("button", name="Publish this one instead").click(timeout=PATIENCE)
    wait_for(lambda: cover_of(stack)[1] != first[1], what="the other version to be published")

    _upload(page, b"not a picture")
    expect(page.get_by_text("Not published: This is no PNG, JPEG, WebP or GIF picture.")).to_be_visible(timeout=PATIENCE)
    chosen = cover_of(stack)
    _upload(page, _picture())
    wait_for(lambda: cover_of(stack)[1] != chosen[1], what="the upload to be published")
    expect(page.get_by_text("Alt text: A teal square").first).to_be_visible(timeout=PATIENCE)
    expect_picture(page, ".rd-figure img")
    assert stack.query("select count(*) from ops.audit_log where action in ('choose_cover', 'upload_cover')") == [(2,)]


@pytest.mark.model(latency_seconds=1.5)
@pytest.mark.set_up(**IMAGES)
def test_a_store_that_is_away_in_the_middle_never_yields_a_success_without_its_picture(page: Page, stack: Stack):
    store = stack.state_dir / "objects"
    away = store.with_name("objects-away")
    open_page(page, stack, f"covers?id={RUST}", "Covers")
    page.get_by_role("button", name="Make it now").click()
    stack.model.wait_for(lambda requests: any("images/generations" in request.path for request in requests), timeout_seconds=30)
    store.rename(away)  # while it is painted
    store.write_text("not a folder")  # nothing can be put below it

    wait_for(lambda: "text_not_spilled" in _logs(stack), what="the worker to offer the picture in vain")
    assert cover_of(stack) == ("generating", None)
    expect(page.get_by_text("Being made").first).to_be_visible(timeout=PATIENCE)
    store.unlink()
    away.rename(store)

    wait_for(lambda: cover_of(stack)[0] == "success", what="the cover to be saved")
    expect_picture(page, ".rd-figure img")
    assert (store / cover_of(stack)[1].removeprefix(f"file://{store}/")).stat().st_size > 0
    assert sum("images/generations" in request.path for request in stack.model.requests) == 1  # painted and paid for once


def _logs(stack: Stack) -> str:
    return "".join(path.read_text(errors="replace") for path in (stack.state_dir / "logs").iterdir())


def _upload(page: Page, content: bytes) -> None:
    field = page.locator("input[type=file]")
    if not page.get_by_role("button", name="Publish this picture").is_visible():
        page.get_by_text("Upload a picture of your own").click()
    field.set_input_files({"name": "cover.png", "mimeType": "image/png", "buffer": content})
    page.get_by_label(re.compile("^Alt text")).fill("A teal square")
    button = page.get_by_role("button", name="Publish this picture")
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()


def _picture() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (1300, 800), "teal").save(kept, "PNG")
    return kept.getvalue()
