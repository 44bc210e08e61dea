"""One click and Undo; a retry of many of which some fail, its ledger, and the retry of only those."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import BULK, Stack
from tests.journeys.steps import expect_outcome, open_page, press, retry_large, retry_small, settle
from tests.journeys.test_incidents import AGENTS, SAVE_FAILURE, good_tutorials, requests_of
from tests.journeys.test_screens import photograph, show
from tests.model_server import Faults
from tests.processes import wait_for


def problems_of(stack: Stack, owner_id: str) -> list[tuple]:
    return stack.query("select kind, part, problem_kind from ops.problems where owner_id = %s order by 1, 2", owner_id)


def marks_of(stack: Stack, owner_id: str) -> tuple:
    return stack.query("select framework_data from roadmap_metadata where roadmap_id = %s", owner_id)[0]


@pytest.mark.set_up(REDRIVE_ARMED_SECONDS="900")
def test_one_click_and_undo_in_time_asks_no_model_and_leaves_everything_as_before(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    before, marks = problems_of(stack, AGENTS), marks_of(stack, AGENTS)
    assert len(before) == 21

    retry_small(page, 21)
    expect(page.get_by_text("of 21 done, starts in")).to_be_visible()
    photograph(page, "armed")
    press(page.get_by_role("button", name="Undo"))

    expect(page.get_by_text("nothing was begun, 21 items taken back").first).to_be_visible()
    stack.query("update ops.operations set starts_at = now()")
    seen = "select 1 from ops.heartbeats, ops.operations where role = 'maintenance' and beat_at > starts_at + interval '2 seconds'"
    wait_for(lambda: stack.query(seen), what="the time of its start to pass")
    settle(page)
    expect(page.get_by_role("button", name="Retry everything that is broken")).to_be_enabled()
    assert stack.query("select state, count(*) from ops.items group by state") == [("cancelled", 21)]
    assert stack.query("select state from ops.operations") == [("undone",)]
    assert (problems_of(stack, AGENTS), marks_of(stack, AGENTS)) == (before, marks)
    assert requests_of(stack) == 0


def download(page: Page, name: str) -> str:
    with page.expect_download() as downloaded:
        press(page.get_by_role("button", name=name, exact=True))
    return Path(downloaded.value.path()).read_text()


@pytest.mark.set_up(**BULK)
@pytest.mark.model(latency_seconds=0.3, faults=Faults({"refusal": 0.2}, seed=5))
def test_a_retry_of_many_of_which_some_fail_has_a_ledger_that_adds_up(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={SAVE_FAILURE}", "Problems")
    retry_large(page, 102)
    press(page.get_by_role("link", name="Open").first)
    expect(page.get_by_role("heading", name="Operations", exact=True, level=1)).to_be_visible()
    expect(page.get_by_text("102 items in the scope, each once:")).to_be_visible()

    expect_outcome(page, r"102 retried, \d+ healthy, \d+ failed again")
    states = dict(stack.query("select state, count(*) from ops.items group by state"))
    expect(page.get_by_text(f"✕ {states['failed']} failed", exact=True)).to_have_count(3)  # the bar, its group and the sum of the ledger
    causes = page.get_by_role("row").filter(has_text="Model refused").first
    expect(causes).to_contain_text(re.compile(rf"^{states['failed']}\D"))
    settle(page)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    photograph(page, "operation-ended")
    assert states["failed"] > 1
    assert sum(states.values()) == 102

    table = list(csv.DictReader(io.StringIO(download(page, "CSV"))))
    document = json.loads(download(page, "JSON"))
    assert Counter(row["outcome"] for row in table) == Counter(states)
    assert len({(row["kind"], row["owner_id"], row["part"]) for row in table}) == len(document) == 102
    failed = {(row["kind"], row["part"]) for row in table if row["outcome"] == "failed"}
    assert {(kind, part) for kind, part, _problem in problems_of(stack, SAVE_FAILURE)} == failed

    stack.model.faults = None
    asked = requests_of(stack)
    press(page.get_by_role("button", name="Retry only those that failed again"))
    ended = "select count(*) from ops.operations where state = 'completed'"
    wait_for(lambda: stack.query(ended)[0][0] == 2, what="the rest to be written")
    assert stack.query("select planned_count from ops.operations order by created_at desc limit 1") == [(len(failed),)]
    assert problems_of(stack, SAVE_FAILURE) == []
    assert requests_of(stack) - asked == len(failed)
    assert good_tutorials(stack, SAVE_FAILURE) == 34

    show(page, stack, "operations?state=completed")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    photograph(page, "operations")
