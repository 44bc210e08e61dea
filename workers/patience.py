"""Trying again while PostgreSQL is away or its pool is dry, for so long as the settings say, and not when the worker stops."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, stop_any, wait_random_exponential

from backend.actions.settling import save_error
from backend.content.errors import ItemError

Result = TypeVar("Result")


async def patiently(ask: Callable[[], Awaitable[Result]], *, seconds: float, is_stopping: Callable[[], bool]) -> Result:
    """What it gives at last. Raises ItemError, of an outage when it lasted longer."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda exc: isinstance(exc, ItemError) and exc.is_outage),
        stop=stop_any(stop_after_delay(seconds), lambda _state: is_stopping()),
        wait=wait_random_exponential(multiplier=0.2, max=5), reraise=True)
    return await retrying(_naming_database_errors(ask))


def _naming_database_errors(ask: Callable[[], Awaitable[Result]]) -> Callable[[], Awaitable[Result]]:
    async def named() -> Result:
        try:
            return await ask()
        except (DBAPIError, PoolTimeout) as exc:
            raise save_error(exc) from exc
    return named
