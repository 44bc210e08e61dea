"""(e) A chunk of 200 items against a model that takes 200 ms for each answer, in a process of its own."""

import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from backend import logs
from backend.actions import dispatcher, retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect, connect_work_horse
from backend.clock import utc_now
from backend.content.scopes import Scope
from backend.content.status import ItemAction
from backend.redrive import Redrive
from backend.settings import Settings, load
from backend.storage import problems
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, measured_apart, process, wait_until
from tests.benchmarks.table import Figure, median

ITEMS = 200
LATENCY_SECONDS = 0.2
CONCURRENCIES = (8, 32)
DEFAULT_CONCURRENCY = Settings.model_fields["concurrency"].default  # the target is for it; at 32 one process has no CPU left
ROUNDS = 3
PLATFORM = Platform(1_000, broken_share=0.03)
MODULE = "tests.benchmarks.chunk"


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("chunk")
        platform.load(database_url, PLATFORM)
        model_log = stand.folder / "model.log"
        with process(stand.settings(database_url), "-m", "tests.model_server", "--latency", str(LATENCY_SECONDS), log_path=model_log):
            wait_until(lambda: "http" in model_log.read_text(), timeout_seconds=20)
            base_url = model_log.read_text().strip()
            for concurrency in CONCURRENCIES:
                settings = stand.settings(
                    database_url, openai_base_url=base_url, model="loopback-model", concurrency=concurrency,
                    same_cause_window=max(20, 3 * concurrency))
                yield from _figures(concurrency, [_round(settings) for _round_number in range(ROUNDS)])


def _round(settings: Settings) -> dict[str, float]:
    redrive = connect(settings)
    try:
        _queue_items(redrive)
    finally:
        redrive.close()
    return measured_apart(settings, "-m", MODULE)


def _queue_items(redrive: Redrive) -> None:
    """The next 200 items that a model has to write, in state queued. No worker listens."""
    problems.mark_all_dirty(redrive.engine)
    problems.drain(redrive.engine, utc_now, redrive.limits)
    operator = Actor("benchmark", Role.ADMIN)
    plan = retry.plan(redrive, Scope.everything(), operator)
    included = [item for item in plan.included if item.action is ItemAction.GENERATE][:ITEMS]
    retry.confirm(redrive, replace(plan, included=tuple(included)), operator)
    if dispatcher.dispatch(redrive).queued != ITEMS:
        raise RuntimeError(f"{ITEMS} items should have been queued")


def _figures(concurrency: int, rounds: list[dict[str, float]]) -> Iterator[Figure]:
    ideal_seconds = math.ceil(ITEMS / concurrency) * LATENCY_SECONDS
    seconds = median([measured["seconds"] for measured in rounds])
    cpu_seconds = median([measured["cpu_seconds"] for measured in rounds])
    yield Figure(f"(e) {ITEMS} items, {concurrency} at a time, seconds (ideal {ideal_seconds:.2g})", seconds, "s")
    yield Figure(f"(e) {ITEMS} items, {concurrency} at a time, pace", ITEMS / seconds, "items/s")
    yield Figure(f"(e) {ITEMS} items, {concurrency} at a time, CPU of the worker for one item", 1000 * cpu_seconds / ITEMS, "ms")
    target = 0.9 if concurrency == DEFAULT_CONCURRENCY else None
    yield Figure(f"(e) {ITEMS} items, {concurrency} at a time, share of ideal", ideal_seconds / seconds, "", target, is_at_least=True)


def main() -> None:
    """The child: one chunk, as a work-horse runs it. Imports are done and certificates read, as they are before RQ forks."""
    from workers.chunk import run_chunk
    from workers.generators.transport import read_ahead

    read_ahead()
    settings = load()
    logs.configure_logging(settings)
    redrive = connect_work_horse(settings)  # as in workers.jobs
    try:
        with redrive.engine.connect() as connection:
            item_ids = list(connection.scalars(text("select item_id from ops.items where state = 'queued' order by item_id")))
        started, cpu_started = time.perf_counter(), time.process_time()
        outcomes = run_chunk(redrive, item_ids)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    finally:
        redrive.close()
    if outcomes != {"succeeded": ITEMS}:
        raise RuntimeError(f"not every item succeeded: {outcomes} ({Path.cwd()})")
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    sys.exit(main())
