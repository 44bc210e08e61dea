"""Which processes are killed by their pid, and which never."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import psutil
import pytest

from backend.clock import utc_now
from backend.jobs import work_horses
from backend.processes import ProcessName, is_surely_gone, this_host
from tests.processes import wait_for

FORKING = "import os, time\nif os.fork(): os.wait()\nelse: time.sleep(60)"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen]]:
    children: list[subprocess.Popen] = []
    yield children
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def horse(started) -> Iterator[ProcessName]:
    """A fork of a process that has a worker's command line."""
    started.append(subprocess.Popen([sys.executable, "-c", FORKING, "workers.main"]))
    fork = wait_for(lambda: next(iter(psutil.Process(started[-1].pid).children()), None), what="the fork")
    yield ProcessName(this_host(), fork.pid)
    if fork.is_running():
        fork.kill()


def test_a_work_horse_that_redis_knows_nothing_of_is_killed_by_its_pid(redrive, horse):
    assert work_horses.stop(redrive.queue, "unknown", horse, utc_now())
    assert is_surely_gone(horse)
    assert work_horses.stop(redrive.queue, "unknown", horse, utc_now())  # it is gone already


def test_one_that_is_dying_already_is_waited_for(redrive, horse, monkeypatch):
    class Dying(psutil.Process):  # its memory is gone, and its command line with it; its end is not told yet
        def cmdline(self) -> list[str]:
            os.kill(self.pid, signal.SIGKILL)
            return []

    monkeypatch.setattr(work_horses, "psutil", SimpleNamespace(Process=Dying, Error=psutil.Error))

    assert work_horses.stop(redrive.queue, "unknown", horse, utc_now())


def test_one_that_began_after_the_item_was_taken_is_another_and_lives(redrive, horse):
    assert not work_horses.stop(redrive.queue, "unknown", horse, utc_now() - timedelta(hours=1))
    assert not is_surely_gone(horse)


def test_one_of_another_machine_is_not_touched(redrive, horse):
    assert not work_horses.stop(redrive.queue, "unknown", ProcessName("elsewhere/0123456789ab", horse.pid), utc_now())
    assert not is_surely_gone(horse)


def test_a_stranger_that_has_the_pid_by_now_is_not_touched(redrive, started):
    started.append(subprocess.Popen(["sleep", "60"]))

    assert not work_horses.stop(redrive.queue, None, ProcessName(this_host(), started[-1].pid), utc_now())
    assert started[-1].poll() is None
