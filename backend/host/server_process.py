"""One private server as a child process: started tied to us, waited for, stopped in its own way."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backend.host.errors import HostError
from backend.host.lifelines import tied_to_this_process
from backend.host.log_files import last_line
from backend.host.service_user import ServiceUser
from backend.i18n import _

READY_SECONDS = 60.0    # recovery after a kill -9 took 0.3 s here; a large write-ahead log takes longer
STOP_SECONDS = 20.0
FORCED_STOP_SECONDS = 10.0


class ServerProcess:
    def __init__(self, name: str, *, log_path: Path, stop_signal: signal.Signals, forced_stop_signal: signal.Signals) -> None:
        self.name = name
        self.log_path = log_path
        self._stop_signal = stop_signal
        self._forced_stop_signal = forced_stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    def start(self, command: Sequence[str | Path], *, user: ServiceUser | None = None,
              environment: Mapping[str, str] | None = None) -> None:
        """Start the command in a session of its own: Ctrl-C in the terminal reaches only us, who stop it in order."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=tied_to_this_process(self._stop_signal),
                **(user.subprocess_arguments() if user else {}))

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Return when `is_ready`. Raises HostError when the server ends first or takes longer than READY_SECONDS."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if not self.is_running:
                raise HostError(_("{server} ended at once: {reason} (whole log: {path})").format(
                    server=self.name, reason=last_line(self.log_path), path=self.log_path))
            if is_ready():
                return
            time.sleep(0.01)
        raise HostError(_("{server} is not ready after {seconds:.0f} s. Look into {path}.").format(
            server=self.name, seconds=READY_SECONDS, path=self.log_path))

    def stop(self) -> None:
        """Stop it and wait for its end; harder when it takes too long."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(self._stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(self._forced_stop_signal)
            process.wait(FORCED_STOP_SECONDS)
