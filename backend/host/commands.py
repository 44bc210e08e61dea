"""The command line of each process of Redrive. They run in the checkout; nothing of them is imported here."""

import signal
import sys

from backend.host.children import ChildSpec
from backend.settings import Settings

QUEUES = ("interactive", "bulk", "automatic")


def web_command(settings: Settings) -> tuple[str, ...]:
    return (sys.executable, "-m", "streamlit", "run", "dashboard/asgi.py",
            "--server.address", settings.host.strip("[]"), "--server.port", str(settings.port))


def worker_command(queue: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "workers.main", "--queue", queue)


def maintenance_command() -> tuple[str, ...]:
    return (sys.executable, "-m", "workers.maintenance")


def all_children(settings: Settings) -> tuple[ChildSpec, ...]:
    """What `redrive up` runs: the web process, maintenance, and as many workers for each queue as the settings say."""
    counts = {"interactive": settings.workers_interactive, "bulk": settings.workers_bulk,
              "automatic": settings.workers_automatic}
    workers = tuple(
        ChildSpec(f"worker-{queue}-{number}", worker_command(queue), death_signal=signal.SIGKILL)  # else it ends its job first
        for queue in QUEUES for number in range(1, counts[queue] + 1))
    return (ChildSpec("web", web_command(settings)), ChildSpec("maintenance", maintenance_command()), *workers)
