"""Pictures are worked up in as many threads as there are cores."""

import asyncio
import ctypes
import subprocess
import sys
import threading
import time

import pytest

from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Cover
from tests.processes import ROOT
from workers.generators.painters import workbench
from workers.generators.painters.workbench import work_up


def test_no_more_pictures_are_worked_up_at_once_than_there_are_cores():
    at_work, most, changing = 0, 0, threading.Lock()

    def make(alt_text: str):
        nonlocal at_work, most
        with changing:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with changing:
            at_work -= 1
        return Cover(large=b"large", thumbnail=b"small", alt_text=alt_text)

    async def run():
        return await asyncio.gather(*(work_up(make, alt_text=str(number)) for number in range(4 * workbench.CORES)))

    assert [cover.alt_text for cover in asyncio.run(run())] == [str(number) for number in range(4 * workbench.CORES)]
    assert most == workbench.CORES


def test_what_is_wrong_with_a_picture_is_raised():
    def make():
        raise ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, "no picture")

    with pytest.raises(ItemError, match="no picture"):
        asyncio.run(work_up(make))


# How many pieces of memory of their own glibc keeps for what is larger than its threshold: mallinfo2().hblks.
_MAPPED = """
import asyncio, ctypes
from workers.generators.painters.workbench import work_up

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc.mallinfo2.restype = Info

def mapped(megabytes):
    before = libc.mallinfo2().hblks
    libc.malloc(megabytes * 1024 ** 2)
    return libc.mallinfo2().hblks - before

print(mapped(16), end=" ")
asyncio.run(work_up(lambda: None))
print(mapped(16), mapped(40))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the memory of glibc only")
def test_memory_of_a_picture_is_kept_for_the_next_one():
    told = subprocess.run([sys.executable, "-c", _MAPPED], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.split() == ["1", "0", "1"]  # of its own before; then in the heap, but for what is far too large
