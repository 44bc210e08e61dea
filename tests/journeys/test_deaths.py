"""What dies in the middle of an operation is started again, and the operation ends with exactly its items."""

import re
import signal

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack, restarted
from tests.journeys.steps import expect_outcome, open_page, retry_small
from tests.journeys.test_incidents import AGENTS, good_tutorials, requests_of
from tests.model_server import held_but
from tests.processes import wait_for

ITEMS, AT_ONCE = 21, 8  # a worker writes so many at the same time
DONE = 5  # before the death; the model holds up the others until then


def workers_of(stack: Stack) -> list[psutil.Process]:
    return [child for child in psutil.Process(stack.process.pid).children() if "workers.main" in " ".join(child.cmdline())]


def begin_retry(page: Page, stack: Stack) -> str:
    """The operation, when the page says that a part of it is written and another part is being written."""
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, ITEMS)
    wait_for(lambda: done_so_far(page) == DONE and requests_of(stack) > DONE, what="a part of it to be written")
    assert stack.query("select 1 from ops.items where state = 'running' limit 1")
    return stack.query("select operation_id from ops.operations")[0][0]


def done_so_far(page: Page) -> int:
    """As the page says it, whether the operation runs or has ended."""
    if page.get_by_text(f"{ITEMS} retried").count():
        return ITEMS
    told = " ".join(page.get_by_text(re.compile(rf"\d+ of {ITEMS} done")).all_inner_texts())
    return max(map(int, re.findall(rf"(\d+) of {ITEMS} done", told)), default=0)


def expect_exactly_its_items(stack: Stack, operation_id: str) -> None:
    """Each key once and succeeded, each with one row; only what was being written at the death may have been asked for twice."""
    assert stack.query("select operation_id, state, count(*), count(distinct part) from ops.items group by 1, 2") == [
        (operation_id, "succeeded", ITEMS, ITEMS)]
    assert good_tutorials(stack, AGENTS) == ITEMS
    assert stack.query("select count(*) from tutorial_metadata where roadmap_id = %s", AGENTS)[0][0] == ITEMS


@pytest.mark.model(latency_seconds=held_but(DONE))
def test_a_worker_that_is_killed_in_the_middle_is_replaced_while_the_page_goes_on(page: Page, stack: Stack):
    operation_id = begin_retry(page, stack)

    for worker in workers_of(stack):
        for horse in worker.children():
            horse.send_signal(signal.SIGKILL)
        worker.send_signal(signal.SIGKILL)

    stack.model.latency_seconds = 0.0
    wait_for(lambda: done_so_far(page) > DONE, what="the page to go on")
    expect_outcome(page, re.escape(f"{ITEMS} retried, {ITEMS} healthy"))
    expect_exactly_its_items(stack, operation_id)
    assert requests_of(stack) <= ITEMS + 2 * AT_ONCE


@pytest.mark.model(latency_seconds=held_but(DONE))
def test_a_restart_of_everything_in_the_middle_goes_on_where_it_was(page: Page, stack: Stack):
    operation_id = begin_retry(page, stack)

    with restarted(stack) as again:
        stack.model.latency_seconds = 0.0
        open_page(page, again, f"operations?operation={operation_id}", "Operations")

        expect(page.get_by_text(f"{ITEMS} retried, {ITEMS} healthy").first).to_be_visible()
        expect_exactly_its_items(again, operation_id)
        assert again.query("select state from ops.operations")[0][0] == "completed"
    assert requests_of(stack) <= ITEMS + 2 * AT_ONCE
