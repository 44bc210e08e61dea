"""The real stack of a chaos test: private servers and processes that may be killed, and are started again as `redrive up` would."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from backend.bootstrap import connect
from backend.host.children import ChildSpec, Supervisor
from backend.host.commands import maintenance_command, web_command, worker_command
from backend.host.private_servers import PrivateServers
from backend.host.project import ROOT
from backend.settings import Settings
from tests.processes import environment

Found = TypeVar("Found")
LOOK_SECONDS = 0.02


def children(settings: Settings, *, bulk: int = 0, interactive: int = 0, maintenance: int = 1, web: bool = False) -> tuple[ChildSpec, ...]:
    specs = [ChildSpec(f"maintenance-{number}", maintenance_command()) for number in range(1, maintenance + 1)]
    for queue, count in (("bulk", bulk), ("interactive", interactive)):
        specs += [ChildSpec(f"worker-{queue}-{number}", worker_command(queue), death_signal=signal.SIGKILL)
                  for number in range(1, count + 1)]
    if web:
        specs.append(ChildSpec("web", web_command(settings)))
    return tuple(specs)


class Stack:
    """with Stack(servers, settings, bulk=2) as stack: stack.wait_for(...). Main thread only.

    `redrive` is the test's own view: its actions and what it reads go past the processes. Whoever waits calls `wait_for` or `watch`:
    nothing is started again in between.
    """

    def __init__(self, servers: PrivateServers, settings: Settings, *, failpoint: str = "", **counts: int) -> None:
        self.settings = settings
        self.redrive = connect(settings, pool_size=12)
        self.logs = settings.state_dir / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._servers = servers
        self._servers_back_at = 0.0  # time.monotonic()
        more = {"REDRIVE_FAILPOINT": failpoint} if failpoint else {}
        self._supervisor = Supervisor(
            children(settings, **counts), environment=environment(settings, PYTHONUNBUFFERED="1", **more), folder=ROOT, logs=self.logs)

    def __enter__(self) -> Self:
        self._supervisor.start_all()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _exc: BaseException | None, _where: TracebackType | None) -> None:
        self.let_servers_back()
        self.watch()
        self._supervisor.stop_all(self.settings.stop_seconds + 5)
        self.redrive.close()

    def watch(self) -> None:
        """Start again what has died, but for servers that are to stay away."""
        self._supervisor.watch()
        if time.monotonic() >= self._servers_back_at:
            self._servers.watch()

    def wait_for(self, condition: Callable[[], Found], *, seconds: float = 180.0, what: str = "the condition") -> Found:
        """What the condition gives once it is true; while a server is away it is not. Raises AssertionError after the deadline."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.watch()
            with suppress(SQLAlchemyError, RedisError, psutil.Error):
                if found := condition():
                    return found
            time.sleep(LOOK_SECONDS)
        raise AssertionError(f"waited {seconds:.0f} s in vain for {what}; logs in {self.logs}")

    def watch_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.watch()
            time.sleep(LOOK_SECONDS)

    # Who is there

    def pids(self, name: str) -> list[int]:
        """Of the living children whose name begins so."""
        return [child.process.pid for child in self._supervisor.children if child.spec.name.startswith(name) and child.is_running]

    def work_horses(self, name: str = "worker") -> list[int]:
        """Of those workers: the processes that do a job at the moment."""
        found = []
        for pid in self.pids(name):
            with suppress(psutil.Error):
                found += [horse.pid for horse in psutil.Process(pid).children() if horse.status() != psutil.STATUS_ZOMBIE]
        return found

    @property
    def postmaster_pid(self) -> int:
        return int((self._servers.postgres_home / "pgdata" / "postmaster.pid").read_text().split("\n", 1)[0])

    @property
    def valkey_pid(self) -> int:
        return int(next(self._servers.state.path.glob("*/server.pid")).read_text())

    # What is done to them

    def kill(self, pid: int, number: int = signal.SIGKILL) -> bool:
        """False: it was gone already."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill_all(self) -> None:
        """Every child, at once; their work-horses die with them."""
        for child in self._supervisor.children:
            if child.is_running:
                self.kill(child.process.pid)

    def stop_servers(self, *pids: int, away_seconds: float = 0.0, number: int = signal.SIGKILL) -> None:
        """Kill servers; they are started again after so long, by `watch`."""
        self._servers_back_at = time.monotonic() + away_seconds
        for pid in pids:
            self.kill(pid, number)
        for pid in pids:
            with suppress(psutil.Error):
                psutil.Process(pid).wait(20)  # a fast shutdown takes a moment; until then it would look alive

    def let_servers_back(self) -> None:
        self._servers_back_at = 0.0

    def words_in_logs(self, words: str) -> int:
        return sum(path.read_text(errors="replace").count(words) for path in self.logs.glob("*.log"))


def impatient(redis_url: str) -> Redis:
    """A client that says at once that Redis is away."""
    return Redis.from_url(redis_url, socket_timeout=2, retry=None)


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def mark_of(folder: Path, point: str) -> tuple[str, Path]:
    """(value of REDRIVE_FAILPOINT, the file that gets the pid of who stands there)."""
    path = folder / f"{point}.pid"
    return f"{point}:{path}", path
