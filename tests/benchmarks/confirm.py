"""(d) Confirming 10,000 items: until it is accepted, and until a real maintenance process has queued all of them."""

import time
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import text

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.scopes import Scope
from backend.content.status import Priority
from backend.redrive import Redrive
from backend.storage import problems
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, process, wait_until
from tests.benchmarks.table import Figure, median

ITEMS = 10_000
ROUNDS = 3
PLATFORM = Platform(4_000, broken_share=0.1)  # 36,000 problems: another 10,000 for each round
OPERATOR = Actor("benchmark", Role.ADMIN)


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
                rounds = [_round(redrive) for _round_number in range(ROUNDS)]
        finally:
            redrive.close()
    planned, accepted, queued = (median(seconds) for seconds in zip(*rounds, strict=True))
    yield Figure(f"(d) plan over {PLATFORM.keys // 10:,} problems", planned, "s")
    yield Figure(f"(d) {ITEMS:,} items accepted", accepted, "s", 1)
    yield Figure(f"(d) {ITEMS:,} items queued and their jobs sent, from the confirm on", queued, "s", 10)


def _round(redrive: Redrive) -> tuple[float, float, float]:
    """Seconds: plan, accepted, queued. The items stay queued, so the next plan leaves them out."""
    jobs_before = redrive.queue.length(Priority.BULK)
    started = time.perf_counter()
    plan = retry.plan(redrive, Scope.everything(), OPERATOR)
    planned = time.perf_counter() - started
    chosen = replace(plan, included=plan.included[:ITEMS])
    started = time.perf_counter()
    confirmed = retry.confirm(redrive, chosen, OPERATOR, "benchmark")
    accepted = time.perf_counter() - started
    if confirmed.item_count != ITEMS:
        raise RuntimeError(f"{confirmed.item_count} items were accepted, not {ITEMS}")
    wait_until(lambda: _all_sent(redrive, confirmed.operation_id, jobs_before), timeout_seconds=120, every_seconds=0.02)
    return planned, accepted, time.perf_counter() - started


def _all_sent(redrive: Redrive, operation_id: str, jobs_before: int) -> bool:
    with redrive.engine.connect() as connection:
        queued, jobs = connection.execute(text(
            "select count(*), count(distinct job_id) from ops.items where operation_id = :operation_id and state = 'queued'"),
            {"operation_id": operation_id}).one()
    return queued == ITEMS and redrive.queue.length(Priority.BULK) - jobs_before >= jobs


def _is_maintained(redrive: Redrive) -> bool:
    with redrive.engine.connect() as connection:
        return bool(connection.scalar(text("select exists (select 1 from ops.heartbeats)")))


def _vacuum(redrive: Redrive) -> None:
    with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
