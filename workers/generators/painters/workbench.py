"""Where pictures are worked up: in threads of their own, as many as there are cores, however many answers come at once."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backend.content.written import Cover

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT_BYTES = 128 * 1024 ** 2
_LARGEST_KEPT_BYTES = 32 * 1024 ** 2  # a decoded picture of 8 million pixels; larger ones go back to the system at once


def _keep_freed_memory() -> None:
    """What a picture leaves is used for the next one. Else glibc gives it back after each, and asks for it again page by page:
    6 ms of a cover's CPU, and each return interrupts the other cores. A work-horse ends with its chunk, and all of it is free.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl and macOS manage without
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


# More would only take turns, while the event loop and the saves wait longer for each of theirs.
_bench = ThreadPoolExecutor(CORES, thread_name_prefix="pictures", initializer=_keep_freed_memory)


async def work_up(make: Callable[..., Cover], *arguments: object, **named: object) -> Cover:
    """What `make` makes of them. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_bench, partial(make, *arguments, **named))
