"""Whether this process was asked to stop (SIGTERM), also before there is an event loop that could hear it."""

import threading

_asked = threading.Event()


def ask(*_signal: object) -> None:
    """A signal handler too."""
    _asked.set()


def is_asked() -> bool:
    return _asked.is_set()
