"""Stop means stop: a bulk is cancelled from the page, and its content is what it was before."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import expect_started, open_page, open_plan_of_everything, press, retry_small, settle
from tests.journeys.test_incidents import AGENTS, requests_of
from tests.journeys.test_screens import photograph
from tests.model_server import HELD
from tests.processes import frozen, wait_for

FROZEN = {"REDRIVE_LEASE_SECONDS": "900"}  # work-horses hold still for as long as a busy machine needs


def statuses_of(stack: Stack, roadmap_id: str) -> dict[str, tuple[str | None, ...]]:
    """concept_id -> its three statuses in framework_data."""
    data = stack.query("select framework_data from roadmap_metadata where roadmap_id = %s", roadmap_id)[0][0]
    return {concept["concept_id"]: tuple(concept.get(f"{name}_status") for name in ("content", "resources", "quiz"))
            for stage in data["stages"] for module in stage["modules"] for concept in module["concepts"]}


def states_of(stack: Stack) -> dict[str, int]:
    return dict(stack.query("select state, count(*) from ops.items group by state"))


@contextmanager
def frozen_work(stack: Stack) -> Iterator[None]:
    """The work-horses cannot confirm anything until the block ends: what is shown in between is no matter of luck."""
    workers = [child for child in psutil.Process(stack.process.pid).children() if "workers.main" in " ".join(child.cmdline())]
    horses = [horse for worker in workers for horse in worker.children()]
    assert horses
    with frozen(stack.database_url, *horses):
        yield


@pytest.mark.model(latency_seconds=HELD)
@pytest.mark.set_up(**FROZEN)
def test_a_bulk_is_cancelled_shown_as_cancelling_then_cancelled_and_its_content_is_as_before(page: Page, stack: Stack):
    before = statuses_of(stack, AGENTS)
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)
    wait_for(lambda: states_of(stack).get("running", 0) >= 8 and requests_of(stack) >= 8, what="items to be written")
    assert statuses_of(stack, AGENTS) != before

    with frozen_work(stack):
        press(page.get_by_role("button", name="Cancel", exact=True))
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("In your own words").fill("wrong roadmap")
        press(dialog.get_by_role("button", name="Cancel it"))
        expect(dialog).to_be_hidden()
        expect(page.get_by_text(re.compile(r"\d+ cancelling"))).to_be_visible()
        expect(page.get_by_text(re.compile("Waiting for .* to stop"))).to_be_visible()
        photograph(page, "cancelling")

    expect(page.get_by_text("0 retried, 21 cancelled").first).to_be_visible()
    expect(page.get_by_text("failed again")).to_have_count(0)
    assert states_of(stack) == {"cancelled": 21}
    assert statuses_of(stack, AGENTS) == before
    wait_for(lambda: stack.query("select count(*) from ops.problems where owner_id = %s", AGENTS) == [(21,)],
             what="the detector to see them")
    assert stack.query("select status from tasks where task_type = 'retry_tutorial' order by created_at desc limit 1")[0][0] == "cancelled"
    asked = requests_of(stack)

    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    assert requests_of(stack) == asked
    watching = page.context.new_page()
    open_page(watching, stack, "workers", "Workers")
    expect(watching.get_by_text("Nothing is planned, queued or running.")).to_be_visible()
    dialog = open_plan_of_everything(page)
    expect(dialog.get_by_text("21 · Somebody cancelled it.")).to_be_visible()
    press(dialog.get_by_role("button", name="Reopen them"))
    expect(dialog.get_by_role("button", name="Confirm")).to_be_enabled()
    press(dialog.get_by_role("button", name="Confirm"))
    expect_started(page, 21)

    expect(watching.get_by_text("21 items are planned, queued or running.")).to_be_visible()  # without a reload
    press(watching.get_by_role("button", name="Cancel everything"))
    dialog = watching.get_by_role("dialog")
    dialog.get_by_label("In your own words").fill("the journey ends")
    press(dialog.get_by_role("button", name="Cancel it"))
    expect(dialog).to_be_hidden()
    wait_for(lambda: states_of(stack) == {"cancelled": 42}, what="everything to be cancelled")


@pytest.mark.model(latency_seconds=HELD)
def test_a_task_is_followed_live_and_tells_the_same_after_a_reload(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)
    task_id = stack.query("select task_id from ops.items limit 1")[0][0]
    open_page(page, stack, f"tasks?task={task_id}", "Tasks")
    expect(page.get_by_text("Processing").first).to_be_visible()
    stack.model.latency_seconds = 0.5

    expect(page.get_by_text("Task ended: completed")).to_be_visible()

    expect(page.get_by_text("21 of 21 done")).to_be_visible()
    log = page.locator(".st-key-task-log").inner_text()
    assert log.count("succeeded") == 21
    page.reload()
    expect(page.get_by_text("Task ended: completed")).to_be_visible()
    settle(page)
    assert page.locator(".st-key-task-log").inner_text() == log
    photograph(page, "task-completed")


@pytest.mark.model(latency_seconds=HELD)
@pytest.mark.set_up(REDRIVE_FORCE_STOP_SECONDS="2", **FROZEN)
def test_a_worker_that_does_not_stop_is_stopped_by_force_and_what_is_innocent_goes_on(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)
    wait_for(lambda: states_of(stack).get("running", 0) >= 8, what="items to be written")
    task_id = stack.query("select task_id from ops.items limit 1")[0][0]
    item_id = stack.query("select item_id from ops.items where state = 'running' order by item_id limit 1")[0][0]

    with frozen_work(stack):
        open_page(page, stack, f"tasks?task={task_id}", "Tasks")
        expect(page.get_by_role("button", name="Cancel selected items")).to_be_visible()
        settle(page)
        table = page.get_by_test_id("stDataFrame").last
        expect(table.locator("[role=gridcell]").first).to_be_attached()
        table.click(position={"x": 16, "y": 52})  # its boxes are drawn on a canvas: the first row is chosen by where it is
        press(page.get_by_role("button", name="Cancel 1 item", exact=True))
        press(page.get_by_role("dialog").get_by_role("button", name="Cancel it"))
        wait_for(lambda: stack.query("select 1 from ops.items where item_id = %s and cancel_requested_at is not null", item_id),
                 what="the item to be told to stop")
        press(page.get_by_role("button", name="Force stop 1 item"))
        page.get_by_role("dialog").get_by_label("In your own words").fill("it hangs")
        press(page.get_by_role("dialog").get_by_role("button", name="Stop by force"))
        expect(page.get_by_role("dialog")).to_have_count(0)
        wait_for(lambda: stack.query("select state from ops.items where item_id = %s", item_id) == [("cancelled",)],
                 what="the item to be stopped by force")
        photograph(page, "force-stopped")

    stack.model.latency_seconds = 0.0
    wait_for(lambda: states_of(stack) == {"cancelled": 1, "succeeded": 20}, what="the innocent items to be written again")
    assert stack.query("select max(attempt - returned_count) from ops.items")[0][0] == 1
    assert stack.query("select count(*) from ops.audit_log where action = 'force_stop'")[0][0] == 1
