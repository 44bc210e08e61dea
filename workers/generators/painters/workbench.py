"""Where pictures are worked up: in threads of their own, as many as there are cores, however many answers come at once."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backend.content.written import Cover

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# More would only take turns, while the event loop and the saves wait longer for each of theirs.
_bench = ThreadPoolExecutor(CORES, thread_name_prefix="pictures")


async def work_up(make: Callable[..., Cover], *arguments: object, **named: object) -> Cover:
    """What `make` makes of them. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_bench, partial(make, *arguments, **named))
