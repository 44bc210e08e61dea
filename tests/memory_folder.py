"""A folder in memory for the servers of the tests: a database is copied there in 10 ms, on a disk in 80 to 250."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_MEMORY = Path("/dev/shm")
_LEAST_BYTES = 6 * 1024**3  # two processes with a gigabyte of write-ahead log and some large databases each
_PREFIX = "redrive-tests-"


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Deleted at the end; on a disk where memory is short. What a killed run left there is deleted first."""
    for left in _MEMORY.glob(f"{_PREFIX}*-*"):
        if not psutil.pid_exists(int(left.name.removeprefix(_PREFIX).split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    has_room = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _LEAST_BYTES
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY if has_room else None))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
