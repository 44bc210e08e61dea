"""The command line of each process of Redrive. They run in the checkout; nothing of them is imported here."""

import signal
import sys

from backend.content.status import Priority
from backend.host.children import ChildSpec
from backend.settings import Settings

WORKER_NICENESS = 10  # pages come first: on two busy cores `make run` answers after 3 s in place of 6 s

QUEUES = tuple(str(priority) for priority in Priority)


def web_command(settings: Settings) -> tuple[str, ...]:
    return (sys.executable, "-m", "streamlit", "run", "dashboard/asgi.py",
            "--server.address", settings.host.strip("[]"), "--server.port", str(settings.port))


def worker_command(queue: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "workers.main", "--queue", queue)


def maintenance_command() -> tuple[str, ...]:
    return (sys.executable, "-m", "workers.maintenance")


def all_children(settings: Settings) -> tuple[ChildSpec, ...]:
    """What `redrive up` runs: the web process, maintenance, and as many workers for each queue as the settings say."""
    counts = {Priority.INTERACTIVE: settings.workers_interactive, Priority.BULK: settings.workers_bulk,
              Priority.AUTOMATIC: settings.workers_automatic}
    workers = tuple(
        ChildSpec(f"worker-{queue}-{number}", worker_command(queue), niceness=WORKER_NICENESS,
                  death_signal=signal.SIGKILL)  # SIGTERM would let it end its job first
        for queue, count in counts.items() for number in range(1, count + 1))
    return (ChildSpec("web", web_command(settings)), ChildSpec("maintenance", maintenance_command()), *workers)
