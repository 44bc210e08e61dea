"""Owns a private PostgreSQL and a private Valkey for as long as this process lives, and no longer."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from backend.host.children import delay_seconds
from backend.host.errors import HostError
from backend.host.orphans import stop_marked_children
from backend.host.postgres import PrivatePostgres
from backend.host.service_user import ServiceUser, home_elsewhere, is_reachable, service_user
from backend.host.state_folder import StateFolder
from backend.host.valkey import PrivateValkey

LONGEST_SOCKET_PATH = 100  # bytes: 108 on Linux, 104 on macOS
POSTGRES_SOCKET_NAME = ".s.PGSQL.5432"

log = structlog.get_logger(__name__)


class PrivateServers:
    """with PrivateServers(folder) as servers: servers.database_url, servers.redis_url.

    Start it from the main thread. `durable=False` is for tests: no fsync, so a crash of the machine loses data,
    and a data folder that is deleted at the end when the state folder is out of PostgreSQL's reach.
    Each server can be left out; the state folder is owned all the same. Raises HostError with one clear line.
    """

    def __init__(self, state_dir: Path, *, durable: bool = True, database: str = "redrive",
                 with_postgres: bool = True, with_valkey: bool = True, holder: str = "redrive") -> None:
        self.state = StateFolder(Path(state_dir).expanduser().absolute())
        self.database_url = ""
        self.redis_url = ""
        self.postgres_home = self.state.path  # where its files are, once started
        self._is_durable = durable
        self._database = database
        self._with_postgres = with_postgres
        self._with_valkey = with_valkey
        self._holder = holder
        self._postgres: PrivatePostgres | None = None
        self._valkey: PrivateValkey | None = None
        self._temporary: list[Path] = []  # deleted at the end
        self._failed_starts = 0
        self._next_start_at = 0.0  # time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _exc: BaseException | None, _where: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self.state.hold(self._holder)
        try:
            stop_marked_children(self.state.path)
            user = service_user() if self._with_postgres else None
            home = self.postgres_home = self._choose_postgres_home(user)
            sockets = self._make_socket_folder(home, user)
            if self._with_postgres:
                self._postgres = PrivatePostgres(
                    home, sockets, log_path=self.state.logs / "postgres.log", database=self._database,
                    is_durable=self._is_durable, user=user)
                self.database_url = self._postgres.database_url
                self._postgres.start()
            if self._with_valkey:
                self._valkey = PrivateValkey(
                    self.state.path, sockets, log_path=self.state.logs / "valkey.log", is_durable=self._is_durable)
                self.redis_url = self._valkey.redis_url
                self._valkey.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both and give the state folder free. Safe to call twice."""
        if self._valkey:
            self._valkey.server.stop()
        if self._postgres:
            self._postgres.server.stop()
        while self._temporary:
            shutil.rmtree(self._temporary.pop(), ignore_errors=True)
        self.state.release()

    def watch(self) -> None:
        """Start again, on its data and at its address, what has died. Call it several times a second."""
        for part in (self._postgres, self._valkey):
            if part and not part.server.is_running and time.monotonic() >= self._next_start_at:
                self._start_again(part)

    def _start_again(self, part: PrivatePostgres | PrivateValkey) -> None:
        log.warning("server died, starting it again", server=part.server.name, exit_code=part.server.exit_code,
                    log=str(part.server.log_path))
        try:
            part.start()
            self._failed_starts = 0
        except HostError as exc:
            self._failed_starts += 1
            wait = delay_seconds(self._failed_starts)
            self._next_start_at = time.monotonic() + wait
            log.error("server does not start", server=part.server.name, reason=str(exc), delay_seconds=wait)

    def _choose_postgres_home(self, user: ServiceUser | None) -> Path:
        if is_reachable(self.state.path, user):
            return self.state.path
        if self._is_durable:
            return home_elsewhere(self.state.path)
        return self._temporary_folder(mode=0o711)

    def _temporary_folder(self, *, mode: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="redrive-"))
        folder.chmod(mode)
        self._temporary.append(folder)
        return folder

    def _make_socket_folder(self, home: Path, user: ServiceUser | None) -> Path:
        folder = home / "sock"
        if len(os.fsencode(folder / POSTGRES_SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            folder = self._temporary_folder(mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        if user:
            user.own(folder)  # root may enter it anyway
        return folder
