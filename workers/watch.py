"""Watches over what a worker writes: shows that it lives, and hears what is to stop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from backend.clock import utc_now
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.storage import leases, stopping
from backend.storage.items import StoredItem
from backend.storage.recorded import in_one_line
from workers.chapter_telling import ChapterTelling
from workers.generators.protocol import WrittenContent

LOOK_SECONDS = 0.5   # how often a worker asks whether it is to stop something
FROZEN_SHARE = 0.5   # of a lease without a look: the process was frozen, and somebody else may hold its items by now
log = structlog.get_logger()


@dataclass(slots=True)
class Running:
    item: StoredItem
    spent: Spent = field(default_factory=Spent)
    writing: asyncio.Task[WrittenContent] | None = None  # while the model is being asked: it may be stopped then, and only then
    is_told_to_stop: bool = False
    telling: ChapterTelling | None = None  # of a chapter: its watchers

    def break_off(self) -> None:
        if self.writing:
            self.writing.cancel()


class Watch:
    def __init__(self, redrive: Redrive, running: dict[int, Running]) -> None:
        self._redrive = redrive
        self._running = running
        self._looked_at = time.monotonic()
        # Its own: eight saves that wait for a lock must not keep living items from showing that they live.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")

    async def keep(self) -> None:
        """Until cancelled. A missed look is no reason to stop writing."""
        beaten_at = time.monotonic()
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._redrive.settings.heartbeat_seconds))
            is_due = time.monotonic() - beaten_at >= self._redrive.settings.heartbeat_seconds
            if self._running and await self._look(is_due) and is_due:
                beaten_at = time.monotonic()

    async def catch_up(self) -> None:
        """Before the model is asked: one look first, when the last one was long ago."""
        if time.monotonic() - self._looked_at > FROZEN_SHARE * self._redrive.settings.lease_seconds:
            await self._look(is_due=True)

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    async def _look(self, is_due: bool) -> bool:
        """False: PostgreSQL could not be asked."""
        running = [(item_id, found.item.attempt) for item_id, found in self._running.items()]
        try:
            told = await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, running, is_due)
        except Exception as exc:  # boundary
            log.warning("heartbeat_missed", error=in_one_line(exc))
            return False
        self._looked_at = time.monotonic()
        for item_id in told:
            found = self._running.get(item_id)
            if found and found.writing:
                found.is_told_to_stop = True
                found.break_off()
        return True

    def _ask(self, running: list[tuple[int, int]], is_due: bool) -> list[int]:
        with self._redrive.engine.begin() as connection:
            if is_due:
                leases.beat(connection, running, utc_now())
            return stopping.told_to_stop(connection, running)
