"""What a process works with: settings, database, Redis, object store, queue. Made by backend.bootstrap only."""

from dataclasses import dataclass
from datetime import tzinfo

from redis import Redis
from sqlalchemy import Engine

from backend.content.facts import Limits
from backend.content.limits import OperationLimits, QuietHours, time_zone
from backend.jobs.cover_calls import CoverCalls
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

    @property
    def operation_limits(self) -> OperationLimits:
        """Of an operation whose confirmer chose none. Raises ValueError when a setting cannot be read."""
        given = self.settings
        return OperationLimits(
            given.operation_concurrency or None, given.operation_rate_per_minute or None, given.operation_budget_calls or None,
            given.operation_budget_tokens or None, given.operation_budget_cost or None,
            QuietHours.parse(given.quiet_hours) if given.quiet_hours.strip() else None,
            given.canary_items, given.same_cause_window, given.same_cause_percent)

    @property
    def zone(self) -> tzinfo:
        """Of the quiet hours. Raises ValueError."""
        return time_zone(self.settings.time_zone)

    @property
    def cover_calls(self) -> CoverCalls:
        """How many covers may be made. Raises ValueError when a setting cannot be read."""
        given = self.settings
        return CoverCalls(self.redis, given.cover_calls_per_person, given.cover_calls, is_free=given.paints_offline)

    def check_settings(self) -> None:
        """Raises ValueError that names a setting's value which cannot be read, before anything begins."""
        for read in (Redrive.operation_limits, Redrive.zone, Redrive.cover_calls):
            read.fget(self)

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()
