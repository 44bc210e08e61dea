"""A finished text on its way into PostgreSQL: kept in the object store as soon as that takes long, so that no death of ours loses it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from backend.actions import attempts, spills
from backend.actions.attempts import Attempt
from backend.content.errors import ErrorKind, ItemError
from backend.redrive import Redrive
from backend.storage.objects import StoreUnreachable
from workers.generators.protocol import WrittenContent

SPILL_AFTER_SECONDS = 0.3          # a save takes 0.01 to 0.1 s; what takes longer waits for a row or for PostgreSQL
LONGEST_PATIENCE_SECONDS = 3600.0  # for a finished text that neither the database nor the object store takes
UNTAKEN_PAUSE_SECONDS = 0.5        # until a text that neither took is offered to both again
log = structlog.get_logger()
Result = TypeVar("Result")
# Runs it again while PostgreSQL is away; raises ItemError of an outage when it stays away.
Patiently = Callable[[Callable[[], Awaitable[Result]]], Awaitable[Result]]


class Safekeeping:
    def __init__(self, redrive: Redrive, threads: ThreadPoolExecutor, patiently: Patiently) -> None:
        self._redrive = redrive
        self._threads = threads
        self._patiently = patiently
        # Its own: saves that wait for a lock must not keep texts from being spilled.
        self._store_thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    def close(self) -> None:
        self._store_thread.shutdown(wait=False)

    async def save(self, attempt: Attempt, written: WrittenContent, bound: structlog.stdlib.BoundLogger) -> str:
        """Save it; a database that stays away gets the text later, from the object store. The outcome in a word.

        Raises ItemError when the text is not taken for a reason of its own.
        """
        started, is_kept = time.monotonic(), False
        while True:
            saving = asyncio.create_task(self._patiently(lambda: self._in(self._threads, attempts.save, self._redrive, attempt, written)))
            await asyncio.wait({saving}, timeout=SPILL_AFTER_SECONDS)
            if not saving.done():
                is_kept = is_kept or await self._spill(attempt, written, bound)
            try:
                is_ours = await saving
            except ItemError as error:
                if error.kind is ErrorKind.SAVE_OWNER_GONE and not is_kept:
                    await self._spill(attempt, written, bound)
                if not error.is_outage or time.monotonic() - started > LONGEST_PATIENCE_SECONDS:
                    raise
                if is_kept or await self._spill(attempt, written, bound):
                    return "spilled"
                await asyncio.sleep(UNTAKEN_PAUSE_SECONDS)
                continue
            if is_ours and is_kept:
                with contextlib.suppress(StoreUnreachable):  # the reconciler sees that it is saved
                    await self._in(self._store_thread, spills.forget, self._redrive, attempt.item)
            if not (is_ours or is_kept):
                await self._spill(attempt, written, bound)  # another attempt may be spared by it, or people may choose it
            bound.info("item_saved" if is_ours else "item_late", generator=written.generator, sample=written.is_sample)
            return "succeeded" if is_ours else "late"

    async def _spill(self, attempt: Attempt, written: WrittenContent, bound: structlog.stdlib.BoundLogger) -> bool:
        try:
            path = await self._in(self._store_thread, spills.spill, self._redrive, attempt.item, written)
        except (StoreUnreachable, ValueError) as exc:  # ValueError: no bytes can be made of it, and its save says so too
            bound.error("text_not_spilled", error=str(exc))
            return False
        bound.warning("text_spilled", path=path)
        return True

    async def _in(self, threads: ThreadPoolExecutor, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)
