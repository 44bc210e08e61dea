"""Covers in a browser: a failed one becomes a picture, versions, an upload, and a store that is away in the middle."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.integration.test_covers_with_workers import most_at_once
from tests.journeys.conftest import BULK, Stack
from tests.journeys.steps import expect_started, open_page, press, settle, type_count
from tests.model_server import HELD
from tests.processes import wait_for

RUST = "rust-in-practice"  # its cover failed
IMAGES = {"REDRIVE_IMAGE_MODEL": "loopback-painter"}


def cover_of(stack: Stack, roadmap_id: str = RUST) -> tuple[str, str | None]:
    return stack.query("select generation_status, cover_image_url from roadmap_cover_images where roadmap_id = %s", roadmap_id)[0]


def expect_picture(page: Page, selector: str) -> None:
    """It is not only there: the browser has its pixels."""
    image = page.locator(selector).first
    expect(image).to_be_visible()
    page.wait_for_function("selector => { const find = (root) => root.querySelector(selector) ?? [...root.querySelectorAll('*')]"
                           ".filter((one) => one.shadowRoot).map((one) => find(one.shadowRoot)).find(Boolean);"
                           " return (find(document)?.naturalWidth ?? 0) > 0 }", arg=selector)


@pytest.mark.set_up(**IMAGES)
def test_a_failed_cover_is_retried_compared_replaced_and_replaced_by_an_upload(page: Page, stack: Stack):
    open_page(page, stack, "covers", "Covers")
    card = page.get_by_role("listitem").filter(has_text="Rust in practice")
    expect(card).to_contain_text("Failed")
    card.get_by_role("checkbox").check()
    press(page.get_by_role("button", name="Retry 1 item", exact=True))

    expect(card).to_contain_text("There")
    expect_picture(page, f'[data-id="{RUST}"] img')
    first = cover_of(stack)
    assert first[0] == "success"

    settle(page)
    card.locator(".open").press("Enter")
    note = page.get_by_placeholder("What should be different")
    expect(note).to_be_enabled()
    settle(page)
    note.fill("warmer")
    note.press("Enter")
    press(page.get_by_role("button", name="Make it", exact=True))
    press(page.get_by_role("button", name="Publish this one instead"))
    wait_for(lambda: cover_of(stack)[1] != first[1], what="the other version to be published")

    refused, chosen = page.get_by_text("Not published: This is no PNG, JPEG, WebP or GIF picture."), cover_of(stack)
    _open_upload(page)
    page.locator("input[type=file]").set_input_files({"name": "first.png", "mimeType": "image/png", "buffer": b"not a picture"})
    _publish(page, "first.png")
    expect(refused).to_be_visible()
    settle(page)
    page.locator("input[type=file]").set_input_files({"name": "second.png", "mimeType": "image/png", "buffer": _picture("red")})
    _arrived(page, "second.png")
    page.evaluate(_CHOOSE_AND_PUBLISH_AT_ONCE, ["third.png", list(_picture("teal"))])
    _arrived(page, "third.png")
    assert cover_of(stack) == chosen  # what stood in the field before is not published
    _publish(page, "third.png")
    wait_for(lambda: cover_of(stack)[1] != chosen[1], what="the upload to be published")
    expect(page.get_by_text("Alt text: A teal square").first).to_be_visible()
    expect_picture(page, ".rd-figure img")
    assert stack.query("select count(*) from ops.audit_log where action in ('choose_cover', 'upload_cover')") == [(2,)]


@pytest.mark.model(latency_seconds=HELD)  # until the store is away
@pytest.mark.set_up(**IMAGES)
def test_a_store_that_is_away_in_the_middle_never_yields_a_success_without_its_picture(page: Page, stack: Stack):
    store = stack.state_dir / "objects"
    away = store.with_name("objects-away")
    open_page(page, stack, f"covers?id={RUST}", "Covers")
    press(page.get_by_role("button", name="Make it now"))
    stack.model.wait_for(_painted)
    store.rename(away)  # while it is painted
    store.write_text("not a folder")  # nothing can be put below it
    stack.model.latency_seconds = 0.0

    wait_for(lambda: "text_not_spilled" in _logs(stack), what="the worker to offer the picture in vain")
    assert cover_of(stack) == ("generating", None)
    expect(page.get_by_text("Being made").first).to_be_visible()
    store.unlink()
    away.rename(store)

    wait_for(lambda: cover_of(stack)[0] == "success", what="the cover to be saved")
    expect_picture(page, ".rd-figure img")
    assert (store / cover_of(stack)[1].removeprefix(f"file://{store}/")).stat().st_size > 0
    assert len(_painted(stack.model.requests)) == 1  # painted and paid for once


HUNDRED, AT_ONCE = 100, 6


@pytest.mark.model(latency_seconds=HELD)  # until the page has told what it began
@pytest.mark.set_up(REDRIVE_CONCURRENCY=str(AT_ONCE), **BULK, **IMAGES)
def test_a_hundred_covers_in_one_action_leave_the_page_quick_and_what_is_there_untouched(page: Page, stack: Stack):
    _add_hundred(stack)
    open_page(page, stack, "covers?text=Hundred", "Covers")
    _choose_all(page)
    press(page.get_by_role("button", name="Retry 100 items", exact=True))
    dialog = page.get_by_role("dialog")
    type_count(dialog, HUNDRED)
    late = [f"hundred-{number:03}" for number in (7, 42, 50, 51, 99)]
    good = _become_good(stack, late)  # between the plan and its run
    dialog.get_by_role("button", name="Confirm").click()

    expect_started(page, HUNDRED)
    stack.model.latency_seconds = 0.6
    stack.model.wait_for(lambda requests: len(_painted(requests)) > 2 * AT_ONCE)
    stack.model.latency_seconds = HELD  # no card goes away under the pointer
    press(page.get_by_text(re.compile(r"Being made \d+$")))
    expect(page).to_have_url(re.compile("state=making"))
    press(page.get_by_role("button", name=re.compile("^Open the cover of Hundred")).first)
    expect(page.get_by_role("button", name="All covers")).to_be_visible()
    assert len(_painted(stack.model.requests)) < 95  # answered while painting went on
    stack.model.latency_seconds = 0.6

    wait_for(lambda: stack.query("select state, count(*) from ops.items where owner_id like 'hundred-%%' group by 1 order by 1")
             == [("skipped", 5), ("succeeded", 95)], seconds=300, what="the end of all of them")
    assert _rows(stack, late) == good
    assert len(_painted(stack.model.requests)) == 95
    assert 1 < most_at_once(_painted(stack.model.requests)) <= AT_ONCE
    open_page(page, stack, "covers?text=Hundred&state=success", "Covers")
    expect(page.get_by_text("1 to 24 of 100")).to_be_visible()
    expect_picture(page, ".card img")


def _add_hundred(stack: Stack) -> None:
    stack.query(f"""
        insert into roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at, updated_at)
        select 'hundred-' || lpad(n::text, 3, '0'), 'user-1', 'Hundred ' || n, '{{"stages": []}}', now() - interval '2 days', now()
        from generate_series(0, {HUNDRED - 1}) n""")
    wait_for(lambda: stack.query("select count(*) from ops.problems where owner_id like 'hundred-%%' and kind = 'cover'") == [(HUNDRED,)],
             what="the detector to see them")


def _choose_all(page: Page) -> None:
    """The boxes of one page after the other."""
    chosen = 0
    for number in range(1, 6):
        if number > 1:
            press(page.get_by_label(f"Page {number}", exact=True))
        on_page = min(24, HUNDRED - chosen)
        expect(page.get_by_text(f"{chosen + 1} to {chosen + on_page} of {HUNDRED}")).to_be_visible()
        settle(page)
        boxes = page.locator(".covers input:not(:checked)")
        expect(boxes).to_have_count(on_page)
        boxes.evaluate_all("boxes => boxes.forEach((box) => box.click())")
        chosen += on_page
        expect(page.get_by_role("button", name=f"Retry {chosen} items", exact=True)).to_be_visible()


def _become_good(stack: Stack, roadmap_ids: list[str]) -> list[tuple]:
    """Somebody else makes them. The rows as they are then."""
    stack.query("insert into roadmap_cover_images (roadmap_id, generation_status, cover_image_url, retry_count, created_at, updated_at) "
                "select unnest(%s::text[]), 'success', 'https://cdn.example.org/there.png', 0, now(), now()", roadmap_ids)
    return _rows(stack, roadmap_ids)


def _rows(stack: Stack, roadmap_ids: list[str]) -> list[tuple]:
    return stack.query("select * from roadmap_cover_images where roadmap_id = any(%s) order by array_position(%s, roadmap_id)",
                       roadmap_ids, roadmap_ids)


def _painted(requests) -> list:
    return [request for request in requests if "images/generations" in request.path]


def test_a_picture_that_cannot_be_shown_comes_back_and_the_focus_stays_on_its_box(person, stack: Stack):
    store = stack.state_dir / "objects"
    away = store.with_name("objects-away")
    store.rename(away)
    page = person()
    open_page(page, stack, "covers", "Covers")
    expect(page.get_by_text("The picture cannot be shown now.").first).to_be_visible()
    away.rename(store)
    expect_picture(page, ".card img")

    box = page.get_by_role("listitem").filter(has_text="Rust in practice").get_by_role("checkbox")
    box.focus()
    stack.query("update roadmap_cover_images set error_message = 'Told anew.' where roadmap_id = %s", RUST)
    wait_for(lambda: stack.query("select error_message from ops.problems where owner_id = %s and kind = 'cover'", RUST)
             == [("Told anew.",)], what="the detector to see it")
    page.keyboard.press("Space")  # its rerun draws the card anew
    expect(page.get_by_text("Told anew.")).to_be_visible()
    expect(box).to_be_focused()
    retry = page.get_by_role("button", name="Retry 1 item", exact=True)
    expect(retry).to_be_visible()
    page.keyboard.press("Space")
    expect(box).not_to_be_checked()
    expect(retry).to_have_count(0)
    page.keyboard.press("x")
    expect(box).to_be_checked()
    expect(retry).to_be_visible()
    settle(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="All covers")).to_be_visible()

    open_page(page, stack, "covers", "Covers")
    expect(page.get_by_role("listitem").filter(has_text="Rust in practice")).to_be_visible()
    page.evaluate("history.replaceState(null, '', '/covers?text=nowhere')")  # a browser that is behind is told where it is
    expect(page).to_have_url(re.compile("/covers$"))
    expect(page.get_by_role("listitem").filter(has_text="Rust in practice")).to_be_visible()


def test_a_picture_of_the_page_of_a_cover_comes_back_too(person, stack: Stack):
    store = stack.state_dir / "objects"
    away = store.with_name("objects-away")
    store.rename(away)
    page = person()
    open_page(page, stack, "covers?id=bread-baking", "Covers")
    page.wait_for_function("() => [...document.querySelectorAll('.rd-figure img')].some((one) => one.complete && !one.naturalWidth)")
    away.rename(store)

    expect_picture(page, ".rd-figure img")


def _logs(stack: Stack) -> str:
    return "".join(path.read_text(errors="replace") for path in (stack.state_dir / "logs").iterdir())


_CHOOSE_AND_PUBLISH_AT_ONCE = """([name, bytes]) => {
    const field = document.querySelector("input[type=file]"), chosen = new DataTransfer();
    chosen.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
    field.files = chosen.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    [...document.querySelectorAll("button")].find((one) => one.textContent.includes("Publish this picture")).click();
}"""


def _open_upload(page: Page) -> None:
    expect(page.get_by_text("Upload a picture of your own")).to_be_visible()
    settle(page)
    page.get_by_text("Upload a picture of your own").click()


def _publish(page: Page, name: str) -> None:
    """The picture of this name, once it has arrived."""
    _arrived(page, name)
    page.get_by_label(re.compile("^Alt text")).fill("A teal square")
    press(page.get_by_role("button", name="Publish this picture"))


def _arrived(page: Page, name: str) -> None:
    expect(page.get_by_test_id("stFileChipName")).to_have_text(name)
    expect(page.get_by_test_id("stFileChipIconSpinner")).to_have_count(0)
    settle(page)


def _picture(color: str) -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (1300, 800), color).save(kept, "PNG")
    return kept.getvalue()
