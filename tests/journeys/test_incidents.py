"""The two incidents that Redrive exists for, from page to green."""

import re

from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import expect_outcome, open_page, open_plan_of_everything, press, retry_small, type_count

AGENTS = "agent-performance-optimization"
SIBLING = "postgresql-in-production"
SAVE_FAILURE = "machine-learning-foundations"


def good_tutorials(stack: Stack, roadmap_id: str) -> int:
    return stack.query(
        "select count(*) from tutorial_metadata where roadmap_id = %s and is_latest and content_status = 'completed' "
        "and content_url <> ''", roadmap_id)[0][0]


def requests_of(stack: Stack) -> int:
    return sum(request.path.endswith("/chat/completions") for request in stack.model.requests)


def test_the_retry_that_did_nothing_now_writes_all_21(page: Page, shared_stack: Stack):
    stack, asked = shared_stack, requests_of(shared_stack)
    assert good_tutorials(stack, AGENTS) == 0
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")

    retry_small(page, 21)

    expect_outcome(page, "21 retried, 21 healthy")
    assert good_tutorials(stack, AGENTS) == 21
    assert requests_of(stack) - asked == 21
    expect(page.get_by_role("button", name="Retry everything that is broken")).to_have_count(0)
    task = stack.query(
        "select status, failed_concepts, execution_summary from tasks where roadmap_id = %s and task_type = 'retry_tutorial' "
        "order by created_at desc limit 1", AGENTS)[0]
    assert (task[0], task[1], task[2]["completed"]) == ("completed", None, 21)


def test_its_sibling_retries_11_and_leaves_the_10_saved_ones_alone(page: Page, shared_stack: Stack):
    stack, asked = shared_stack, requests_of(shared_stack)
    before = stack.query("select tutorial_id from tutorial_metadata where roadmap_id = %s order by 1", SIBLING)
    open_page(page, stack, f"problems?owner={SIBLING}", "Problems")

    retry_small(page, 11)

    expect_outcome(page, "11 retried, 11 healthy")
    after = stack.query("select tutorial_id from tutorial_metadata where roadmap_id = %s order by 1", SIBLING)
    assert len(before) == 10
    assert set(before) < set(after)
    assert good_tutorials(stack, SIBLING) == 21
    assert requests_of(stack) - asked == 11


def test_the_save_that_took_everything_down_is_repaired_and_written_in_one_action(page: Page, shared_stack: Stack):
    stack, asked = shared_stack, requests_of(shared_stack)
    open_page(page, stack, f"problems?owner={SAVE_FAILURE}", "Problems")

    dialog = open_plan_of_everything(page)
    expect(dialog.get_by_text("30 items only need their status put right")).to_be_visible()
    type_count(dialog, 102)
    press(dialog.get_by_role("button", name="Confirm"))

    expect_outcome(page, "102 retried, 102 healthy")
    assert requests_of(stack) - asked == 72
    assert good_tutorials(stack, SAVE_FAILURE) == 34
    page.goto(f"{stack.address}/roadmap?id={SAVE_FAILURE}")
    expect(page.get_by_text(re.compile(r"100\s?%")).first).to_be_visible()
