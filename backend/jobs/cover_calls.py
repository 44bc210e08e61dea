"""How many covers may be made: counted in Redis over a moving window, for each person and in all."""

from dataclasses import dataclass
from datetime import UTC, datetime

from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis
from redis.exceptions import RedisError

from backend.clock import utc_now

_ALL = "in all"


@dataclass(frozen=True, slots=True)
class Room:
    count: int | None        # covers that may be made now; None: no limit
    resumes_at: datetime     # when there is room for one more at the latest

    @property
    def is_used_up(self) -> bool:
        return self.count is not None and self.count <= 0


def parsed(words: str) -> RateLimitItem | None:
    """ "60/hour"; "" is no limit. Raises ValueError for what is neither."""
    return parse(words) if words.strip() else None


class CoverCalls:
    def __init__(self, redis: Redis, per_person: str, in_all: str) -> None:
        self._limiter = MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix="covers"))
        self._limits = ((parsed(per_person), "person"), (parsed(in_all), _ALL))

    def take(self, actor_id: str) -> bool:
        """One more cover is begun. False: not now. Redis away is not now either: nobody can tell what was spent."""
        try:
            taken = [(limit, name) for limit, name in self._named(actor_id) if self._limiter.test(limit, *name)]
            if len(taken) < len(self._named(actor_id)):
                return False
            return all(self._limiter.hit(limit, *name) for limit, name in taken)
        except RedisError:
            return False

    def room(self, actor_id: str) -> Room:
        """For that person, by the narrower of both limits. Redis away: none, for now."""
        narrowest = Room(None, utc_now())
        try:
            for limit, name in self._named(actor_id):
                stats = self._limiter.get_window_stats(limit, *name)
                found = Room(stats.remaining, datetime.fromtimestamp(stats.reset_time, UTC))
                if narrowest.count is None or (found.count, -stats.reset_time) < (narrowest.count, -narrowest.resumes_at.timestamp()):
                    narrowest = found
        except RedisError:
            return Room(0, utc_now())
        return narrowest

    def _named(self, actor_id: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        return [(limit, (name,) if name == _ALL else (name, actor_id)) for limit, name in self._limits if limit]
