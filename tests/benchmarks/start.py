"""(g) A second `make run`, until the web process answers."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.host.lifelines import tied_to_this_process
from backend.host.project import ROOT
from backend.host.web_address import is_healthy
from tests.benchmarks.stand import wait_until
from tests.benchmarks.table import Figure, median
from tests.ports import free_port

ROUNDS = 3
HOST = "127.0.0.1"


def run() -> Iterator[Figure]:
    folder = Path(tempfile.mkdtemp(prefix="redrive-bench-"))
    folder.chmod(0o755)
    try:
        yield Figure("(g) first make run, with the demo", _start(folder), "s")
        yield Figure("(g) second make run, until it answers", median([_start(folder) for _round in range(ROUNDS)]), "s", 5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> float:
    """Seconds from the command to an answer of the page and a good health."""
    port = free_port()
    started = time.perf_counter()
    with _make_run(folder, port) as running:
        wait_until(lambda: running.poll() is not None or is_healthy(HOST, port), timeout_seconds=120, every_seconds=0.02)
        if running.poll() is not None:
            raise RuntimeError(f"make run ended with {running.returncode}: {(folder / 'make.log').read_text()[-2000:]}")
        with urllib.request.urlopen(f"http://{HOST}:{port}/") as page:
            page.read()
        return time.perf_counter() - started


@contextmanager
def _make_run(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`make run` on a state folder and a port of its own; asked to stop at the end."""
    inherited = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("REDRIVE_", "OPENAI_")) and name not in ("DATABASE_URL", "REDIS_URL")}
    environment = inherited | {"REDRIVE_STATE_DIR": str(folder / "state"), "REDRIVE_PORT": str(port)}
    with (folder / "make.log").open("ab") as output:
        running = subprocess.Popen(
            ["make", "run"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=tied_to_this_process(signal.SIGTERM))
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)  # a shell in the background ignores Ctrl-C, and so would its children
            running.wait(60)
