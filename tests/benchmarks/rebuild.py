"""(b) A full rebuild over 10,000 roadmaps beside the old platform's way, each in a process of its own."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backend.bootstrap import connect
from backend.clock import utc_now
from backend.redrive import Redrive
from backend.settings import Settings, load
from backend.storage import problems
from tests.benchmarks import old_platform, platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, measured_apart
from tests.benchmarks.table import Figure, median

PLATFORM = Platform(10_000, is_terse=False)
ROUNDS = 3          # of the rebuild and of a slice of the old way, in turn: noise of the machine meets both
MODULE = "tests.benchmarks.rebuild"


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("rebuild")
        yield Figure(f"(b) making a platform of {PLATFORM.keys:,} keys", platform.load(database_url, PLATFORM), "s")
        yield from _compare(stand.settings(database_url))


def _compare(settings: Settings) -> Iterator[Figure]:
    rebuilds, entities, lean = [], [], []
    for round_number in range(ROUNDS):
        rebuilds.append(measured_apart(settings, "-m", MODULE, "rebuild"))
        part = f"{round_number}/{ROUNDS}"
        entities.append(measured_apart(settings, "-m", MODULE, "entities", part))
        lean.append(measured_apart(settings, "-m", MODULE, "lean", part))
    seconds = median([rebuild["seconds"] for rebuild in rebuilds])
    old_seconds, lean_seconds = (sum(part["seconds"] for part in parts) for parts in (entities, lean))
    found = {rebuilds[-1]["found"], sum(part["found"] for part in entities), sum(part["found"] for part in lean)}
    if len(found) != 1:
        raise RuntimeError(f"the three ways do not find the same number of problems: {found}")
    yield Figure("(b) problems found, by each of the three ways", found.pop(), "")
    yield Figure("(b) full rebuild, everything written down anew", rebuilds[0]["seconds"], "s")
    yield Figure("(b) full rebuild, median of rounds", seconds, "s")
    yield Figure("(b) old platform, entities", old_seconds, "s")
    yield Figure("(b) old platform, lean columns", lean_seconds, "s")
    yield Figure("(b) old platform (entities) / full rebuild", old_seconds / seconds, "x", 10, is_at_least=True)
    yield Figure("(b) old platform (lean) / full rebuild", lean_seconds / seconds, "x")
    yield Figure("(b) peak memory of the rebuilding process", max(rebuild["peak_mib"] for rebuild in rebuilds), "MiB", 300)


def main(way: str, part: str = "0/1") -> None:
    redrive = connect(load())
    try:
        seconds, found = _WAYS[way](redrive, part)
    finally:
        redrive.close()
    print(json.dumps({"seconds": seconds, "found": found, "peak_mib": _peak_mib()}))


def _rebuild(redrive: Redrive, _part: str) -> tuple[float, int]:
    with redrive.engine.connect():
        started = time.perf_counter()
    problems.mark_all_dirty(redrive.engine)
    drained = problems.drain(redrive.engine, utc_now, redrive.limits)
    return time.perf_counter() - started, drained.problems


def _old(find: Callable[..., old_platform.Found]) -> Callable[[Redrive, str], tuple[float, int]]:
    def look(redrive: Redrive, part: str) -> tuple[float, int]:
        start, step = map(int, part.split("/"))
        ids = old_platform.roadmap_ids(redrive.engine)[start::step]
        find(redrive.engine, ids[:20])  # statements compiled, caches warm
        started = time.perf_counter()
        found = find(redrive.engine, ids)
        return time.perf_counter() - started, len(found)
    return look


_WAYS = {"rebuild": _rebuild, "entities": _old(old_platform.find_with_entities), "lean": _old(old_platform.find_lean)}


def _peak_mib() -> float:
    """Most memory this process ever held. Not ru_maxrss: that one starts with what the parent had."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
