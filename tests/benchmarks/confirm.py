"""(d) Confirming 10,000 and 100,000 items: until it is accepted, and until a real maintenance process has queued all of them."""

import time
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import text

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.limits import OperationLimits
from backend.content.scopes import Scope
from backend.content.status import ItemState, Priority
from backend.redrive import Redrive
from backend.storage import problems
from backend.views import operations
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, process, wait_until
from tests.benchmarks.table import Figure, median

ITEMS, MANY_ITEMS = 10_000, 100_000
ROUNDS = 3
PLATFORM = Platform(16_000, broken_share=0.1)  # 144,000 problems: another 10,000 for each round, and then 100,000
OPERATOR = Actor("benchmark", Role.ADMIN)
WITHOUT_CANARY = OperationLimits(canary_items=0)  # no worker listens: behind a canary nothing would be queued


_IS_ANY_LEFT = text(
    "select exists (select 1 from ops.frozen_pieces where operation_id = :operation_id) or coalesce(("
    "  select true from ops.items where operation_id = :operation_id and state = 'planned' limit 1), false)")


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("confirm")
        platform.load(database_url, PLATFORM)
        settings = stand.settings(database_url)
        redrive = connect(settings)
        try:
            problems.mark_all_dirty(redrive.engine)
            problems.drain(redrive.engine, utc_now, redrive.limits)
            _vacuum(redrive)
            with process(settings, "-m", "workers.maintenance", log_path=stand.folder / "maintenance.log"):
                wait_until(lambda: _is_maintained(redrive), timeout_seconds=20)
                rounds = [_round(redrive, ITEMS) for _round_number in range(ROUNDS)]
                many = _round(redrive, MANY_ITEMS)
        finally:
            redrive.close()
    planned, accepted, _seen, queued = (median(seconds) for seconds in zip(*rounds, strict=True))
    yield Figure(f"(d) plan over {PLATFORM.keys // 10:,} problems", planned, "s", 3)
    yield Figure(f"(d) {ITEMS:,} items accepted", accepted, "s", 1)
    yield Figure(f"(d) {ITEMS:,} items queued and their jobs sent, from the confirm on", queued, "s", 10)
    yield Figure(f"(d) {MANY_ITEMS:,} items accepted", many[1], "s", 1)
    yield Figure(f"(d) {MANY_ITEMS:,} items: first progress to be seen, from the confirm on", many[2], "s", 2)
    yield Figure(f"(d) {MANY_ITEMS:,} items queued and their jobs sent, from the confirm on", many[3], "s", 40)


def _round(redrive: Redrive, count: int) -> tuple[float, float, float, float]:
    """Seconds: plan, accepted, progress seen, queued. The items stay queued, so the next plan leaves them out."""
    jobs_before = redrive.queue.length(Priority.BULK)
    started = time.perf_counter()
    plan = retry.plan(redrive, Scope.everything(), OPERATOR)
    planned = time.perf_counter() - started
    chosen = replace(plan, included=plan.included[:count])
    started = time.perf_counter()
    confirmed = retry.confirm(redrive, chosen, OPERATOR, "benchmark", limits=WITHOUT_CANARY)
    accepted = time.perf_counter() - started
    if confirmed.item_count != count:
        raise RuntimeError(f"{confirmed.item_count} items were accepted, not {count}")
    wait_until(lambda: _is_progress_seen(redrive, confirmed.operation_id, count), timeout_seconds=60, every_seconds=0.02)
    seen = time.perf_counter() - started
    wait_until(lambda: _all_sent(redrive, confirmed.operation_id, jobs_before, count), timeout_seconds=240, every_seconds=0.1)
    return planned, accepted, seen, time.perf_counter() - started


def _is_progress_seen(redrive: Redrive, operation_id: str, count: int) -> bool:
    """What the page shows has moved on: items are written down, or handed out."""
    found = operations.progress(redrive, operation_id)
    return 0 < found.unwritten < count or found.counts[ItemState.QUEUED] > 0


def _all_sent(redrive: Redrive, operation_id: str, jobs_before: int, count: int) -> bool:
    with redrive.engine.connect() as connection:
        if connection.scalar(_IS_ANY_LEFT, {"operation_id": operation_id}):
            return False  # a look at one row: counting them all each time would be half of what is measured
        queued, jobs = connection.execute(text(
            "select count(*), count(distinct job_id) from ops.items where operation_id = :operation_id and state = 'queued'"),
            {"operation_id": operation_id}).one()
    return queued == count and redrive.queue.length(Priority.BULK) - jobs_before >= jobs


def _is_maintained(redrive: Redrive) -> bool:
    with redrive.engine.connect() as connection:
        return bool(connection.scalar(text("select exists (select 1 from ops.heartbeats)")))


def _vacuum(redrive: Redrive) -> None:
    with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
