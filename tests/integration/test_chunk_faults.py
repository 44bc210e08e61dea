"""What goes wrong around one item of a chunk stays with that item, and a chunk that stops does so in time."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy.exc import OperationalError

from backend.actions import attempts
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ItemState
from backend.redrive import Redrive
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import QUIZ, item_row, queued, written
from workers.chunk import run_chunk

KEYS = [ContentKey(ContentKind.QUIZ, "r1", part) for part in "abcd"]


class Slow:
    """A generator that writes for so long."""

    name, is_sample = "slow", True

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    async def write_quiz(self, _brief):
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return written(QUIZ)

    async def close(self) -> None:
        pass


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    add_roadmap(redrive.engine, concepts=[concept(key.part, quiz_status="failed") for key in KEYS],
                unsaved=[(key.kind, key.part) for key in KEYS])
    return redrive


def away(*_arguments, **_named):
    raise OperationalError("", {}, Exception("the server closed the connection unexpectedly"))


def test_an_item_that_can_be_neither_begun_nor_refused_leaves_the_others_alone(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, *KEYS)
    begin = attempts.begin

    def failing(redrive, item_id):
        if item_id == item_ids[1]:
            raise LookupError("a defect")
        return begin(redrive, item_id)

    monkeypatch.setattr(attempts, "begin", failing)
    monkeypatch.setattr(attempts, "refuse", away)
    hasty = replace(broken, settings=broken.settings.model_copy(update={"save_patience_seconds": 0.1, "offline_delay_seconds": 0.5}))

    outcomes = run_chunk(hasty, item_ids)

    assert outcomes["succeeded"] == 3
    assert Counter(item_row(broken, item_id).state for item_id in item_ids) == {ItemState.SUCCEEDED: 3, ItemState.QUEUED: 1}


def test_an_item_whose_failure_meets_a_defect_leaves_the_others_alone(broken, operator, monkeypatch):
    item_ids = queued(broken, operator, *KEYS)
    save = attempts.save

    def failing(redrive, attempt, text):
        if attempt.item.item_id == item_ids[1]:
            raise LookupError("a defect")
        return save(redrive, attempt, text)

    def defect(*_arguments):
        raise KeyError("another defect")

    monkeypatch.setattr(attempts, "save", failing)
    monkeypatch.setattr(attempts, "fail", defect)
    slow = replace(broken, settings=broken.settings.model_copy(update={"offline_delay_seconds": 0.5, "concurrency": 1}))

    assert run_chunk(slow, item_ids)["succeeded"] == 3
