"""Pictures are worked up in as many threads as there are cores."""

import asyncio
import threading
import time

import pytest

from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Cover
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
