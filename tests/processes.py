"""Real worker and maintenance processes for a test, stopped at its end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from backend.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
Found = TypeVar("Found")


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The settings as the environment of a child process."""
    values: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value is None:
            continue
        values[field.alias or f"REDRIVE_{name.upper()}"] = (
            value.get_secret_value() if hasattr(value, "get_secret_value") else str(value))
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENAI_API_KEY", "OPENAI_BASE_URL")}
    return {**kept, **values, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def started(settings: Settings, *modules: tuple[str, ...], **more: str) -> Iterator[list[subprocess.Popen]]:
    """Processes `python -m module arguments`; killed at the end if they do not stop by themselves."""
    children = [
        subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=environment(settings, **more)) for module in modules]
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


MAINTENANCE = ("workers.maintenance",)


def worker(queue: str) -> tuple[str, ...]:
    return ("workers.main", "--queue", queue)


def wait_for(condition: Callable[[], Found], *, seconds: float = 120.0, what: str = "the condition") -> Found:
    """What the condition gives once it is true. Fails after the deadline, naming what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
