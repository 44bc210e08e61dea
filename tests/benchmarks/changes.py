"""(a) One concept changes among 1,000 and among 100,000 roadmaps: the drain that lists it, and how long until it is listed."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text

from backend.bootstrap import connect
from backend.clock import utc_now
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage import problems
from tests.benchmarks import platform
from tests.benchmarks.platform import CONCEPTS, Platform
from tests.benchmarks.stand import Stand, process, timed, wait_until
from tests.benchmarks.table import Figure, median, percentile

SMALL, LARGE = Platform(1_000, broken_share=0.01), Platform(100_000, broken_share=0.01)
WARMING_CHANGES = 5
DRAINED_CHANGES = 40   # of each platform, in turn: noise of the machine meets both
FOLLOWED_CHANGES = 60  # of each platform, by a maintenance process


@dataclass(slots=True)
class Ground:
    platform: Platform
    settings: Settings
    redrive: Redrive
    random: random.Random

    @property
    def name(self) -> str:
        return f"{self.platform.roadmaps:,} roadmaps"

    def break_a_tutorial(self) -> tuple[str, str]:
        """Commit what the platform writes when one tutorial fails. Returns its (roadmap_id, concept_id)."""
        while True:
            roadmap_id = platform.roadmap_id(self.random.randint(1, self.platform.roadmaps))
            number = self.random.randrange(CONCEPTS)
            concept_id = f"concept-{number + 1:02}"
            path = ["stages", str(number // 10), "modules", str(number % 10 // 5), "concepts", str(number % 5), "content_status"]
            with self.redrive.engine.begin() as connection:
                is_there = connection.execute(text(
                    "delete from public.tutorial_metadata where roadmap_id = :roadmap_id and concept_id = :concept_id"),
                    {"roadmap_id": roadmap_id, "concept_id": concept_id}).rowcount
                connection.execute(text(
                    "update public.roadmap_metadata set updated_at = now(), "
                    "framework_data = jsonb_set(framework_data, :path, '\"failed\"') where roadmap_id = :roadmap_id"),
                    {"roadmap_id": roadmap_id, "path": path})
            if is_there:  # else it was broken before
                return roadmap_id, concept_id
            problems.drain(self.redrive.engine, utc_now, self.redrive.limits)

    def is_listed(self, roadmap_id: str, concept_id: str) -> bool:
        with self.redrive.engine.connect() as connection:
            return bool(connection.scalar(text(
                "select exists (select 1 from ops.problems where kind = 'tutorial' and owner_id = :o and part = :p "
                "and problem_kind = 'failed')"), {"o": roadmap_id, "p": concept_id}))


def run() -> Iterator[Figure]:
    with Stand() as stand:
        grounds = [Ground(size, stand.settings(stand.database(f"of_{size.roadmaps}")), None, random.Random(7)) for size in (SMALL, LARGE)]
        try:
            for ground in grounds:
                ground.redrive = connect(ground.settings)
                yield from _prepare(ground)
            yield from _drains(grounds)
            for ground in grounds:
                log_path = stand.folder / f"maintenance-{ground.platform.roadmaps}.log"
                with process(ground.settings, "-m", "workers.maintenance", log_path=log_path):
                    yield from _followed(ground)
        finally:
            for ground in grounds:
                if ground.redrive:
                    ground.redrive.close()


def _prepare(ground: Ground) -> Iterator[Figure]:
    yield Figure(f"(a) making {ground.name}", platform.load(ground.settings.database_url.get_secret_value(), ground.platform), "s")
    problems.mark_all_dirty(ground.redrive.engine)
    milliseconds = timed(lambda: problems.drain(ground.redrive.engine, utc_now, ground.redrive.limits))
    yield Figure(f"(a) full rebuild of {ground.name}", milliseconds / 1000, "s")
    with ground.redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("problems", "causes", "dirty", "rechecks"):
            connection.execute(text(f"vacuum analyze ops.{table}"))
        yield Figure(f"(a) size of {ground.name}", connection.scalar(text("select pg_database_size(current_database())")) / 2**30, "GiB")


def _drains(grounds: list[Ground]) -> Iterator[Figure]:
    milliseconds: dict[str, list[float]] = {ground.name: [] for ground in grounds}
    for change in range(WARMING_CHANGES + DRAINED_CHANGES):
        for ground in grounds:
            key = ground.break_a_tutorial()
            spent = timed(lambda at=ground: problems.drain(at.redrive.engine, utc_now, at.redrive.limits))
            if not ground.is_listed(*key):
                raise RuntimeError(f"{key} is not listed after the drain")
            if change >= WARMING_CHANGES:
                milliseconds[ground.name].append(spent)
    for name, spent in milliseconds.items():
        yield Figure(f"(a) drain of one change among {name}", median(spent), "ms", 50)
        yield Figure(f"(a) drain of one change among {name}, p95", percentile(spent, 0.95), "ms")
    small, large = (median(spent) for spent in milliseconds.values())
    yield Figure("(a) drain, the larger platform / the smaller", large / small, "x", 1.5)


def _followed(ground: Ground) -> Iterator[Figure]:
    first = ground.break_a_tutorial()
    wait_until(lambda: ground.is_listed(*first), timeout_seconds=30)  # the maintenance process is up
    seconds = []
    for _change in range(FOLLOWED_CHANGES):
        time.sleep(ground.random.uniform(0.0, 0.3))  # at any moment between two looks of the maintenance process
        key = ground.break_a_tutorial()
        seconds.append(wait_until(lambda key=key: ground.is_listed(*key), timeout_seconds=30))
    yield Figure(f"(a) from commit to listed among {ground.name}, median", 1000 * median(seconds), "ms")
    yield Figure(f"(a) from commit to listed among {ground.name}, p95", 1000 * percentile(seconds, 0.95), "ms", 1000)

