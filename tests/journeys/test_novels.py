"""Novels in a browser: chapters of several novels retried at once, found by a word of their text, reached with the keyboard alone."""

import re

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import open_page, press, settle
from tests.processes import wait_for


def broken(stack: Stack) -> list[tuple]:
    return stack.query("select owner_id, part from ops.problems where kind = 'chapter' order by 1, 2")


def test_a_novel_is_found_by_its_text_and_a_chapter_chosen_and_opened_by_keys(page: Page, shared_stack: Stack):
    stack = shared_stack
    novel_id, number, words = stack.query(
        "select c.novel_id, c.chapter_number, substr(c.content, 40, 8) from chapters c join novels n on n.id = c.novel_id "
        "where n.language like 'zh%%' and c.status = 'completed' and length(c.content) > 60 order by 1, 2 limit 1")[0]
    wrong = stack.query("select part from ops.problems where kind = 'chapter' and owner_id = %s order by part::int", novel_id)[0][0]
    open_page(page, stack, "novels", "Novels")
    settle(page)
    field = page.get_by_placeholder("Words of a title or a text")
    field.fill(words)
    field.press("Enter")
    expect(page.locator(".novel")).to_have_count(1)
    expect(page.locator(f'[data-id="{novel_id}"]')).to_be_visible()
    settle(page)

    first = page.locator(".square").first
    first.focus()
    for _step in range(int(wrong) - 1):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="Retry 1 item", exact=True)).to_be_visible()
    expect(page.locator(f'.square[data-number="{wrong}"]')).to_be_focused()
    settle(page)
    page.keyboard.press("Home")
    for _step in range(number - 1):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(rf"chapter\?novel={novel_id}&number={number}"))
    expect(page.get_by_text(words).first).to_be_visible()


def test_broken_chapters_of_two_novels_are_chosen_retried_and_turn_green_where_they_stand(page: Page, shared_stack: Stack):
    stack = shared_stack
    before = broken(stack)
    owners = sorted({owner for owner, _part in before})
    assert len(owners) > 1
    open_page(page, stack, "novels", "Novels")
    for owner in owners:
        settle(page)
        page.locator(f'[data-id="{owner}"]').get_by_role("checkbox", name=re.compile("^Choose all")).check()
    press(page.get_by_role("button", name=f"Retry {len(before)} items", exact=True))

    expect(page.locator(".square:not(.completed)")).to_have_count(0)
    expect(page.get_by_text(re.compile(r"^\d+ broken$"))).to_have_count(0)
    expect(page.locator(".novel")).to_have_count(stack.query("select count(*) from novels")[0][0])
    expect(page.get_by_role("button", name="Clear selection")).to_have_count(0)
    wait_for(lambda: not broken(stack), what="the detector to see it")
