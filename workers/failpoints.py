"""Places at which a test holds a work-horse, to kill it there from outside. Off in production: `reach` is an empty function then.

REDRIVE_FAILPOINT=after_claim:/path/of/mark is read once, when this is imported. The first process that gets there writes its pid
into that file and stays until it is killed; all later ones go past.
"""

import os
import time
from pathlib import Path

POINTS = ("before_claim", "after_claim", "after_model", "after_save")

_NAME, _, _MARK = os.environ.get("REDRIVE_FAILPOINT", "").partition(":")


def _pass(point: str) -> None:
    """Production."""


def _hold(point: str) -> None:
    if point != _NAME:
        return
    try:
        with Path(_MARK).open("x") as mark:
            mark.write(str(os.getpid()))
    except FileExistsError:
        return
    while True:
        time.sleep(60)


reach = _hold if _NAME in POINTS else _pass
