"""Whether a process still lives, where the kernel hides what belongs to other users."""

import os
import subprocess
from pathlib import Path

from backend.processes import ProcessName, is_surely_gone, this_host, this_process


def test_this_process_lives_and_a_finished_one_is_gone():
    child = subprocess.Popen(["true"])
    child.wait()

    assert not is_surely_gone(this_process())
    assert is_surely_gone(ProcessName(this_host(), child.pid))


def test_a_process_that_has_ended_and_was_not_waited_for_is_gone():
    child = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert is_surely_gone(ProcessName(this_host(), child.pid))
    finally:
        child.wait()


def test_a_living_process_that_proc_does_not_show_is_not_taken_for_gone(monkeypatch):
    """/proc mounted with hidepid shows only the processes of the same user."""
    def hidden(_path):
        raise FileNotFoundError

    this_host()
    monkeypatch.setattr(Path, "read_text", hidden)

    assert not is_surely_gone(this_process())
