"""The boundary around an item: claim it, write it, save it; whatever goes wrong fails that item alone."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from backend.actions import attempts
from backend.actions.attempts import Attempt, save_error
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.redrive import Redrive
from backend.storage import items
from backend.storage.items import StoredItem
from backend.views.availability import is_outage
from workers.generators.choose import choose_generator
from workers.generators.protocol import Generator, WrittenConcept, write

SAVE_PATIENCE_SECONDS = 3600.0  # how long a finished text waits for a database that is away or a pool that is dry
_WORTH_ANOTHER_TRY = (ErrorKind.SAVE_DATABASE_GONE, ErrorKind.SAVE_POOL_EXHAUSTED, ErrorKind.SAVE_STORE_GONE)
log = structlog.get_logger()
Result = TypeVar("Result")


def run_chunk(redrive: Redrive, item_ids: Sequence[int]) -> dict[str, int]:
    """Run the items concurrently, `settings.concurrency` at a time; counts by outcome."""
    return asyncio.run(Chunk(redrive, choose_generator(redrive.settings)).run(item_ids))


class Chunk:
    """Items that share one event loop, one generator and one heartbeat."""

    def __init__(self, redrive: Redrive, generator: Generator) -> None:
        self._redrive = redrive
        self._generator = generator
        # Beginning and saving go on beside the writing: a slot that waited for PostgreSQL would leave the model idle.
        self._begun = asyncio.Semaphore(2 * redrive.settings.concurrency)
        self._writing = asyncio.Semaphore(redrive.settings.concurrency)
        self._running: dict[int, int] = {}  # item_id -> attempt
        self._threads = ThreadPoolExecutor(min(redrive.settings.concurrency, 8), thread_name_prefix="storage")
        # Its own: eight saves that wait for a lock must not keep living items from showing that they live.
        self._heartbeat_thread = ThreadPoolExecutor(1, thread_name_prefix="heartbeat")

    async def run(self, item_ids: Sequence[int]) -> dict[str, int]:
        heartbeat = asyncio.create_task(self._beat())
        try:
            outcomes = await asyncio.gather(*(self._run_item(item_id) for item_id in item_ids))
        finally:
            heartbeat.cancel()
            await self._generator.close()
            self._threads.shutdown(wait=False)
            self._heartbeat_thread.shutdown(wait=False)
        return dict(Counter(outcomes))

    async def _run_item(self, item_id: int) -> str:
        async with self._begun:
            begun = await self._begin(item_id)
            if not isinstance(begun, Attempt):
                return begun
            self._running[item_id] = begun.item.attempt
            try:
                return await self._write_and_save(begun)
            finally:
                del self._running[item_id]

    async def _begin(self, item_id: int) -> Attempt | str:
        """The attempt, or in a word why there is none."""
        try:
            begun = await self._in_thread(attempts.begin, self._redrive, item_id)
        except Exception as exc:  # boundary
            return await self._not_begun(item_id, exc)
        if isinstance(begun, Attempt):
            return begun
        outcome, item = begun
        if item:
            log.info("item_not_written", outcome=outcome.value, **_named(item))
        return outcome.value

    async def _not_begun(self, item_id: int, exc: Exception) -> str:
        """An outage leaves the item queued, it is sent again; anything else would come again each time, so the item fails."""
        if is_outage(exc):
            log.warning("item_not_begun", item_id=item_id, error=str(exc).splitlines()[0])
            return "not_begun"
        log.exception("item_defect", item_id=item_id)
        error = save_error(exc) if isinstance(exc, DBAPIError) else ItemError(ErrorKind.UNEXPECTED, f"{type(exc).__name__}: {exc}")
        await self._patiently(lambda: self._in_thread(attempts.refuse, self._redrive, item_id, error))
        return "failed"

    async def _write_and_save(self, attempt: Attempt) -> str:
        item = attempt.item
        bound = log.bind(**_named(item))
        try:
            async with self._writing:
                written: WrittenConcept = await write(self._generator, item.key.kind, brief=attempt.brief)
            is_ours = await self._patiently(lambda: self._in_thread(attempts.save, self._redrive, attempt, written))
        except ItemError as error:
            return await self._fail(attempt, error, bound)
        except Exception as exc:  # boundary: a defect fails one item, named as such
            bound.exception("item_defect")
            return await self._fail(attempt, ItemError(ErrorKind.UNEXPECTED, f"{type(exc).__name__}: {exc}"), bound)
        bound.info("item_saved" if is_ours else "item_late", generator=written.generator, sample=written.is_sample)
        return "succeeded" if is_ours else "late"

    async def _fail(self, attempt: Attempt, error: ItemError, bound: structlog.stdlib.BoundLogger) -> str:
        bound.warning("item_failed", error_kind=error.kind.value, error=error.message)
        try:
            await self._patiently(lambda: self._in_thread(attempts.fail, self._redrive, attempt, error))
        except ItemError as gone:  # the lease runs out and the item is taken back
            bound.error("failure_not_recorded", error=gone.message)
        return "failed"

    async def _patiently(self, save: Callable[[], Awaitable[Result]]) -> Result:
        """Try again while the database is away or its pool is dry: a finished text was paid for."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda exc: isinstance(exc, ItemError) and exc.kind in _WORTH_ANOTHER_TRY),
            stop=stop_after_delay(SAVE_PATIENCE_SECONDS), wait=wait_random_exponential(multiplier=0.2, max=5), reraise=True)
        return await retrying(_naming_database_errors(save))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._redrive.settings.heartbeat_seconds)
            if self._running:
                try:
                    await asyncio.get_running_loop().run_in_executor(
                        self._heartbeat_thread, self._beat_once, list(self._running.items()))
                except Exception as exc:  # boundary: a missed beat is no reason to stop writing
                    log.warning("heartbeat_missed", error=str(exc))

    def _beat_once(self, running: list[tuple[int, int]]) -> None:
        with self._redrive.engine.begin() as connection:
            items.beat(connection, running, utc_now())

    async def _in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _named(item: StoredItem) -> dict[str, object]:
    """What every log line about an item says."""
    return {"item_id": item.item_id, "key": str(item.key), "attempt": item.attempt, "operation_id": item.operation_id}


def _naming_database_errors(save: Callable[[], Awaitable[Result]]) -> Callable[[], Awaitable[Result]]:
    async def named() -> Result:
        try:
            return await save()
        except (DBAPIError, PoolTimeout) as exc:
            raise save_error(exc) from exc
    return named
