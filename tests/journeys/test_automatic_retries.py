"""A rule is made from a suggestion, turned on, and does its work while one looks."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import AUTOMATIC, Stack
from tests.journeys.steps import confirm_by_keys, open_page, press, settle
from tests.journeys.test_screens import photograph
from tests.processes import wait_for


def broken_covers(stack: Stack) -> int:
    return stack.query("select count(*) from ops.problems where kind = 'cover' and problem_kind <> 'cancelled'")[0][0]


@pytest.mark.set_up(**AUTOMATIC)
def test_a_rule_for_covers_is_turned_on_and_makes_them_by_itself(page: Page, stack: Stack):
    broken = broken_covers(stack)
    open_page(page, stack, "automatic", "Automatic retries")
    press(page.get_by_role("button", name=re.compile("Suggested: covers")))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Save")).to_be_visible()
    settle(page)
    dialog.get_by_label(re.compile("^Why")).fill("they fail briefly")
    expect(dialog.get_by_role("button", name="Save")).to_be_enabled()
    confirm_by_keys(dialog)
    assert stack.query("select count(*) from ops.operations") == [(0,)]

    switch = page.get_by_role("switch", name="On")
    expect(switch).not_to_be_checked()
    press(page.get_by_text("On", exact=True))

    expect(page.get_by_text(re.compile("nothing of it is broken|stay for people"))).to_be_visible()
    expect(page.get_by_text(re.compile(rf"{broken} of {broken} retries succeeded"))).to_be_visible()
    expect(switch).to_be_checked()
    assert stack.query("select distinct actor_id, priority from ops.operations") == [("automatic", "automatic")]
    wait_for(lambda: broken_covers(stack) == 0, what="the detector to see it")
    photograph(page, "automatic-done")
