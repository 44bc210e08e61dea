"""Tells the breaker of a provider how its answers went: what a worker notes of them, and only when it is worth a write."""

import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from backend.actions import breaker
from backend.actions.attempts import Attempt
from backend.content.errors import ItemError
from backend.redrive import Redrive

log = structlog.get_logger()
Result = TypeVar("Result")


class ProviderNotes:
    def __init__(self, redrive: Redrive, ask: Callable[..., Awaitable[Result]]) -> None:
        """`ask` runs a function of the database in a thread, patiently; it raises ItemError when PostgreSQL stays away."""
        self._redrive = redrive
        self._ask = ask
        self._failed_at: dict[str, float] = {}  # provider -> when a failure was noted last: the next answer is worth noting too

    async def failed(self, attempt: Attempt, error: ItemError, calls: int) -> bool:
        """True: nobody may ask the provider now, so the item is to be given back and not failed."""
        try:
            return await self._ask(breaker.note_failure, self._redrive, error, attempt.item.key.kind, calls)
        except ItemError:
            return False
        finally:
            self._failed_at[self._provider(attempt)] = time.monotonic()

    async def aborted(self, attempt: Attempt) -> None:
        """If it was the probe of an open breaker, the next one may go."""
        if attempt.is_model_troubled:
            with contextlib.suppress(ItemError):
                await self._ask(breaker.note_aborted, self._redrive, attempt.item.key.kind)

    async def answered(self, attempt: Attempt, answered_at: float) -> None:
        """A breaker that had counted failures before that answer starts anew."""
        provider = self._provider(attempt)
        if not (self._has_failed_before(answered_at, provider) or attempt.is_model_troubled):
            return
        with contextlib.suppress(ItemError):
            closed = await self._ask(breaker.note_success, self._redrive, attempt.item.key.kind, answered_at)
            if self._has_failed_before(answered_at, provider):
                del self._failed_at[provider]
            if closed:
                log.info("model_is_back", provider=provider)

    def _has_failed_before(self, answered_at: float, provider: str) -> bool:
        return self._failed_at.get(provider, math.inf) < answered_at

    def _provider(self, attempt: Attempt) -> str:
        return breaker.provider_of(self._redrive, attempt.item.key.kind)
