"""An operation that stops by itself, seen by a person and by the model's own log."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import BULK, Stack
from tests.journeys.steps import confirm_by_keys, open_page, open_plan_of_everything, press, retry_large, retry_small, settle, type_count
from tests.journeys.test_incidents import AGENTS, requests_of
from tests.journeys.test_screens import photograph, show
from tests.model_answers import Behaviour
from tests.model_server import HELD, Faults
from tests.processes import wait_for

CANARY, WINDOW = 3, 20


class FromThen(Faults):
    """Good answers to the first requests, in order of arrival; from then on all misbehave."""

    def __init__(self, good: int, behaviour: Behaviour) -> None:
        super().__init__({})
        self.good, self._then, self._seen = good, behaviour, 0

    def draw(self) -> Behaviour:
        self._seen += 1
        return Behaviour.OK if self._seen <= self.good else self._then


def add_bulk(stack: Stack, concepts: int) -> None:
    """A roadmap of which nothing was written: three keys for each concept, all of one cause."""
    rows = [{"concept_id": f"bulk-{number:03}", "name": f"Concept {number}", "description": "", "estimated_hours": 1, "prerequisites": [],
             "difficulty": "easy", "keywords": [], "content_status": None, "resources_status": None, "quiz_status": None}
            for number in range(concepts)]
    framework = {"stages": [{"name": "All", "modules": [{"name": "All", "concepts": rows}]}]}
    stack.query("insert into roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at, updated_at) "
                "values ('bulk', 'u', 'A large roadmap', %s, now() - interval '2 days', now())", json.dumps(framework))
    stack.query("insert into roadmap_cover_images (roadmap_id, cover_image_url, generation_status, created_at, updated_at) "
                "values ('bulk', 'file:///cover.webp', 'success', now(), now())")
    wait_for(lambda: stack.query("select count(*) from ops.problems where owner_id = 'bulk'")[0][0] == 3 * concepts,
             what="the detector to list all of it")


@pytest.mark.set_up(REDRIVE_BREAKER_SECONDS="0.01", **BULK)  # each probe waits twice as long as the one before
@pytest.mark.model(latency_seconds=0.1, faults=FromThen(100, Behaviour.SERVER_ERROR))
def test_an_outage_in_the_middle_of_three_hundred_stops_the_operation_by_itself(person, stack: Stack):
    page = person()
    add_bulk(stack, 100)
    open_page(page, stack, "problems?owner=bulk", "Problems")
    retry_large(page, 300)

    expect(page.get_by_text("Stopped by itself").first).to_be_visible()
    wasted = requests_of(stack) - 100
    states = dict(stack.query("select state, count(*) from ops.items group by state"))
    failed = states["failed"]
    assert 0 < failed < wasted <= CANARY + WINDOW  # what met the outage when it was known lost no try
    assert states == {"succeeded": 100, "failed": failed, "skipped": 200 - failed}
    assert stack.query("select state from ops.operations") == [("stopped",)]

    operation_id = stack.query("select operation_id from ops.operations")[0][0]
    for scheme in ("light", "dark"):
        reader = person(color_scheme=scheme)
        show(reader, stack, f"operations?operation={operation_id}")
        expect(reader.get_by_text(f"{200 - failed} not started").first).to_be_visible()
        expect(reader.get_by_text("300 items in the scope, each once:")).to_be_visible()
        expect(reader.get_by_test_id("stException")).to_have_count(0)
        photograph(reader, f"operation-stopped-{scheme}")

    stack.model.faults = None
    page.goto(f"{stack.address}/operations?operation={operation_id}")
    press(page.get_by_role("button", name="Plan it again"))
    dialog = page.get_by_role("dialog")
    type_count(dialog, 200)
    photograph(page, "plan-again")
    confirm_by_keys(dialog)
    wait_for(lambda: stack.query("select count(*) from ops.operations where state = 'completed'")[0][0] == 1, seconds=300,
             what="the rest to be written")
    wait_for(lambda: stack.query("select count(*) from ops.problems where owner_id = 'bulk'") == [(0,)], what="the detector to see it")
    assert requests_of(stack) == 300 + wasted


@pytest.mark.set_up(**BULK)
@pytest.mark.model(latency_seconds=HELD)  # until the limits are changed
def test_a_running_operation_shows_its_groups_and_its_limits_are_changed(person, stack: Stack):
    page = person()
    open_page(page, stack, "problems", "Problems")
    dialog = open_plan_of_everything(page)
    count = int(re.search(r"Type ([\d,]+) to start", dialog.inner_text()).group(1).replace(",", ""))
    type_count(dialog, count)
    confirm_by_keys(dialog)
    operation_id = stack.query("select operation_id from ops.operations")[0][0]
    for scheme in ("light", "dark"):
        reader = person(color_scheme=scheme)
        show(reader, stack, f"operations?operation={operation_id}")
        expect(reader.get_by_text("Groups, by the cause they were planned for")).to_be_visible()
        photograph(reader, f"operation-groups-{scheme}")

    open_page(page, stack, "operations", "Operations")
    press(page.get_by_role("link", name="Open", exact=True))
    expect(page).to_have_url(re.compile(f"operation={operation_id}"))  # a link to the page on which it stands
    press(page.get_by_role("button", name="Limits"))
    limits = page.get_by_role("dialog")
    expect(limits.get_by_role("button", name="Change limits")).to_be_visible()
    settle(page)
    limits.get_by_role("spinbutton", name="Items at once").fill("2")
    limits.get_by_label("Reason (needed, written to the log)").fill("too fast for today")
    expect(limits.get_by_role("button", name="Change limits")).to_be_enabled()
    photograph(page, "operation-limits")
    press(limits.get_by_role("button", name="Change limits"))

    expect(limits).to_be_hidden()
    expect(page.get_by_text("at most 2 at once").first).to_be_visible()
    in_flight = "select count(*) from ops.items where state in ('queued', 'running') and action = 'generate'"
    stack.model.latency_seconds = 1.0
    wait_for(lambda: stack.query(in_flight)[0][0] <= 2, what="the dispatcher to obey")
    assert stack.query("select state from ops.operations") == [("running",)]  # not because it has ended
    assert stack.query("select reason from ops.audit_log where action = 'change_limits'") == [("too fast for today",)]


@pytest.mark.set_up(**BULK)
@pytest.mark.model(latency_seconds=HELD)  # until both are confirmed
def test_two_people_who_confirm_overlapping_scopes_have_the_union_done_once(person, stack: Stack):
    first, second = person(), person()
    open_page(second, stack, "problems", "Problems")
    dialog = open_plan_of_everything(second)
    count = int(re.search(r"Type ([\d,]+) to start", dialog.inner_text()).group(1).replace(",", ""))
    type_count(dialog, count)
    open_page(first, stack, f"problems?owner={AGENTS}", "Problems")
    before = stack.query("select kind, owner_id, part from ops.problems")

    retry_small(first, 21)
    confirm_by_keys(dialog)

    expect(second.get_by_text("21 items had been started by somebody else in the meantime").first).to_be_visible()
    stack.model.latency_seconds = 0.1
    ended = "select count(*) from ops.operations where state = 'completed'"
    wait_for(lambda: stack.query(ended)[0][0] == 2, seconds=300, what="both operations to end")
    written = stack.query("select kind, owner_id, part, sum(calls) from ops.items where state = 'succeeded' group by 1, 2, 3")
    assert stack.query("select count(*) from ops.items") == [(count,)]
    assert len(written) == count
    assert requests_of(stack) == sum(calls for kind, *_, calls in written if kind != "cover")  # covers are painted offline here
    assert {row[:3] for row in written} <= set(before)
    left = stack.query("select count(*) from ops.left_out l join ops.operations o using (operation_id) "
                       "where l.rule = 'already_running' and o.planned_count > 50")
    assert left == [(21,)]
