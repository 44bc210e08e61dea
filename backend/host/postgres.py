"""One private PostgreSQL: its data folder, its settings, its start. It answers on a unix socket only."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from backend.host.binaries import postgres_folder
from backend.host.errors import HostError
from backend.host.orphans import orphaned_server, servers_in, stop, wait_for_end
from backend.host.server_process import ServerProcess
from backend.host.service_user import ServiceUser
from backend.i18n import _

USER = "redrive"
SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",               # short queries: compiling them costs more than it gains
    "random_page_cost": "1.1",  # SSDs
    "synchronous_commit": "on",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROW_AWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
STATUS_LINE = 7  # of postmaster.pid, counted from 0: "ready" once connections are accepted


class PrivatePostgres:
    """`home` is a folder that `user` (None: we ourselves) can reach; `socket_folder` belongs to that user."""

    def __init__(self, home: Path, socket_folder: Path, *, log_path: Path, database: str, is_durable: bool,
                 user: ServiceUser | None) -> None:
        self.database_url = f"postgresql+psycopg://{USER}@/{database}?host={quote(str(socket_folder), safe='/')}"
        self.server = ServerProcess(
            "PostgreSQL", log_path=log_path, stop_signal=signal.SIGINT, forced_stop_signal=signal.SIGQUIT)
        self._home = home
        self._data = home / "pgdata"
        self._socket_folder = socket_folder
        self._database = database
        self._is_durable = is_durable
        self._user = user

    def start(self) -> None:
        """Make the data folder when there is none, start on it, make the database. Raises HostError."""
        programs = self._reachable_programs(postgres_folder())
        major = self._major_version(programs)
        if not (self._data / "PG_VERSION").exists():
            self._make_data_folder(programs, major)
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if made_by != major:
            raise HostError(_(
                "{folder} was made by PostgreSQL {made_by}, but PostgreSQL {major} is installed. "
                "Move the folder away to start empty, or dump it with PostgreSQL {made_by} and load it again."
            ).format(folder=self._data, made_by=made_by, major=major))
        self._stop_orphan()
        values = SERVER_SETTINGS | ({} if self._is_durable else THROW_AWAY_SETTINGS) | {
            "unix_socket_directories": str(self._socket_folder)}
        options = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
        self.server.start([programs / "postgres", "-D", self._data, *options], user=self._user, environment=_environment())
        self.server.wait_until(self._accepts_connections)
        self._make_database()

    def _accepts_connections(self) -> bool:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()[STATUS_LINE].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _make_database(self) -> None:
        try:
            with psycopg.connect(host=str(self._socket_folder), user=USER, dbname="postgres", autocommit=True) as connection:
                found = connection.execute("select 1 from pg_database where datname = %s", (self._database,)).fetchone()
                if not found:
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(self._database)))
        except psycopg.Error as exc:
            raise HostError(_("PostgreSQL started but did not take orders: {reason}. Look into {path}.").format(
                reason=str(exc).strip().partition("\n")[0], path=self.server.log_path)) from exc

    def _make_data_folder(self, programs: Path, major: str) -> None:
        """initdb beside, then rename: a kill in the middle leaves no half-made data folder."""
        unfinished = self._home / "pgdata.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._user:
            self._user.own(unfinished)
        provider = ["--locale-provider=builtin"] if int(major) >= 17 else []
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(unfinished), "-U", USER, "-E", "UTF8", *provider, "--locale=C.UTF-8",
             "--auth-local=trust", "--auth-host=reject", *([] if self._is_durable else ["--no-sync"])],
            env=_environment(), cwd="/", capture_output=True, text=True, **self._user_arguments())
        if made.returncode:
            reason = (made.stderr.strip().splitlines() or ["?"])[-1]
            raise HostError(_("PostgreSQL could not make its data folder {folder}: {reason}").format(
                folder=unfinished, reason=reason))
        unfinished.rename(self._data)

    def _stop_orphan(self) -> None:
        """We hold the lock, so a pid file is stale or names an orphan of ours; both are out of the way after this."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        if orphan := orphaned_server(pid_file, self._data):
            stop(orphan, (signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))
        # A killed postmaster's backends hold the shared memory until they notice, which bars the new start.
        leftovers = list(servers_in(self._data))
        if leftovers and not wait_for_end(leftovers, 5.0):
            for leftover in leftovers:
                stop(leftover, (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
        pid_file.unlink(missing_ok=True)

    def _major_version(self, programs: Path) -> str:
        said = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True, cwd="/",
                              **self._user_arguments()).stdout
        found = re.search(r"\(PostgreSQL\) (\d+)", said)
        if not found:
            raise HostError(_("{program} does not run on this machine. Set DATABASE_URL to a PostgreSQL that does.").format(
                program=programs / "postgres"))
        return found[1]

    def _reachable_programs(self, programs: Path) -> Path:
        """The programs themselves, or a copy (33 MB) when the user cannot get to them, e.g. a checkout under /root."""
        if self._user is None or self._user.can_reach(programs / "postgres"):
            return programs
        installed, package = programs.parent, programs.parent.parent
        copy = self._home / f"pgbin-{package.name}-{(programs / 'postgres').stat().st_size}"
        if not (copy / installed.name / "bin/postgres").exists():
            unfinished = self._home / "pgbin.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(installed, unfinished / installed.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            for libraries in package.parent.glob(f"{package.name}*.libs"):  # the wheel's own, found relative to its programs
                shutil.copytree(libraries, self._home / libraries.name, symlinks=True, dirs_exist_ok=True)
            unfinished.rename(copy)
        return copy / installed.name / "bin"

    def _user_arguments(self) -> dict[str, object]:
        return self._user.subprocess_arguments() if self._user else {}


def _environment() -> Mapping[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return environment | {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8", "TZ": "UTC"}
