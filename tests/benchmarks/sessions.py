"""(f) 200 sessions that poll a running operation every 2 s against one web process."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.scopes import Scope
from backend.content.status import OperationState
from backend.host.commands import web_command
from backend.host.web_address import is_healthy
from backend.settings import Settings
from backend.storage import problems
from backend.views import operations
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, measured_apart, process, wait_until
from tests.benchmarks.table import Figure
from tests.ports import free_port

SESSIONS = 200
SECONDS = 30
ITEMS = 60
WRITER_SECONDS = 15  # for one item, one at a time: the operation runs for a quarter of an hour
PLATFORM = Platform(100, broken_share=0.03)


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("sessions")
        platform.load(database_url, PLATFORM)
        settings = stand.settings(
            database_url, port=free_port(), offline_delay_seconds=WRITER_SECONDS, concurrency=1, log_level="error")
        operation_id = _begin_operation(settings)
        with (process(settings, "-m", "workers.maintenance", log_path=stand.folder / "maintenance.log"),
              process(settings, "-m", "workers.main", "--queue", "bulk", log_path=stand.folder / "worker.log"),
              process(settings, *web_command(settings)[1:], log_path=stand.folder / "web.log") as web):
            wait_until(lambda: is_healthy(settings.host, settings.port), timeout_seconds=60, every_seconds=0.1)
            yield from _measure(settings, web.pid)
        _check_still_running(settings, operation_id)


def _measure(settings: Settings, web_pid: int) -> Iterator[Figure]:
    cpu_started, started = _cpu_seconds(web_pid), time.perf_counter()
    measured = measured_apart(
        settings, "-m", "tests.benchmarks.streamlit_clients", str(settings.port), str(SESSIONS), str(SECONDS), timeout_seconds=600)
    web_share = (_cpu_seconds(web_pid) - cpu_started) / (time.perf_counter() - started)
    if measured["exceptions"] or measured["empty_ticks"]:
        raise RuntimeError(f"{measured['exceptions']} exceptions were shown, {measured['empty_ticks']} ticks drew nothing")
    yield Figure("(f) sessions that show the operation and poll it every 2 s", measured["polling_sessions"], "", SESSIONS, is_at_least=True)
    yield Figure(f"(f) ticks in a second (ideal {SESSIONS / 2:.0f})", measured["ticks_per_second"], "")
    yield Figure("(f) tick, median", 1000 * measured["median_seconds"], "ms")
    yield Figure("(f) tick, p95", 1000 * measured["p95_seconds"], "ms", 250)
    yield Figure("(f) bytes of a tick, median", measured["tick_bytes"], "B")
    yield Figure("(f) first page while the others load, median", 1000 * measured["load_median_seconds"], "ms")
    yield Figure("(f) CPU of the web process, loading and polling", 100 * web_share, "%")
    yield Figure("(f) CPU of the clients, polling", 100 * measured["client_cpu_share"], "%")


def _begin_operation(settings: Settings) -> str:
    redrive = connect(settings)
    try:
        problems.mark_all_dirty(redrive.engine)
        problems.drain(redrive.engine, utc_now, redrive.limits)
        operator = Actor("benchmark", Role.ADMIN)
        plan = retry.plan(redrive, Scope.everything(), operator)
        return retry.confirm(redrive, replace(plan, included=plan.included[:ITEMS]), operator, "benchmark").operation_id
    finally:
        redrive.close()


def _check_still_running(settings: Settings, operation_id: str) -> None:
    redrive = connect(settings)
    try:
        state = operations.progress(redrive, operation_id).state
    finally:
        redrive.close()
    if state is not OperationState.RUNNING:
        raise RuntimeError(f"the operation was {state} before the measurement ended")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
