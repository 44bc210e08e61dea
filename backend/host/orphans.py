"""Processes that an earlier run left behind, and how they are stopped. A bare process id is never trusted.

Only the owner of the state folder's lock may call this: nobody else's processes can match then.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from backend.host.errors import HostError
from backend.i18n import _

MARK = "REDRIVE_SUPERVISED_FROM"  # in the environment of every supervised child: its state folder
SERVER_NAMES = ("postgres", "valkey-server", "redis-server")


def orphaned_server(pid_file: Path, data_folder: Path) -> psutil.Process | None:
    """The server that a pid file names, only if it is one and works in `data_folder`; else None."""
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
    except (OSError, ValueError, psutil.Error):
        return None
    return process if _is_server_of(process, data_folder) else None


def servers_in(data_folder: Path) -> Iterator[psutil.Process]:
    """Every server process that works in `data_folder`, e.g. what a killed postmaster left."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in SERVER_NAMES and _is_server_of(process, data_folder):
            yield process


def marked_children(state_folder: Path) -> Iterator[psutil.Process]:
    """Every process that was started, at any depth, under an earlier `redrive up` of this state folder."""
    us = psutil.Process()
    own_line = {us.pid, *(parent.pid for parent in us.parents())}
    for process in psutil.process_iter():
        try:
            if process.pid not in own_line and process.environ().get(MARK) == str(state_folder) and _is_alive(process):
                yield process
        except psutil.Error:
            continue


def stop(process: psutil.Process, *signals: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn, giving the process that many seconds after it. Raises HostError when it outlives all."""
    for number, seconds in signals:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        if wait_for_end([process], seconds):
            return
    raise HostError(_("Process {pid}, left by an earlier run, does not stop. Stop it (kill -9 {pid}) and try again.").format(
        pid=process.pid))


def wait_for_end(processes: list[psutil.Process], seconds: float) -> bool:
    """True when all have ended within that time. A zombie has ended: process 1 of a container may reap late."""
    end = time.monotonic() + seconds
    while any(_is_alive(process) for process in processes):
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def stop_marked_children(state_folder: Path) -> int:
    """Stop what an earlier `redrive up` left running and give how many processes it was."""
    orphans = list(marked_children(state_folder))
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0)):
        for process in orphans:
            if _is_alive(process):
                process.send_signal(number)
        if wait_for_end(orphans, seconds):
            return len(orphans)
    raise HostError(_("Processes {pids}, left by an earlier run, do not stop. Stop them (kill -9) and try again.").format(
        pids=", ".join(str(process.pid) for process in orphans)))


def _is_server_of(process: psutil.Process, data_folder: Path) -> bool:
    try:
        return process.name() in SERVER_NAMES and _is_alive(process) and Path(process.cwd()) == data_folder.resolve()
    except psutil.Error:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
