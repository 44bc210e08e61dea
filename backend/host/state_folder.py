"""The state folder: who owns it now, and where a running `redrive up` says which servers are its own.

The lock is the kernel's (flock), so it ends with its holder, however that one ends.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from backend.host.errors import HostError
from backend.i18n import _

UP = "redrive up"  # the holder that others may join


class StateFolderBusy(HostError):
    """Another process owns the state folder."""


@dataclass(frozen=True)
class Announcement:
    """The private servers of a running `redrive up`; None where it uses a given server (whose URL is not written down)."""

    pid: int
    pid_started_at: float  # of the process with that pid: a pid alone may name a stranger
    database_url: str | None
    redis_url: str | None


class StateFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def _announcement_path(self) -> Path:
        return self.path / "urls.json"

    def hold(self, holder: str) -> None:
        """Become its only owner until `release`. Raises StateFolderBusy, naming who owns it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
            lock = (self.path / "lock").open("a+")
        except OSError as exc:
            raise HostError(_("{folder} cannot be used as state folder: {reason}. Set REDRIVE_STATE_DIR to another one.").format(
                folder=self.path, reason=exc.strerror)) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with lock:
                raise StateFolderBusy(self._busy_line(lock)) from None
        lock.truncate(0)
        lock.write(json.dumps({"holder": holder, "pid": os.getpid()}))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        if self._lock:
            self._announcement_path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def announce(self, *, database_url: str | None, redis_url: str | None) -> None:
        """Let commands in other terminals find our private servers. Only for the holder, and never with a given URL."""
        announcement = Announcement(os.getpid(), psutil.Process().create_time(), database_url, redis_url)
        unfinished = self._announcement_path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(announcement)))
        unfinished.rename(self._announcement_path)

    def running_up(self) -> Announcement | None:
        """What a `redrive up` that still lives has announced here."""
        try:
            announcement = Announcement(**json.loads(self._announcement_path.read_text()))
            is_same = psutil.Process(announcement.pid).create_time() == announcement.pid_started_at
        except (OSError, ValueError, TypeError, psutil.Error):
            return None
        return announcement if is_same else None

    def _busy_line(self, lock: IO[str]) -> str:
        lock.seek(0)
        try:
            owner = json.loads(lock.read())
        except ValueError:  # it got the lock a moment ago
            owner = {"holder": "redrive", "pid": "?"}
        if owner["holder"] == UP:
            return _("Redrive runs already on {folder} (process {pid}). Stop that one first, "
                     "or set REDRIVE_STATE_DIR and REDRIVE_PORT to run a second one beside it.").format(
                         folder=self.path, pid=owner["pid"])
        return _("`{holder}` (process {pid}) is using {folder}. Try again when it has ended.").format(
            holder=owner["holder"], pid=owner["pid"], folder=self.path)
