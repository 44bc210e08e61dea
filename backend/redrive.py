"""What a process works with: settings, database, Redis, object store, queue. Made by backend.bootstrap only."""

from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Engine

from backend.content.facts import Limits
from backend.jobs.queue import JobQueue
from backend.settings import Settings
from backend.storage.objects import Objects


@dataclass(frozen=True, slots=True)
class Redrive:
    settings: Settings
    engine: Engine
    redis: Redis
    queue: JobQueue
    objects: Objects

    @property
    def limits(self) -> Limits:
        return Limits(self.settings.grace_seconds, self.settings.silence_seconds)

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()
