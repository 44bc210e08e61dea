"""Ctrl-C, SIGTERM and a closed terminal, as one exception in the main thread."""

import signal
from types import FrameType, TracebackType
from typing import Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A person or the system asked this process to stop. Not an Exception: nothing on the way may swallow it."""


class StopSignals:
    """The first signal raises Stopped wherever the main thread is; later ones only say that it is urgent."""

    def __init__(self) -> None:
        self._count = 0
        self._may_raise = True
        self._before: dict[signal.Signals, object] = {}

    @property
    def is_urgent(self) -> bool:
        return self._count > 1

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
        self._count += 1
        if self._may_raise:
            self._may_raise = False
            raise Stopped
