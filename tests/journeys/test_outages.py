"""What a person sees while a server is away, and that the page comes back by itself."""

import os
import re
import signal

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import PATIENCE, confirm, expect_outcome, open_page, open_plan_of_everything
from tests.journeys.test_incidents import AGENTS, good_tutorials, requests_of
from tests.processes import wait_for


def server_of(stack: Stack, name: str) -> psutil.Process:
    """The private PostgreSQL or Valkey that `redrive up` started."""
    def found():
        children = psutil.Process(stack.process.pid).children(recursive=True)
        return next((child for child in children if child.name().startswith(name) and child.parent().pid == stack.process.pid), None)
    return wait_for(found, what=f"{name} to run")


@pytest.mark.parametrize("path", ["", "problems", "roadmap"])
def test_with_postgresql_stopped_a_page_says_so_and_recovers_by_itself(page: Page, stack: Stack, path):
    page.goto(f"{stack.address}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE)
    postgres = server_of(stack, "postgres")
    postgres.suspend()
    os.kill(postgres.pid, signal.SIGKILL)

    page.reload()
    # The supervisor starts it again within a second or two; a page that asked meanwhile says so and comes back.
    wait_for(lambda: page.get_by_text("PostgreSQL does not answer").count() or page.get_by_role("heading", level=1).count(),
             what="the page to say something")

    expect(page.get_by_text("PostgreSQL does not answer")).to_have_count(0, timeout=PATIENCE)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE)


@pytest.mark.model(latency_seconds=2.0)
def test_redis_killed_in_the_middle_loses_and_doubles_nothing(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    confirm(open_plan_of_everything(page))
    wait_for(lambda: stack.query("select count(*) from ops.items where state = 'running'")[0][0], what="an item to run")

    server_of(stack, "valkey-server").kill()

    expect_outcome(page, re.escape("21 retried, 21 healthy"))
    assert good_tutorials(stack, AGENTS) == 21
    assert stack.query("select max(c) from (select count(*) c from tutorial_metadata where roadmap_id = %s group by concept_id) x", AGENTS)[0][0] == 1
    assert requests_of(stack) >= 21


@pytest.mark.model(latency_seconds=2.0)
def test_a_worker_killed_in_the_middle_is_started_again_and_all_is_written(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    confirm(open_plan_of_everything(page))
    wait_for(lambda: stack.query("select count(*) from ops.items where state = 'running'")[0][0], what="an item to run")

    for child in psutil.Process(stack.process.pid).children():
        if "workers.main" in " ".join(child.cmdline()):
            child.kill()

    expect_outcome(page, re.escape("21 retried, 21 healthy"))
    assert good_tutorials(stack, AGENTS) == 21
