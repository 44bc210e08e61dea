"""Chapters in a browser: retried and watched, joined late, lost and found again, cancelled, regenerated, compared, rolled back."""

import json
import re

import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from tests.journeys.conftest import Stack
from tests.journeys.steps import open_page, press, settle
from tests.processes import wait_for

PARAGRAPH = "The harbour lay still, and <b>nobody</b> spoke of the 灯塔 that had gone dark 🙂. ![x](https://evil.example/x.png) "
CONTENT = "\n\n".join(f"{number}. {PARAGRAPH * 2}".strip() for number in range(1, 21))
OPTIONS = [{"text": "Row out to the light", "impact": "The keeper is found"}, {"text": "Wait for the morning", "impact": ""}]


def written(prompt: str) -> str:
    """What the model writes: a chapter of some seconds, another one for an editor's note."""
    content = CONTENT.replace("still", "restless") if "restless" in prompt else CONTENT
    return json.dumps({"title": "The dark light", "content": content, "options": OPTIONS}, ensure_ascii=False)


AT_ONCE = 0.0  # seconds after each of some 200 pieces


def ever_slower(sent: int) -> float:
    """A chapter that grows for longer than any has time for: what is to be seen growing does, until it is let go."""
    return sent / 25


slowly = pytest.mark.model(piece_seconds=ever_slower, texts=written)


def add_harbour(stack: Stack, novel_id: str, *, failed: int, has_choice: bool = True, has_failed: bool = True) -> None:
    """A novel whose chapters before `failed` are complete; that one failed half way."""
    stack.query("insert into novels values (%s, 'u1', 'Harbour', 'A harbour', 'en', now() - interval '3 days')", novel_id)
    for number in range(1, failed + has_failed):
        is_failed = number == failed
        chapter_id = f"{novel_id}-{number}"
        stack.query(
            "insert into chapters (id, novel_id, chapter_number, title, content, status, error_message, created_at, "
            "generation_completed_at) values (%s, %s, %s, %s, %s, %s, %s, now() - interval '2 days', now() - interval '2 days')",
            chapter_id, novel_id, number,
            f"Chapter {number}", "Half of a text that broke off" if is_failed else "It began in the harbour.",
            "failed" if is_failed else "completed", "The stream broke." if is_failed else None)
        if not is_failed:
            stack.query("insert into options (id, chapter_id, option_order, option_text) values (%s, %s, 1, 'Go down to the boats')",
                        f"{chapter_id}-o", chapter_id)
            if number < failed - 1 or has_choice:
                stack.query("insert into user_choices (id, user_id, chapter_id, option_id, created_at) values (%s, 'u1', %s, %s, now())",
                            f"{chapter_id}-c", chapter_id, f"{chapter_id}-o")


def open_chapter(page: Page, stack: Stack, novel_id: str, number: int) -> None:
    open_page(page, stack, f"chapter?novel={novel_id}&number={number}", "Chapter")
    settle(page)


def status_of(stack: Stack, novel_id: str, number: int) -> str:
    found = stack.query("select status from chapters where novel_id = %s and chapter_number = %s", novel_id, number)
    return found[0][0] if found else ""


def growing(page: Page):
    return page.locator(".live .text")


def expect_growing(page: Page, beyond: int = 60) -> int:
    """The text is there and becomes longer; its length in letters."""
    expect(growing(page)).to_contain_text("The harbour lay still")
    page.wait_for_function(_LENGTH + " > " + str(beyond))
    before = page.evaluate(_LENGTH)
    page.wait_for_function(f"{_LENGTH} > {before}")
    return before


_LENGTH = ("[...document.querySelectorAll('*')].filter((one) => one.shadowRoot).map((one) => one.shadowRoot.querySelector('.live .body'))"
           ".filter(Boolean)[0]?.textContent.length ?? 0")


def expect_published(page: Page, content: str = CONTENT) -> None:
    """The saved text, every paragraph of it once, as words and not as markup."""
    article = page.locator("article.rd-read").first
    expect(article.locator("p")).to_have_count(20)
    assert article.locator("p").all_inner_texts() == [line for line in content.splitlines() if line]
    expect(article.locator("img, b, script")).to_have_count(0)
    expect(page.locator(".rd-options")).to_contain_text("Row out to the light")


@slowly
def test_a_failed_chapter_is_retried_watched_reloaded_joined_and_completed(person, stack: Stack):
    add_harbour(stack, "h1", failed=3)
    page, hosts = person(), set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]) if "://" in request.url else None)
    open_chapter(page, stack, "h1", 3)
    expect(page.locator("article.rd-read")).to_contain_text("Half of a text that broke off")
    expect(page.locator(".rd-choice")).to_contain_text("Go down to the boats")

    page.get_by_role("button", name="Write it again").dblclick()
    expect_growing(page)
    page.route("**/chapters/*/events?*", lambda route: route.fulfill(status=403), times=1)  # as if its token were too old
    page.reload()  # in the middle
    after_reload = expect_growing(page)
    other = person()  # another device: it gets the whole text so far
    open_chapter(other, stack, "h1", 3)
    expect_growing(other, beyond=after_reload)
    expect(growing(other)).to_contain_text("1. The harbour lay still")
    assert status_of(stack, "h1", 3) == "generating"

    stack.model.piece_seconds = AT_ONCE
    for watcher in (page, other):
        expect_published(watcher)
    expect(page.locator(".rd-choice")).to_contain_text("Go down to the boats")
    press(page.get_by_text(re.compile("characters$")).filter(has_text="ago").first)
    expect(page.get_by_text("Half of a text that broke off")).to_be_visible()
    assert stack.query("select count(*) from ops.operations") == [(1,)]
    assert sum("chat/completions" in request.path for request in stack.model.requests) == 1
    assert hosts == {"127.0.0.1"}


@slowly
def test_a_chapter_outlives_its_watchers_a_flushed_redis_and_a_cancelled_try(person, stack: Stack):
    add_harbour(stack, "first", failed=1)
    page = person()
    open_chapter(page, stack, "first", 1)
    press(page.get_by_role("button", name="Write it again"))
    expect_growing(page)
    page.context.close()  # the browser is closed in the middle
    assert status_of(stack, "first", 1) == "generating"
    stack.model.piece_seconds = AT_ONCE
    wait_for(lambda: status_of(stack, "first", 1) == "completed", what="the chapter to be completed with nobody watching")
    page = person()
    open_chapter(page, stack, "first", 1)
    expect_published(page)

    stack.model.piece_seconds = ever_slower
    add_harbour(stack, "flushed", failed=2)
    open_chapter(page, stack, "flushed", 2)
    press(page.get_by_role("button", name="Write it again"))
    expect_growing(page)
    redis, streams = Redis.from_url(_redis_url(stack)), [f"chapter:{row[0]}:stream" for row in stack.query("select id from chapters")]
    assert redis.delete(*streams)
    wait_for(lambda: redis.exists(*streams), what="the stream to go on after it was lost")
    stack.model.piece_seconds = AT_ONCE
    expect_published(page)

    stack.model.piece_seconds = ever_slower
    add_harbour(stack, "cancelled", failed=2)
    open_chapter(page, stack, "cancelled", 2)
    press(page.get_by_role("button", name="Write it again"))
    expect_growing(page)
    press(page.get_by_role("button", name="Cancel the writing"))
    press(page.get_by_role("dialog").get_by_role("button", name="Cancel it"))
    expect(page.get_by_text("Cancelled before it was complete.").first).to_be_visible()
    expect(page.locator("article.rd-read").first).to_contain_text("The harbour lay still")

    add_harbour(stack, "unchosen", failed=2, has_choice=False)
    open_chapter(page, stack, "unchosen", 2)
    expect(page.get_by_text("Chapter 1 has no choice.")).to_be_visible()
    expect(page.get_by_role("button", name="Write it again")).to_be_disabled()
    press(page.get_by_role("link", name="Open chapter 1"))
    expect(page.get_by_role("heading", name="Chapter 1 of Harbour")).to_be_visible()


@slowly
def test_a_chapter_is_regenerated_compared_accepted_and_rolled_back(page: Page, stack: Stack):
    add_harbour(stack, "edited", failed=3, has_failed=False)
    open_chapter(page, stack, "edited", 2)
    press(page.get_by_role("button", name="Regenerate"))
    expect(page.get_by_role("button", name="Write a draft")).to_be_enabled()
    settle(page)
    page.get_by_label("Note to the writer (optional)").fill("Make the sea restless.")
    page.get_by_role("button", name="Write a draft").click()
    expect(growing(page)).to_contain_text("The harbour lay restless")
    expect(page.locator("article.rd-read")).to_contain_text("It began in the harbour.")  # what is published stays

    stack.model.piece_seconds = AT_ONCE
    press(page.get_by_role("button", name="Compare"))
    expect(page.locator(".rd-diff ins").filter(has_text="restless").first).to_be_visible()
    expect(page.get_by_text("Readers have chosen an option of the published text already")).to_be_visible()
    press(page.get_by_role("button", name="Accept"))
    expect(page.locator(".rd-diff")).to_have_count(0)
    expect(page.locator("article.rd-read")).to_contain_text("The harbour lay restless")
    expect(page.locator(".rd-options")).to_contain_text("Go down to the boats")  # options that readers chose from stay

    press(page.get_by_role("button", name="Compare").last)
    press(page.get_by_role("button", name="Roll back to this version"))
    expect(page.locator(".rd-diff")).to_have_count(0)
    expect(page.locator("article.rd-read")).to_contain_text("It began in the harbour.")
    assert stack.query("select action from ops.audit_log where action in ('accept_draft', 'roll_back_chapter') order by 1") == [
        ("accept_draft",), ("roll_back_chapter",)]


def _redis_url(stack: Stack) -> str:
    return next(value for name, value in stack.urls.items() if name.lower() == "redis_url")
