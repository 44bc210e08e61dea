"""Ctrl-C, SIGTERM and a closed terminal, as one exception in the main thread."""

import signal
import time
from types import FrameType, TracebackType
from typing import Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_REQUEST_SECONDS = 1.0  # make hands on the SIGTERM that a process group got, so one request arrives twice


class Stopped(BaseException):
    """A person or the system asked this process to stop. Not an Exception: nothing on the way may swallow it."""


class StopSignals:
    """The first signal raises Stopped wherever the main thread is; a later one only says that it is urgent."""

    def __init__(self) -> None:
        self._first_at: float | None = None  # time.monotonic()
        self._is_urgent = False
        self._may_raise = True
        self._before: dict[signal.Signals, object] = {}

    @property
    def is_urgent(self) -> bool:
        return self._is_urgent

    def disarm(self) -> None:
        """From now on signals raise nothing: stopping has begun and must not be interrupted half way."""
        self._may_raise = False

    def __enter__(self) -> Self:
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP on purpose
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _exc: BaseException | None, _where: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at >= SAME_REQUEST_SECONDS:
            self._is_urgent = True
        if self._may_raise:
            self._may_raise = False
            raise Stopped
