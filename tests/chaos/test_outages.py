"""PostgreSQL, the host or the model away while a bulk runs: texts wait, items wait, and all of it goes on by itself."""

import time

import pytest

from backend.content.status import BreakerState, ItemState
from backend.storage import breakers
from tests.chaos.conftest import IS_LONG
from tests.chaos.evidence import repeated_calls
from tests.chaos.scene import is_back
from tests.chaos.stack import Stack, mark_of
from tests.chaos.story import by_default, retry_all, with_model
from tests.model_server import HELD, Faults, ModelServer

LEASES = 20 if IS_LONG else 3  # of silence of the model
SHORT_LEASE_SECONDS = 8.0      # below it a busy machine may be late with a heartbeat
RQ_TELLS_SECONDS = 15.0        # after a worker died RQ lists its job as running for so long


def test_texts_that_arrive_while_postgresql_is_away_are_saved_later_without_the_model(servers, settings):
    with ModelServer(latency_seconds=HELD) as server, Stack(servers, with_model(settings, server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=2)
        server.wait_for(lambda requests: len(requests) == 4)
        stack.stop_servers(stack.postmaster_pid, away_seconds=600)
        server.latency_seconds = 0.0
        stack.wait_for(lambda: len(stack.redrive.objects.paths("spills/")) >= 4, what="the texts to be spilled")
        stack.let_servers_back()
        progress = story.wait_until_done()
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 6


def test_a_power_cut_in_the_middle_of_a_bulk_loses_nothing_that_was_saved(servers, settings):
    with ModelServer(script=["ok"] * 6, faults=Faults({"slow": 1.0}), slow_seconds=HELD) as server, \
            Stack(servers, with_model(settings, server), bulk=2) as stack:
        story = retry_all(stack, server, concepts=12)
        stack.wait_for(lambda: story.counts()[ItemState.SUCCEEDED] == 6, what="all to be saved that was answered")
        stack.kill_all()
        server.faults, server.slow_seconds = None, 0.0
        stack.stop_servers(stack.postmaster_pid, stack.valkey_pid, away_seconds=0.5)
        kept = stack.wait_for(lambda: story.counts()[ItemState.SUCCEEDED], what="PostgreSQL to be back")
        progress = story.wait_until_done()
        found = story.evidence()

    assert kept >= 6
    assert progress.counts[ItemState.SUCCEEDED] == 36
    assert len(found.calls) <= 36 + 2 * settings.concurrency


def test_a_model_that_is_down_fails_few_items_and_the_rest_waits_for_it(servers, settings):
    with ModelServer(faults=Faults({"503": 1.0})) as server, \
            Stack(servers, with_model(settings, server, breaker_failures=3, model_retries=0), bulk=2) as stack:
        story = retry_all(stack, server, concepts=12)
        stack.wait_for(lambda: breaker_of(stack).state is BreakerState.OPEN, what="the breaker to open")
        stack.wait_for(lambda: breaker_of(stack).failed_probes, what="a probe that fails")
        counts, probes = story.counts(), breaker_of(stack).failed_probes
        server.faults = None
        progress = story.wait_until_done()
        closed = breaker_of(stack).state
        story.evidence()

    assert counts[ItemState.SUCCEEDED] == 0
    assert probes >= 1
    assert progress.counts[ItemState.FAILED] <= 3
    assert progress.counts[ItemState.SUCCEEDED] == 36 - progress.counts[ItemState.FAILED]
    assert closed is BreakerState.CLOSED


def breaker_of(stack: Stack) -> breakers.Breaker:
    with stack.redrive.engine.connect() as connection:
        return breakers.find_breaker(connection, stack.settings.provider)


@pytest.mark.timeout(900)
def test_a_slow_worker_that_lives_is_never_robbed(servers, settings):
    lease_seconds = 30.0 if IS_LONG else SHORT_LEASE_SECONDS
    silence_seconds = LEASES * lease_seconds  # 10 minutes in the long form
    slow = settings.model_copy(update={
        "lease_seconds": lease_seconds, "heartbeat_seconds": lease_seconds / 6})

    with ModelServer(latency_seconds=silence_seconds) as server, Stack(servers, with_model(slow, server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=1)
        progress = story.wait_until_done(seconds=silence_seconds + 180)
        found = story.evidence()

    assert progress.counts[ItemState.SUCCEEDED] == len(found.calls) == 3
    assert {item.attempt for item in found.items} == {1}


def test_a_job_whose_worker_dies_before_its_first_item_is_sent_again_before_rq_misses_it(servers, settings, tmp_path, tell):
    default, (failpoint, mark) = by_default(settings), mark_of(tmp_path, "before_claim")

    with ModelServer() as server, Stack(
            servers, with_model(settings.model_copy(update=default), server), failpoint=failpoint, interactive=1) as stack:
        story = retry_all(stack, server, concepts=2)
        stack.wait_for(mark.exists, what="a work-horse that has not begun")
        job_ids, started = {item.job_id for item in story.item_rows()}, time.monotonic()
        stack.kill(stack.pids("worker")[0])
        stack.wait_for(lambda: all(item.job_id not in job_ids for item in story.item_rows()), what="all items to be sent again")
        seconds = time.monotonic() - started
        story.wait_until_done()
        found = story.evidence()

    tell.append(f"sent again, by default settings: {seconds:.1f} s after a worker died that had not begun its job")
    assert seconds < RQ_TELLS_SECONDS
    assert len(found.calls) == 6


def test_what_a_dead_process_held_is_sent_again_before_rq_misses_it(servers, settings, tell):
    default = by_default(settings)
    took: dict[str, float] = {}

    with ModelServer(latency_seconds=HELD) as server, \
            Stack(servers, with_model(settings.model_copy(update=default), server), interactive=1) as stack:
        story = retry_all(stack, server, concepts=2)
        for victim in ("work-horse", "worker"):
            held = {item.item_id: item.attempt for item in story.wait_until_running(4)}
            started = time.monotonic()
            stack.kill(stack.work_horses()[0] if victim == "work-horse" else stack.pids("worker")[0])
            stack.wait_for(lambda held=held: all(is_back(item, held.get(item.item_id, 0)) for item in story.item_rows()), what="all items")
            took[victim] = time.monotonic() - started
        server.latency_seconds = 0.0
        story.wait_until_done()
        found = story.evidence()

    tell.append("sent again, by default settings: " + ", ".join(f"{seconds:.1f} s after the {who} died" for who, seconds in took.items()))
    assert max(took.values()) < RQ_TELLS_SECONDS
    assert repeated_calls(found) == {}
