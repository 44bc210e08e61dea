"""(h) Cancelling 40 items that four workers are writing: from the click until each is confirmed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from sqlalchemy import text

from backend.actions import cancel, dispatcher, retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.scopes import Scope
from backend.content.status import ItemAction
from backend.content.stopping import CancelReason, CancelScope
from backend.redrive import Redrive
from backend.storage import problems
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, process, wait_until
from tests.benchmarks.table import Figure, median, percentile

ITEMS, WORKERS, CONCURRENCY = 40, 4, 10
ROUNDS = 3
PLATFORM = Platform(200, broken_share=0.03)
OPERATOR = Actor("benchmark", Role.ADMIN)


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("cancelling")
        platform.load(database_url, PLATFORM)
        model_log = stand.folder / "model.log"
        with process(stand.settings(database_url), "-m", "tests.model_server", "--latency", "600", log_path=model_log):
            wait_until(lambda: "http" in model_log.read_text(), timeout_seconds=20)
            settings = stand.settings(
                database_url, openai_base_url=model_log.read_text().strip(), model="loopback-model", concurrency=CONCURRENCY,
                armed_seconds=0, canary_items=0, same_cause_window=0)  # so that all of them run at once
            redrive = connect(settings)
            problems.mark_all_dirty(redrive.engine)
            problems.drain(redrive.engine, utc_now, redrive.limits)
            with ExitStack() as stack:
                stack.callback(redrive.close)
                for number in range(WORKERS):
                    stack.enter_context(process(settings, "-m", "workers.main", "--queue", "interactive",
                                                log_path=stand.folder / f"worker-{number}.log"))
                seconds = [spent for _round_number in range(ROUNDS) for spent in _round(redrive)]
    yield Figure(f"(h) {ITEMS} running items cancelled: until confirmed, median", median(seconds), "s")
    yield Figure(f"(h) {ITEMS} running items cancelled: until confirmed, p95", percentile(seconds, 0.95), "s", 2)


def _round(redrive: Redrive) -> list[float]:
    """Seconds from the click to each confirmation."""
    plan = retry.plan(redrive, Scope.everything(), OPERATOR)
    included = tuple([item for item in plan.included if item.action is ItemAction.GENERATE][:ITEMS])
    operation_id = retry.confirm(redrive, replace(plan, included=included), OPERATOR).operation_id
    dispatcher.dispatch(redrive)
    wait_until(lambda: _count(redrive, operation_id, "running") == ITEMS, timeout_seconds=60)
    time.sleep(1.0)  # all of them wait for the model
    cancel.cancel_items(redrive, CancelScope(operation_id=operation_id), OPERATOR, CancelReason.NOT_NEEDED)
    wait_until(lambda: _count(redrive, operation_id, "cancelled") == ITEMS, timeout_seconds=60)
    with redrive.engine.connect() as connection:
        return list(connection.scalars(text(
            "select extract(epoch from settled_at - cancel_requested_at)::float from ops.items where operation_id = :operation_id"),
            {"operation_id": operation_id}))


def _count(redrive: Redrive, operation_id: str, state: str) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select count(*) from ops.items where operation_id = :operation_id and state = :state"),
                                 {"operation_id": operation_id, "state": state})
