"""Paints a cover from the title alone, without a model: the same for the same roadmap, in every process and on every day."""

import asyncio
import random
import time

from backend.content.cover_art import paint_cover
from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.settings import Settings
from workers.generators.faults import OfflineFaults
from workers.generators.painters.protocol import Answered
from workers.generators.painters.workbench import work_up


class OfflinePainter:
    """Takes settings.offline_delay_seconds for a cover, and fails as settings.offline_faults says."""

    name = "offline"
    is_sample = True

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError when REDRIVE_OFFLINE_FAULTS is malformed."""
        self._delay_seconds = settings.offline_delay_seconds
        self._faults = OfflineFaults.parse(settings.offline_faults)
        self._chance = random.Random(time.time_ns())  # by roadmap, a retry would meet the same fault for ever

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]:
        (spent or Spent()).calls += 1
        await asyncio.sleep(self._delay_seconds)
        if answered:
            answered()
        fault = self._faults.draw(self._chance)
        if fault:
            raise fault
        return Written(await work_up(paint_cover, brief), self.name, self.is_sample)

    async def close(self) -> None:
        """Nothing is held open."""
