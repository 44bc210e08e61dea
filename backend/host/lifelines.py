"""Ties a child process to the life of the process that starts it, so that even `kill -9` leaves nothing behind."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable

from backend.host.errors import HostError
from backend.i18n import _

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be loaded between fork and exec


def tied_to_this_process(death_signal: int) -> Callable[[], None] | None:
    """A `preexec_fn`: on Linux the kernel sends `death_signal` to the child when this process ends, however it ends.

    Elsewhere None; there the next start stops what was left. Main thread only: the kernel ties the
    child to the *thread* that starts it. Raises HostError in another thread.
    """
    if not sys.platform.startswith("linux"):
        return None
    if threading.current_thread() is not threading.main_thread():
        raise HostError(_("Servers and children are started from the main thread only. Start them before any thread."))
    parent_pid = os.getpid()

    def tie() -> None:  # subprocess calls it after setuid, which would undo it
        _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return tie


def tie_to_parent(death_signal: int) -> None:
    """Make the kernel send `death_signal` to this process when the one that started it ends. Linux only; else nothing."""
    if sys.platform.startswith("linux"):
        _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
