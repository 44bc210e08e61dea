"""Do PostgreSQL and Redis answer now? Asked on new connections, so that an old one or a full pool cannot hide the truth."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import redis.asyncio
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.host.given_servers import libpq_url
from backend.settings import Settings

OK = "ok"
DOWN = "down"
ANSWER_SECONDS = 1.5  # both are asked at once, and /healthz has to answer within 2 s

log = structlog.get_logger(__name__)


class Health:
    """Asks on behalf of everybody who asks meanwhile: many probes at once are one connection, not many."""

    def __init__(self, settings: Settings) -> None:
        self._database_url = settings.database_url.get_secret_value() if settings.database_url else None
        self._redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        self._asking: asyncio.Task[dict[str, str]] | None = None

    async def ask(self) -> dict[str, str]:
        """{"postgresql": "ok" or "down", "redis": the same}, within 2 s."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_both())
        return await asyncio.shield(self._asking)  # one probe that gives up must not end the others'

    async def _ask_both(self) -> dict[str, str]:
        postgresql, redis_ = await asyncio.gather(
            _verdict("postgresql", self._ask_postgresql), _verdict("redis", self._ask_redis))
        return {"postgresql": postgresql, "redis": redis_}

    async def _ask_postgresql(self) -> None:
        if self._database_url is None:  # libpq would look for a server of its own choice
            raise ValueError("DATABASE_URL is not set")
        async with await psycopg.AsyncConnection.connect(
                libpq_url(self._database_url), autocommit=True, application_name="redrive health") as connection:
            await connection.execute("select 1")

    async def _ask_redis(self) -> None:
        if self._redis_url is None:
            raise ValueError("REDIS_URL is not set")
        async with redis.asyncio.Redis.from_url(
                self._redis_url, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
            await client.ping()


async def _verdict(server: str, ask: Callable[[], Awaitable[None]]) -> str:
    try:
        await asyncio.wait_for(ask(), ANSWER_SECONDS)
    except (psycopg.Error, redis.RedisError, OSError, TimeoutError, ValueError) as exc:
        log.warning("server does not answer", server=server, reason=str(exc) or type(exc).__name__)
        return DOWN
    return OK
