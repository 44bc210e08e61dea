"""Further tries of calls that failed; and a provider that is out is asked again by one of them, not by all.

The openai client could try again by itself, but each call for itself: of a provider that is out, each item would be asked for
as often as `REDRIVE_MODEL_RETRIES` allows, and all of that is wasted. Whose call fails and what is worth another try is as there.
"""

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import openai

from backend.content.errors import MODEL_OUTAGES, ErrorKind, ItemError, NotAsked
from backend.content.written import Spent
from backend.settings import Settings
from workers.generators.endpoint import Endpoint

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 8.0
_LEAST_HEEDED_SECONDS = 2.0    # a busy machine takes a moment to begin what was waiting behind those that failed
_LONGEST_WAIT_SECONDS = 120.0  # an endpoint that asks to wait for longer is not asked again
_WORTH_ANOTHER_TRY = frozenset({408, 409, 429})  # and what is 500 or more
Result = TypeVar("Result")


@dataclass(slots=True)
class Allowance:
    """The further tries of one text, or picture, in all that is asked for it."""

    left: int
    taken: int = 0

    async def take(self, wanted_seconds: float | None = None) -> bool:
        """Wait before the next try, as long as the endpoint asked or a little longer each time. False: none is left."""
        if not self.left:
            return False
        pause_seconds = min(_FIRST_PAUSE_SECONDS * 2 ** self.taken, _LONGEST_PAUSE_SECONDS) * random.uniform(0.75, 1.0)
        self.left, self.taken = self.left - 1, self.taken + 1
        await asyncio.sleep(pause_seconds if wanted_seconds is None else wanted_seconds)
        return True


class Retries:
    """What the calls of one provider, in one event loop, know of each other.

    It is out when as many texts in a row have failed at their first try as open its circuit breaker. From then on one of them asks
    again for all. When it has no further try the others have none either, and what comes after them is not asked for at all, unless
    it is a probe. Any answer ends that, and so does the time after which a breaker lets a probe go.
    """

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self._most = settings.model_retries
        self._failures_of_outage = settings.breaker_failures
        self._heeded_seconds = max(settings.breaker_seconds, _LEAST_HEEDED_SECONDS)
        self._endpoint = endpoint
        self._failed_in_a_row = 0
        self._last_words: ItemError | None = None  # of who asked last for all, until then:
        self._heeded_until = 0.0
        self._asking_for_all = asyncio.Lock()

    def allowance(self, spent: Spent) -> Allowance:
        return Allowance(0 if spent.is_probe else self._most)

    async def call(self, ask: Callable[[], Awaitable[Result]], *, allowance: Allowance, spent: Spent) -> Result:
        """What `ask` returns; each try is counted. Raises what the last try raised, and NotAsked."""
        if self._last_words and time.monotonic() >= self._heeded_until:
            self._last_words = None
        if self._last_words and not spent.is_probe:
            raise NotAsked(self._last_words.kind, self._last_words.message)
        return await self._call(ask, allowance, spent, is_for_all=False)

    async def _call(self, ask: Callable[[], Awaitable[Result]], allowance: Allowance, spent: Spent, *, is_for_all: bool) -> Result:
        while True:
            try:
                return await self._try(ask, spent, is_first=not allowance.taken)
            except openai.APIError as exc:
                failure = exc
            if not (_is_worth_another(failure) and await allowance.take(_wanted_seconds(failure))):
                self._give_up(failure)
                raise failure
            if self._is_out and not is_for_all:
                async with self._asking_for_all:
                    if self._last_words:
                        raise failure
                    if self._is_out:
                        return await self._call(ask, allowance, spent, is_for_all=True)

    async def _try(self, ask: Callable[[], Awaitable[Result]], spent: Spent, *, is_first: bool) -> Result:
        """One request. It counts although it is broken off or fails; one that never reached the endpoint does not."""
        spent.calls += 1
        try:
            result = await ask()
        except openai.APIError as exc:
            kind = self._endpoint.explain(exc).kind
            spent.calls -= kind is ErrorKind.MODEL_UNREACHABLE
            if kind in MODEL_OUTAGES:
                self._failed_in_a_row += is_first
            else:
                self._note_answer()
            raise
        self._note_answer()
        return result

    def _note_answer(self) -> None:
        self._failed_in_a_row, self._last_words = 0, None

    @property
    def _is_out(self) -> bool:
        return self._failed_in_a_row >= self._failures_of_outage

    def _give_up(self, failure: openai.APIError) -> None:
        if self._is_out:
            self._last_words, self._heeded_until = self._endpoint.explain(failure), time.monotonic() + self._heeded_seconds


def _is_worth_another(failure: openai.APIError) -> bool:
    if not isinstance(failure, openai.APIStatusError):
        return isinstance(failure, openai.APIConnectionError)  # silence too
    told = failure.response.headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    wanted_seconds = _wanted_seconds(failure)
    if wanted_seconds is not None and wanted_seconds > _LONGEST_WAIT_SECONDS:
        return False
    return failure.status_code in _WORTH_ANOTHER_TRY or failure.status_code >= 500


def _wanted_seconds(failure: openai.APIError) -> float | None:
    """How long the endpoint asks to wait. None: it does not say."""
    headers: Mapping[str, str] = failure.response.headers if isinstance(failure, openai.APIStatusError) else {}
    for name, in_a_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / in_a_second
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    try:
        at = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    seconds = at.timestamp() - time.time()
    return seconds if seconds > 0 else None
