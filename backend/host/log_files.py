"""The log files in the state folder, one for each server and child."""

import os
import shutil
from pathlib import Path

from backend.i18n import _

LIMIT_BYTES = 20_000_000  # two files of this size are the most that one child keeps
TAIL_BYTES = 8_000


def last_line(log_path: Path) -> str:
    """The last line that says something, or the words that nothing was logged."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), _("nothing was logged"))


def set_large_logs_aside(folder: Path) -> None:
    """Empty each log over the limit and keep its content as .log.1. Lines written during the copy may be lost."""
    for path in folder.glob("*.log"):
        if path.stat().st_size > LIMIT_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)  # not renamed: the child holds it open, for appending
