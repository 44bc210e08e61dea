"""A cause from the list to its end: looked at by two people, ignored, left out of a plan, reopened, and retried as a whole."""

import re

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import expect_outcome, open_page, open_plan_of_everything, press, settle

POOL = "connection pool exhausted"


def open_cause(page: Page, stack: Stack) -> str:
    """Problems, its view Causes, and from there the cause of the dry connection pool; returns the cause's address."""
    open_page(page, stack, "problems", "Problems")
    press(page.get_by_role("radio", name="Causes").or_(page.get_by_role("button", name="Causes")).first)
    listed = page.locator("[class*='st-key-cause-']").filter(has_text=POOL)
    expect(listed).to_be_visible()
    expect(page).to_have_url(re.compile("view=cause"))
    press(listed.get_by_role("link", name="Open"))
    expect(page.get_by_role("heading", name="Cause", exact=True, level=1)).to_be_visible()
    expect(page.get_by_text("What usually helps:")).to_be_visible()
    return page.url


def test_a_cause_is_ignored_left_out_reopened_and_retried_as_a_whole(person, stack: Stack):
    page = person()
    address = open_cause(page, stack)
    expect(page.get_by_text("Check pool settings")).to_be_visible()
    ((count,),) = stack.query("select count(*) from ops.problems where error_kind = 'save_pool_exhausted'")

    press(page.get_by_role("button", name="Ignore"))
    why = page.get_by_label("Why (told to others)")
    expect(why).to_be_visible()
    settle(page)
    why.fill("the pool is being changed")
    page.get_by_role("button", name="Ignore it").click()
    expect(page.get_by_text("the pool is being changed").first).to_be_visible()
    expect(page.get_by_role("button", name="Retry all of it")).to_be_disabled()

    other = person()
    open_page(other, stack, "problems", "Problems")
    dialog = open_plan_of_everything(other)
    expect(dialog.get_by_text(re.compile(rf"{count} · Its cause is ignored"))).to_be_visible()
    assert stack.query("select count(*) from ops.operations") == [(0,)]
    other.goto(address)
    expect(other.get_by_text("Looking at it now:")).to_be_visible()

    press(page.get_by_role("button", name="Reopen"))
    press(page.get_by_role("button", name="Retry all of it"))
    expect_outcome(page, f"{count} retried, {count} healthy")

    page.goto(address)
    expect(page.get_by_text(f"{count} of {count} retries succeeded (100 %)").first).to_be_visible()
    expect(page.get_by_text("No problem has this cause now.")).to_be_visible()
    expect(page.get_by_text("reopened it")).to_be_visible()
    assert stack.query("select action from ops.audit_log order by audit_id") == [("cause_ignored",), ("cause_reopened",), ("retry",)]
