"""A cause from the list to its end: looked at by two people, ignored, left out of a plan, reopened, and retried as a whole."""

import re

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import PATIENCE, expect_outcome, open_page, open_plan_of_everything, settle

POOL = "connection pool exhausted"


def open_cause(page: Page, stack: Stack) -> str:
    """Problems, its view Causes, and from there the cause of the dry connection pool; returns the cause's address."""
    open_page(page, stack, "problems", "Problems")
    page.get_by_role("radio", name="Causes").or_(page.get_by_role("button", name="Causes")).first.click()
    listed = page.locator("[class*='st-key-cause-']").filter(has_text=POOL)
    expect(listed).to_be_visible(timeout=PATIENCE)
    assert "view=cause" in page.url
    listed.get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Cause", exact=True, level=1)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("What usually helps:")).to_be_visible(timeout=PATIENCE)
    return page.url


def test_a_cause_is_ignored_left_out_reopened_and_retried_as_a_whole(person, stack: Stack):
    page = person()
    address = open_cause(page, stack)
    expect(page.get_by_text("Check pool settings")).to_be_visible()
    ((count,),) = stack.query("select count(*) from ops.problems where error_kind = 'save_pool_exhausted'")

    page.get_by_role("button", name="Ignore").click()
    page.get_by_label("Why (told to others)").fill("the pool is being changed")
    page.get_by_role("button", name="Ignore it").click()
    expect(page.get_by_text("the pool is being changed").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Retry all of it")).to_be_disabled()

    other = person()
    open_page(other, stack, "problems", "Problems")
    dialog = open_plan_of_everything(other)
    expect(dialog.get_by_text(re.compile(rf"{count} · Its cause is ignored"))).to_be_visible(timeout=PATIENCE)
    assert stack.query("select count(*) from ops.operations") == [(0,)]
    other.goto(address)
    expect(other.get_by_text("Looking at it now:")).to_be_visible(timeout=PATIENCE)

    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Retry all of it").last).to_be_enabled(timeout=PATIENCE)
    settle(page)
    page.get_by_role("button", name="Retry all of it").click()
    expect_outcome(page, f"{count} retried, {count} healthy")

    page.goto(address)
    expect(page.get_by_text(f"{count} of {count} retries succeeded (100 %)").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("No problem has this cause now.")).to_be_visible()
    expect(page.get_by_text("reopened it")).to_be_visible()
    assert stack.query("select action from ops.audit_log order by audit_id") == [("cause_ignored",), ("cause_reopened",), ("retry",)]
