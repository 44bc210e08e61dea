"""People: reloading in the middle, pressing at once, choosing by hand, one cell at a time."""

import re
from collections.abc import Iterable

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import BULK, Stack
from tests.journeys.steps import expect_outcome, items_done, open_page, open_plan_of_everything, retry_small, settle, type_count
from tests.journeys.test_incidents import AGENTS, SAVE_FAILURE, good_tutorials, requests_of
from tests.model_server import HELD, Faults, held_but
from tests.processes import wait_for


@pytest.mark.model(latency_seconds=held_but(5))
def test_a_reload_in_the_middle_shows_the_same_truth(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)
    wait_for(lambda: page.get_by_text("of 21 done").count() and items_done(page) == 5, what="the first items to be done")

    page.reload()

    expect(page.get_by_text("of 21 done").first).to_be_visible()
    assert items_done(page) == 5
    stack.model.latency_seconds = 0.0
    expect_outcome(page, "21 retried, 21 healthy")
    assert requests_of(stack) == 21


def winner(pages: Iterable[Page], words: re.Pattern[str]) -> Page:
    """Of two people who pressed at once the one who was first; the other is told so in these words."""
    late = wait_for(lambda: [page for page in pages if page.get_by_text(words).count()], what="one of the two to be told")
    first, = set(pages) - set(late)
    return first


@pytest.mark.model(latency_seconds=HELD)
def test_two_people_pressing_at_once_make_one_operations_worth_of_work(person, stack: Stack):
    first, second = person(), person()
    for page in (first, second):
        open_page(page, stack, f"problems?owner={AGENTS}", "Problems")

    for page in (first, second):
        settle(page)
    for page in (first, second):
        page.get_by_role("button", name="Retry everything that is broken").click(no_wait_after=True)

    # The second click is planned before the first is stored, or after it: then nothing in the scope is broken any more.
    nothing_twice = re.compile("already being (worked on|retried)|nothing to retry in this scope", re.IGNORECASE)
    winning = winner((first, second), nothing_twice)
    stack.model.latency_seconds = 0.0
    expect_outcome(winning, "21 retried, 21 healthy")
    assert requests_of(stack) == 21
    assert good_tutorials(stack, AGENTS) == 21
    assert stack.query("select count(*) from ops.operations")[0][0] == 1


@pytest.mark.set_up(**BULK)
@pytest.mark.model(latency_seconds=HELD)
def test_two_people_confirming_the_same_large_plan_make_one_operations_worth_of_work(person, stack: Stack):
    first, second = person(), person()
    dialogs = []
    for page in (first, second):
        # What is missing asks the model: nothing of it ends, and may be retried again, before the other has confirmed.
        open_page(page, stack, f"problems?owner={SAVE_FAILURE}&problem=missing", "Problems")
        dialogs.append(open_plan_of_everything(page))
        type_count(dialogs[-1], 72)

    for dialog in dialogs:
        dialog.get_by_role("button", name="Confirm").click(no_wait_after=True)

    winning = winner((first, second), re.compile("already being retried"))
    stack.model.latency_seconds = 0.0
    expect_outcome(winning, "72 retried, 72 healthy")
    assert requests_of(stack) == 72
    assert good_tutorials(stack, SAVE_FAILURE) == 34
    assert stack.query("select count(*) from ops.operations")[0][0] == 1


@pytest.mark.set_up(REDRIVE_BREAKER_SECONDS="1")  # some failures may come in a row
@pytest.mark.model(faults=Faults({"429-retry-after": 0.2, "429": 0.1, "500": 0.2}, seed=3))
def test_a_model_that_answers_429_and_500_at_times_ends_in_a_true_state(page: Page, stack: Stack):
    open_page(page, stack, f"problems?owner={AGENTS}", "Problems")
    retry_small(page, 21)

    expect_outcome(page, "21 retried, ")
    good = good_tutorials(stack, AGENTS)
    states = dict(stack.query("select state, count(*) from ops.items group by state"))
    listed = stack.query("select count(*) from ops.problems where owner_id = %s", AGENTS)[0][0]
    assert states.get("succeeded", 0) == good
    assert states.get("failed", 0) == listed == 21 - good
