"""How many covers may be made: counted in Redis over a moving window, for each person and in all."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool, Redis
from redis.exceptions import RedisError

_ALL = "in all"


@dataclass(frozen=True, slots=True)
class Room:
    count: int | None              # covers that may be made now; None: no limit
    resumes_at: datetime | None    # when there is room for one more at the latest; None: nobody can say, or never
    is_counted: bool = True        # False: Redis is away, so nobody can tell what was spent

    @property
    def is_used_up(self) -> bool:
        return self.count is not None and self.count <= 0

    @property
    def narrowness(self) -> tuple[float, float]:
        """The narrower, the smaller."""
        return (math.inf if self.count is None else self.count), -(self.resumes_at.timestamp() if self.resumes_at else math.inf)


def parsed(words: str) -> RateLimitItem | None:
    """ "60/hour"; "" is no limit. Raises ValueError for what is neither."""
    return parse(words) if words.strip() else None


@lru_cache(maxsize=4)
def _limiter(pool: ConnectionPool) -> MovingWindowRateLimiter:
    """To make one takes longer than to ask it, and workers ask for each cover."""
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix="covers"))


class CoverCalls:
    def __init__(self, redis: Redis, per_person: str, in_all: str, *, is_free: bool = False) -> None:
        """With `is_free` nothing is counted: who paints calls nobody. Raises ValueError for what is no limit."""
        self._limiter = _limiter(redis.connection_pool)
        limits = ((parsed(in_all), _ALL), (parsed(per_person), "person"))
        self._limits = () if is_free else limits

    @property
    def is_limited(self) -> bool:
        return any(limit for limit, _name in self._limits)

    def take(self, actor_id: str) -> bool:
        """One more cover is begun. False: not now. Redis away is not now either: nobody can tell what was spent.

        What counts is each hit, in all first: refused there, it costs its person nothing. Looking at the person before keeps one who is
        over the limit from using up that of all.
        """
        named = self._named(actor_id)
        try:
            return all(self._limiter.test(limit, *name) for limit, name in named[1:]) and all(
                self._limiter.hit(limit, *name) for limit, name in named)
        except RedisError:
            return False

    def room(self, actor_id: str) -> Room:
        """For that person, by the narrower of both limits. Redis away: none, for now."""
        try:
            found = [self._room(limit, name) for limit, name in self._named(actor_id)]
        except RedisError:
            return Room(0, None, is_counted=False)
        return min(found, key=lambda room: room.narrowness, default=Room(None, None))

    def _room(self, limit: RateLimitItem, name: tuple[str, ...]) -> Room:
        stats = self._limiter.get_window_stats(limit, *name)
        return Room(stats.remaining, datetime.fromtimestamp(stats.reset_time, UTC) if limit.amount else None)

    def _named(self, actor_id: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        return [(limit, (name,) if name == _ALL else (name, actor_id)) for limit, name in self._limits if limit]
