"""The boundary around an item: claim it, write it, save it; whatever goes wrong fails that item alone."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
import uvloop
from sqlalchemy.exc import DBAPIError

from backend.actions import attempts, chapter_attempts, withdrawals
from backend.actions.attempts import Attempt
from backend.actions.costs import TURNED_AWAY
from backend.actions.settling import save_error
from backend.content.errors import MODEL_OUTAGES, ErrorKind, ItemError, NotAsked
from backend.content.written import Spent
from backend.i18n import _
from backend.jobs.chapter_feed import Feed
from backend.redrive import Redrive
from backend.storage.items import StoredItem
from backend.storage.recorded import in_one_line
from backend.views.availability import is_outage
from workers import failpoints, shutdown
from workers.chapter_telling import ChapterTelling
from workers.generators.choose import choose_generator
from workers.generators.painters.choose import choose_painter
from workers.generators.painters.protocol import Painter
from workers.generators.protocol import Generator, WrittenContent
from workers.making import Makers
from workers.patience import patiently
from workers.provider_notes import ProviderNotes
from workers.safekeeping import Safekeeping
from workers.turns import Turn
from workers.watch import Running, Watch

STOP_SHARE = 0.5  # of the time to stop: what is being written may finish in it, the rest is for saving
log = structlog.get_logger()
Result = TypeVar("Result")


def run_chunk(redrive: Redrive, item_ids: Sequence[int]) -> dict[str, int]:
    """Run the items concurrently, `settings.concurrency` at a time; counts by outcome.

    SIGTERM stops it softly: nothing more is begun, what is being written gets half the time to stop, the rest is given back.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # a quarter less CPU for each call of the model
        return runner.run(_chunk(redrive).run(item_ids))


def _chunk(redrive: Redrive) -> "Chunk":
    return Chunk(redrive, choose_generator(redrive.settings), partial(choose_painter, redrive.settings))


class Chunk:
    """Items that share one event loop, one generator, one painter and one heartbeat."""

    def __init__(self, redrive: Redrive, generator: Generator, choose_painter: Callable[[], Painter] | None = None) -> None:
        self._redrive = redrive
        self._makers = Makers(generator, choose_painter)
        # Beginning and saving go on beside the writing: a slot that waited for PostgreSQL would leave the model idle.
        self._begun = asyncio.Semaphore(redrive.settings.begun_at_once)
        self._writing = asyncio.Semaphore(redrive.settings.concurrency)
        self._running: dict[int, Running] = {}
        # Beginnings of one operation wait for each other (groups.may_call): they must not hold the threads that saves need meanwhile.
        self._beginning = asyncio.Semaphore(max(1, redrive.settings.worker_threads // 2))
        # The first item goes ahead alone: eight threads that compile the same statements at once take 0.1 s longer to begin.
        self._is_first_begun, self._has_first_begun = False, asyncio.Event()
        self._is_stopping = False
        self._is_broken_off = False  # half the time to stop is over: nothing is asked of the model any more
        self._threads = ThreadPoolExecutor(redrive.settings.worker_threads, thread_name_prefix="storage")
        self._watch = Watch(redrive, self._running)
        self._notes = ProviderNotes(redrive, self._ask)
        self._safekeeping = Safekeeping(redrive, self._threads, self._patiently)

    async def run(self, item_ids: Sequence[int]) -> dict[str, int]:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # a thread of a test has no signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop_softly)
        if shutdown.is_asked():  # before this loop could hear it
            self._stop_softly()
        watching = asyncio.create_task(self._watch.keep())
        try:
            outcomes = await asyncio.gather(*(self._run_item(item_id) for item_id in item_ids))
            await self._leave([item_id for item_id, outcome in zip(item_ids, outcomes, strict=True) if outcome == "left"])
        finally:
            watching.cancel()
            await self._makers.close()
            self._threads.shutdown(wait=False)
            self._watch.close()
            self._safekeeping.close()
        return dict(Counter(outcomes))

    async def _run_item(self, item_id: int) -> str:
        async with self._begun:
            try:
                failpoints.reach("before_claim")
                begun = await self._begin(item_id)
                return await self._run_attempt(begun) if isinstance(begun, Attempt) else begun
            except Exception:  # boundary: not even its failure could be written down; the others go on
                log.exception("item_unsettled", item_id=item_id)
                return "unsettled"

    async def _run_attempt(self, attempt: Attempt) -> str:
        item_id = attempt.item.item_id
        failpoints.reach("after_claim")
        telling = self._telling(attempt) if attempt.stream_id else None
        self._running[item_id] = Running(attempt.item, Spent(is_probe=attempt.is_probe), telling=telling)
        try:
            return await self._write_and_save(attempt)
        finally:
            del self._running[item_id]
            if telling:
                await telling.close()

    def _telling(self, attempt: Attempt) -> ChapterTelling:
        """Tells the watchers of a chapter."""
        async def keep(title: str, content: str) -> None:
            await self._in_thread(chapter_attempts.keep_partial, self._redrive, attempt.item, attempt.stream_id, title, content)

        url = self._redrive.settings.redis_url
        return ChapterTelling(Feed(url.get_secret_value() if url else "", attempt.stream_id), keep)

    async def _begin(self, item_id: int) -> Attempt | str:
        """The attempt, or in a word why there is none."""
        if self._is_first_begun:
            await self._has_first_begun.wait()
        self._is_first_begun = True
        try:
            if self._is_stopping:
                return "left"
            async with self._beginning:
                begun = await self._in_thread(attempts.begin, self._redrive, item_id)
        except Exception as exc:  # boundary
            return await self._not_begun(item_id, exc)
        finally:
            self._has_first_begun.set()
        if isinstance(begun, Attempt):
            return begun
        outcome, item = begun
        if item:
            log.info("item_not_written", outcome=outcome.value, **_named(item))
        return outcome.value

    async def _not_begun(self, item_id: int, exc: Exception) -> str:
        """An outage leaves the item queued, it is sent again; anything else would come again each time, so the item fails."""
        if is_outage(exc):
            log.warning("item_not_begun", item_id=item_id, error=in_one_line(exc))
            return "not_begun"
        log.exception("item_defect", item_id=item_id)
        error = save_error(exc) if isinstance(exc, DBAPIError) else ItemError(ErrorKind.UNEXPECTED, f"{type(exc).__name__}: {exc}")
        await self._ask(attempts.refuse, self._redrive, item_id, error)
        return "failed"

    async def _write_and_save(self, attempt: Attempt) -> str:
        item = attempt.item
        bound = log.bind(**_named(item))
        try:
            written = await self._write(attempt)
        except asyncio.CancelledError:
            return await self._interrupted(attempt, bound)
        except ItemError as error:
            return await self._write_failed(attempt, error, bound)
        except Exception as exc:  # boundary: a defect fails one item, named as such
            await self._notes.aborted(attempt)
            return await self._defect(attempt, exc, bound)
        answered_at = time.monotonic()
        failpoints.reach("after_model")
        try:
            outcome = await self._safekeeping.save(attempt, written, bound)
            if outcome == "succeeded" and (telling := self._running[item.item_id].telling):
                await telling.complete(written.content)
        except ItemError as error:
            outcome = await self._fail(attempt, error, bound)
        except Exception as exc:  # boundary
            outcome = await self._defect(attempt, exc, bound)
        failpoints.reach("after_save")
        await self._notes.answered(attempt, answered_at)  # a finished text comes first
        return outcome

    async def _write(self, attempt: Attempt) -> WrittenContent:
        """Ask the model. Raises CancelledError when the item was told to stop, or the worker stops, before the answer is there."""
        running = self._running[attempt.item.item_id]

        async def in_turn() -> WrittenContent:
            async with Turn(self._writing) as turn:
                await self._watch.catch_up()
                if running.is_told_to_stop:
                    raise asyncio.CancelledError
                writing = self._makers.make(
                    attempt.item.key.kind, brief=attempt.brief, spent=running.spent, telling=running.telling, answered=turn.end)
                return await (self._in_time(writing) if running.telling else writing)

        if self._is_broken_off:  # it was being begun when the others were
            raise asyncio.CancelledError
        running.writing = asyncio.create_task(in_turn())
        try:
            return await running.writing
        finally:
            running.writing = None

    async def _in_time(self, writing: Awaitable[WrittenContent]) -> WrittenContent:
        """A chapter that is still being written at its time limit has failed. Raises ItemError."""
        seconds = self._redrive.settings.chapter_seconds
        try:
            async with asyncio.timeout(seconds):
                return await writing
        except TimeoutError as exc:
            raise ItemError(ErrorKind.JOB_TIMEOUT, _("It was not complete after {seconds:g} seconds.").format(seconds=seconds)) from exc

    async def _interrupted(self, attempt: Attempt, bound: structlog.stdlib.BoundLogger) -> str:
        """The model call was broken off: cancelled by a person, or given back because the worker stops."""
        item, running = attempt.item, self._running[attempt.item.item_id]
        is_told = running.is_told_to_stop
        if not (is_told or self._is_stopping):
            raise asyncio.CancelledError
        withdraw = withdrawals.confirm_cancelled if is_told else partial(withdrawals.give_back, words=_("its worker was told to stop"))
        if running.telling:
            await running.telling.keep()
        await self._notes.aborted(attempt)
        with contextlib.suppress(ItemError):  # the database is away: the lease runs out and the item is taken back
            is_ours = await self._ask(withdraw, self._redrive, item, running.spent)
            bound.info(("item_cancelled" if is_told else "item_given_back") if is_ours else "item_late")
            if is_ours and is_told and running.telling:
                await running.telling.fail(_("Cancelled before it was complete."))
        return "cancelled" if is_told else "given_back"

    async def _write_failed(self, attempt: Attempt, error: ItemError, bound: structlog.stdlib.BoundLogger) -> str:
        """A text of its own that failed fails its item; a provider that is out holds it back, once that is certain."""
        if error.kind is ErrorKind.JOB_TIMEOUT:  # no answer either
            await self._notes.aborted(attempt)
            return await self._fail(attempt, error, bound)
        if error.kind not in MODEL_OUTAGES:
            await self._notes.answered(attempt, time.monotonic())
            return await self._fail(attempt, error, bound)
        spent = self._running[attempt.item.item_id].spent
        if not (isinstance(error, NotAsked) or await self._notes.failed(attempt, error, spent.calls)):
            return await self._fail(attempt, error, bound)
        bound.warning("model_held_back", error_kind=error.kind.value, error=error.message)
        with contextlib.suppress(ItemError):
            await self._ask(partial(withdrawals.give_back, is_turned_away=error.kind in TURNED_AWAY),
                            self._redrive, attempt.item, spent, _("the model is held back"))
        return "held"

    async def _defect(self, attempt: Attempt, exc: Exception, bound: structlog.stdlib.BoundLogger) -> str:
        bound.exception("item_defect")
        return await self._fail(attempt, ItemError(ErrorKind.UNEXPECTED, f"{type(exc).__name__}: {exc}"), bound)

    async def _fail(self, attempt: Attempt, error: ItemError, bound: structlog.stdlib.BoundLogger) -> str:
        bound.warning("item_failed", error_kind=error.kind.value, error=error.message)
        running = self._running[attempt.item.item_id]
        spent, telling = running.spent, running.telling
        if telling:
            await telling.keep()
        try:
            is_ours = await self._ask(attempts.fail, self._redrive, attempt, error, spent)
            if is_ours and telling:
                await telling.fail(error.message)
        except ItemError as gone:  # the lease runs out and the item is taken back
            bound.error("failure_not_recorded", error=gone.message)
        return "failed"

    async def _leave(self, item_ids: list[int]) -> None:
        if item_ids:
            with contextlib.suppress(ItemError):
                await self._ask(withdrawals.leave, self._redrive, item_ids)
            log.info("items_left", count=len(item_ids))

    async def _ask(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Of PostgreSQL, patiently: raises ItemError of an outage when it stays away."""
        return await self._patiently(lambda: self._in_thread(function, *arguments))

    async def _patiently(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Raises ItemError of an outage when PostgreSQL stays away."""
        return await patiently(ask, seconds=self._redrive.settings.save_patience_seconds, is_stopping=lambda: self._is_stopping)

    def _stop_softly(self) -> None:
        """SIGTERM: begin nothing more; what is still being written when half the time is over is given back."""
        if self._is_stopping:
            return
        self._is_stopping = True
        log.info("chunk_stops", running=len(self._running))
        asyncio.get_running_loop().call_later(STOP_SHARE * self._redrive.settings.stop_seconds, self._break_off)

    def _break_off(self) -> None:
        self._is_broken_off = True
        for running in self._running.values():
            running.break_off()

    async def _in_thread(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _named(item: StoredItem) -> dict[str, object]:
    """What every log line about an item says."""
    return {"item_id": item.item_id, "key": str(item.key), "attempt": item.attempt, "operation_id": item.operation_id}
