"""The test stand: private servers in a temporary folder, databases on them, processes beside them, all gone at the end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from backend.host.lifelines import tied_to_this_process
from backend.host.private_servers import PrivateServers
from backend.host.project import ROOT
from backend.settings import Settings
from backend.storage.migrate import migrate

STOP_SECONDS = 20.0


class Stand:
    """with Stand() as stand: stand.settings(stand.database("large")). Main thread only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="redrive-bench-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        self._servers = PrivateServers(self.folder / "state", durable=False, holder="benchmarks")

    def __enter__(self) -> Self:
        try:
            self._servers.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, _kind: type[BaseException] | None, _exc: BaseException | None, _where: TracebackType | None) -> None:
        try:
            self._servers.stop()
        finally:
            self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str) -> str:
        """The URL of a new, migrated, empty database."""
        url = make_url(self._servers.database_url)
        with psycopg.connect(plain_url(url.set(database="postgres").render_as_string(hide_password=False)), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        database_url = url.set(database=name).render_as_string(hide_password=False)
        migrate(database_url)
        return database_url

    def settings(self, database_url: str, **values: Any) -> Settings:
        """Settings for that database and the stand's Valkey, without a model unless `values` name one.

        Without canaries: nobody writes here, so nothing would follow them, and what is measured is how fast all of it goes.
        """
        return Settings(**{
            "database_url": SecretStr(database_url), "redis_url": SecretStr(self._servers.redis_url),
            "state_dir": self.folder / "work", "openai_api_key": None, "openai_base_url": None, "object_store": None,
            "offline_faults": "", "log_level": "warning", "canary_items": 0,
            **values})


def plain_url(database_url: str) -> str:
    """The URL as psycopg itself takes it."""
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def process(settings: Settings, *arguments: str, log_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python *arguments` in the checkout with these settings; stopped at the end, with everything that it started."""
    with log_path.open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment(settings), stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, start_new_session=True, preexec_fn=tied_to_this_process(signal.SIGTERM))
    try:
        yield running
    finally:
        _stop(running)


def measured_apart(settings: Settings, *arguments: str, timeout_seconds: float = 300.0) -> dict[str, Any]:
    """What `python *arguments` in a process of its own prints as JSON in its last line. Raises RuntimeError when it fails."""
    running = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True, start_new_session=True, preexec_fn=tied_to_this_process(signal.SIGTERM))
    try:
        output, _none = running.communicate(timeout=timeout_seconds)
    finally:
        _stop(running)
    if running.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {running.returncode}: {output[-2000:]}")
    return json.loads(output.strip().splitlines()[-1])


def _stop(running: subprocess.Popen[Any]) -> None:
    if running.poll() is None:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def environment(settings: Settings) -> dict[str, str]:
    """The environment that makes a process load exactly these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REDRIVE_", "OPENAI_"))}
    given = settings.model_dump(exclude_none=True, include=settings.model_fields_set)
    named = {Settings.model_fields[name].alias or f"REDRIVE_{name.upper()}": value for name, value in given.items()}
    return inherited | {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value) for name, value in named.items()
    } | {"PYTHONUNBUFFERED": "1"}


def wait_until(condition: Callable[[], object], *, timeout_seconds: float, every_seconds: float = 0.005) -> float:
    """Seconds until the condition held. Raises TimeoutError."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > timeout_seconds:
            raise TimeoutError(f"not within {timeout_seconds} s")
        time.sleep(every_seconds)
    return time.perf_counter() - started


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that the work takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)
