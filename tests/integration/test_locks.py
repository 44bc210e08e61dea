"""Who waits for whom: a row that somebody holds must stop nothing but its own item, and nobody waits in a circle."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from backend.actions import attempts, reconciler, spills, withdrawals
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.redrive import Redrive
from backend.storage import items
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import QUIZ, begun, queued, written
from tests.processes import wait_for

QUIZ_1, QUIZ_2 = (ContentKey(ContentKind.QUIZ, owner_id, "a") for owner_id in ("r1", "r2"))


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    """One quiz is missing in each of two roadmaps; who waits for a lock in vain fails after 3 s."""
    execute(redrive, f"alter database {redrive.engine.url.database} set lock_timeout = '3s'")
    redrive.engine.dispose()
    for owner_id in ("r1", "r2"):
        add_roadmap(redrive.engine, owner_id, concepts=[concept("a", quiz_status="failed")], unsaved=[(ContentKind.QUIZ, "a")])
    return redrive


def execute(redrive: Redrive, statement: str) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text(statement))


@contextmanager
def held(redrive: Redrive, query: str) -> Iterator[None]:
    """Another program holds those rows meanwhile."""
    with redrive.engine.begin() as connection:
        connection.execute(text(f"{query} for update"))
        yield


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def waiting_for_a_lock(redrive: Redrive) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))


def test_a_save_that_waits_for_a_lock_keeps_no_other_item_from_beating(broken, operator, beside):
    first, second = queued(broken, operator, QUIZ_1, QUIZ_2)
    saving = begun(broken, first)
    begun(broken, second)
    execute(broken, "update ops.items set heartbeat_at = now() - interval '1 hour'")

    with held(broken, "select 1 from tasks where roadmap_id = 'r1'"):
        saved = beside.submit(attempts.save, broken, saving, written(QUIZ))
        wait_for(lambda: waiting_for_a_lock(broken), what="the save to wait for its task")
        with broken.engine.begin() as connection:
            items.beat(connection, [(first, 1), (second, 1)], utc_now())
        taken_back = reconciler.take_back_lost(broken)

    assert (saved.result(), taken_back) == (True, 0)
def test_a_spilled_text_and_a_worker_that_begins_its_item_do_not_wait_for_each_other(broken, operator, beside):
    item_id, = queued(broken, operator, QUIZ_1)
    first = begun(broken, item_id)
    withdrawals.give_back(broken, first.item)
    spills.spill(broken, first.item, written(QUIZ))

    with held(broken, "select 1 from roadmap_metadata where roadmap_id = 'r1'"):
        begin = beside.submit(attempts.begin, broken, item_id)
        wait_for(lambda: waiting_for_a_lock(broken) == 1, what="the worker to wait for the roadmap")
        saving = beside.submit(spills.save_spilled, broken)
        wait_for(lambda: waiting_for_a_lock(broken) == 2, what="the maintenance process to wait too")

    assert isinstance(begin.result(), attempts.Attempt)  # it came first
    assert saving.result() == []
    assert broken.objects.paths("spills/")
