"""Real worker and maintenance processes for a test, stopped at its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg

from backend.host.given_servers import libpq_url
from backend.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
Found = TypeVar("Found")


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The settings as the environment of a child process."""
    values: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value is None:
            continue
        values[field.alias or f"REDRIVE_{name.upper()}"] = (
            value.get_secret_value() if hasattr(value, "get_secret_value") else str(value))
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENAI_API_KEY", "OPENAI_BASE_URL")}
    return {**kept, **values, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def started(settings: Settings, *modules: tuple[str, ...], **more: str) -> Iterator[list[subprocess.Popen]]:
    """Processes `python -m module arguments`; killed at the end if they do not stop by themselves."""
    children = [
        subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=environment(settings, **more)) for module in modules]
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


MAINTENANCE = ("workers.maintenance",)


def worker(queue: str) -> tuple[str, ...]:
    return ("workers.main", "--queue", queue)


@contextmanager
def frozen(database_url: str, *processes: psutil.Process) -> Iterator[None]:
    """They hold still until the block ends, none of them within a transaction: its locks would stand in everybody's way."""
    wait_for(lambda: _hold_still(database_url, processes), what="them to hold still outside of a transaction")
    try:
        yield
    finally:
        _send(processes, signal.SIGCONT)


def _hold_still(database_url: str, processes: Sequence[psutil.Process]) -> bool:
    """False: one was in the middle of a transaction; they go on."""
    _send(processes, signal.SIGSTOP)
    time.sleep(0.1)  # for what they sent last to begin
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        stopped_at = connection.execute("select clock_timestamp()").fetchone()[0]
        begun_before = "select 1 from pg_stat_activity where datname = current_database() and xact_start < %s and pid <> pg_backend_pid()"
        with suppress(AssertionError):
            wait_for(lambda: not connection.execute(begun_before, [stopped_at]).fetchone(), seconds=3, what="others to end theirs")
            return True
    _send(processes, signal.SIGCONT)
    return False


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # stopped by force
            process.send_signal(number)


def wait_for(condition: Callable[[], Found], *, seconds: float = 120.0, what: str = "the condition") -> Found:
    """What the condition gives once it is true. Fails after the deadline, naming what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
