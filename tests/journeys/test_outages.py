"""What a person sees while a server is away, and that the page comes back by itself."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Stack
from tests.journeys.steps import expect_outcome, open_page, retry_small
from tests.journeys.test_incidents import AGENTS, good_tutorials, requests_of
from tests.journeys.test_screens import photograph
from tests.model_server import HELD
from tests.processes import wait_for


def server_of(stack: Stack, name: str) -> psutil.Process:
    """The private PostgreSQL or Valkey that `redrive up` started."""
    def found():
        children = psutil.Process(stack.process.pid).children(recursive=True)
        return next((child for child in children if child.name().startswith(name) and child.parent().pid == stack.process.pid), None)
    return wait_for(found, what=f"{name} to run")


@contextmanager
def without(stack: Stack, name: str) -> Iterator[None]:
    """The server is dead, and nobody starts it again until the block ends."""
    server = server_of(stack, name)
    stack.process.send_signal(signal.SIGSTOP)
    try:
        server.kill()
        yield
    finally:
        stack.process.send_signal(signal.SIGCONT)


def test_with_postgresql_stopped_each_page_says_so_and_recovers_by_itself(person, stack: Stack):
    pages = {path: person() for path in ("", "problems", "roadmap", "tasks", "workers")}
    for path, page in pages.items():
        page.goto(f"{stack.address}/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()

    with without(stack, "postgres"):
        for path, page in pages.items():
            page.reload()
            expect(page.get_by_text("PostgreSQL does not answer.")).to_be_visible()
            expect(page.get_by_test_id("stException")).to_have_count(0)
            photograph(page, f"outage-{path or 'overview'}")

    for page in pages.values():
        expect(page.get_by_text("PostgreSQL does not answer.")).to_have_count(0)
        expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.model(latency_seconds=0.2)
def test_with_redis_stopped_a_retry_is_parked_said_so_and_done_afterwards(page: Page, stack: Stack):
    with without(stack, "valkey-server"):
        open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
        retry_small(page, 21)
        expect(page.get_by_text("parked").first).to_be_visible()
        photograph(page, "redis-down")

    expect_outcome(page, re.escape("21 retried, 21 healthy"))
    assert requests_of(stack) == 21


@pytest.mark.model(latency_seconds=HELD)
def test_redis_killed_in_the_middle_loses_and_doubles_nothing(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)
    wait_for(lambda: stack.query("select count(*) from ops.items where state = 'running'")[0][0], what="an item to run")

    server_of(stack, "valkey-server").kill()
    stack.model.latency_seconds = 0.2

    expect_outcome(page, re.escape("21 retried, 21 healthy"))
    assert good_tutorials(stack, AGENTS) == 21
    assert stack.query("select count(*) from tutorial_metadata where roadmap_id = %s", AGENTS)[0][0] == 21
    assert requests_of(stack) >= 21
