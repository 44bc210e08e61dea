"""Supervises child processes: starts them tied to us, starts again what dies, stops them together."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from backend.host.lifelines import tied_to_this_process

QUICK_DEATH_SECONDS = 10.0     # a child that lived longer starts again at once
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
FIRST_SETTLED_SECONDS = 1.5    # the pages take longer to answer anyway
SETTLED_SECONDS = 3.0         # a child that died before counts as up again after that

log = structlog.get_logger(__name__)


def delay_seconds(quick_deaths: int) -> float:
    """How long to wait before starting again what died quickly so many times in a row. 0 for none."""
    return 0.0 if quick_deaths == 0 else min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(quick_deaths - 1, 10))


@dataclass(frozen=True)
class ChildSpec:
    name: str
    command: tuple[str, ...]
    death_signal: signal.Signals = signal.SIGTERM  # what the kernel sends it when we die without a word
    niceness: int = 0                              # above 0: yields the processor to the others


@dataclass
class Child:
    spec: ChildSpec
    log_path: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0      # time.monotonic()
    deaths: int = 0
    quick_deaths: int = 0        # in a row
    next_start_at: float = 0.0   # time.monotonic()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_settled(self) -> bool:
        """Running for long enough that it has not just been started to die."""
        needed = SETTLED_SECONDS if self.quick_deaths else FIRST_SETTLED_SECONDS
        return self.is_running and time.monotonic() - self.started_at >= needed


class Supervisor:
    """Main thread only. `environment` is the whole environment of every child."""

    def __init__(self, specs: tuple[ChildSpec, ...], *, environment: Mapping[str, str], folder: Path, logs: Path) -> None:
        self.children = tuple(Child(spec, logs / f"{spec.name}.log") for spec in specs)
        self._environment = environment
        self._folder = folder

    def start_all(self) -> None:
        for child in self.children:
            self._start(child)

    def watch(self) -> None:
        """Note what has died and start again what is due. Returns at once; call it several times a second."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._bury(child, now)
            if child.process is None and now >= child.next_start_at:
                self._start(child)

    def stop_all(self, seconds: float, *, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Ask all to stop; kill those that still run after `seconds`, or once `is_hurried`, with their process groups."""
        running = [child for child in self.children if child.is_running]
        for child in running:
            child.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_hurried() and any(child.is_running for child in running):
            time.sleep(0.02)
        for child in running:
            if child.is_running:
                log.warning("child does not stop, killing it", child=child.spec.name)
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
            child.process = None

    def _start(self, child: Child) -> None:
        with child.log_path.open("ab") as output:
            child.process = subprocess.Popen(
                child.spec.command, env=dict(self._environment), cwd=self._folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, process_group=0,  # Ctrl-C reaches only us; in our session, so that niceness counts
                preexec_fn=tied_to_this_process(child.spec.death_signal))
        # Not below our own: started by `nice`, only root may go back.
        os.setpriority(os.PRIO_PROCESS, child.process.pid, max(child.spec.niceness, os.getpriority(os.PRIO_PROCESS, 0)))
        child.started_at = time.monotonic()

    def _bury(self, child: Child, now: float) -> None:
        exit_code = child.process.returncode
        child.deaths += 1
        child.quick_deaths = child.quick_deaths + 1 if now - child.started_at < QUICK_DEATH_SECONDS else 0
        wait = delay_seconds(child.quick_deaths)
        child.next_start_at = now + wait
        child.process = None
        log.warning("child died, starting it again", child=child.spec.name, exit_code=exit_code, delay_seconds=wait,
                    quick_deaths=child.quick_deaths, log=str(child.log_path))
