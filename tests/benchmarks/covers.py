"""(o) 100 covers against a model that takes 500 ms for each picture, and the gallery of 5,000."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator

import psutil
import uvloop
from sqlalchemy import text

from backend import logs
from backend.actions import dispatcher, retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect, connect_work_horse
from backend.clock import utc_now
from backend.content.keys import ContentKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.written import CoverBrief
from backend.host.commands import web_command
from backend.host.web_address import is_healthy
from backend.redrive import Redrive
from backend.settings import Settings, load
from backend.storage import problems
from backend.views import covers
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, measured_apart, process, timed, wait_until
from tests.benchmarks.table import Figure, median
from tests.ports import free_port
from workers.chunk import run_chunk
from workers.generators.painters.model import ModelPainter
from workers.generators.transport import read_ahead
from workers.turns import Turn

COVERS = 100
LATENCY_SECONDS = 0.5
CONCURRENCY = 16
ROUNDS = 3
GALLERY = Platform(5_000, broken_share=0.0)
SESSIONS = 20
MODULE = "tests.benchmarks.covers"
ALONE = "alone"  # argument of a child


def run() -> Iterator[Figure]:
    with Stand() as stand:
        yield from _painting(stand)
        yield from _gallery(stand)


def _painting(stand: Stand) -> Iterator[Figure]:
    database_url = stand.database("painting")
    platform.load(database_url, Platform(COVERS, broken_share=0.0))
    model_log = stand.folder / "painter.log"
    with process(stand.settings(database_url), "-m", "tests.model_server", "--latency", str(LATENCY_SECONDS), log_path=model_log):
        wait_until(lambda: "http" in model_log.read_text(), timeout_seconds=20)
        settings = stand.settings(
            database_url, openai_base_url=model_log.read_text().strip(), image_model="gpt-image-loopback", concurrency=CONCURRENCY,
            same_cause_window=3 * CONCURRENCY)
        rounds, alone = zip(*((_round(settings), measured_apart(settings, "-m", MODULE, ALONE)) for _number in range(ROUNDS)), strict=True)
    ideal_seconds = math.ceil(COVERS / CONCURRENCY) * LATENCY_SECONDS
    seconds = median([measured["seconds"] for measured in rounds])
    cpu_seconds = median([measured["cpu_seconds"] for measured in rounds])
    yield Figure(f"(o) {COVERS} covers, {CONCURRENCY} at a time, seconds (ideal {ideal_seconds:.2g})", seconds, "s")
    yield Figure(f"(o) {COVERS} covers, CPU of the worker for one", 1000 * cpu_seconds / COVERS, "ms")
    yield Figure(f"(o) {COVERS} covers, {CONCURRENCY} at a time, share of ideal", ideal_seconds / seconds, "", 0.9, is_at_least=True)
    alone_seconds = median([measured["seconds"] for measured in alone])
    yield Figure("(o) the same pictures by the painter alone, nothing kept", alone_seconds, "s")
    yield Figure("(o) the painter alone, share of ideal: what this machine can do", ideal_seconds / alone_seconds, "")


def _round(settings: Settings) -> dict[str, float]:
    redrive = connect(settings)
    try:
        _queue_covers(redrive)
    finally:
        redrive.close()
    return measured_apart(settings, "-m", MODULE)


def _queue_covers(redrive: Redrive) -> None:
    """Every cover is missing, planned and queued. No worker listens."""
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_cover_images"))
    problems.mark_all_dirty(redrive.engine)
    problems.drain(redrive.engine, utc_now, redrive.limits)
    operator = Actor("benchmark", Role.ADMIN)
    plan = retry.plan(redrive, Scope.matching(ProblemFilter(kinds=(ContentKind.COVER,))), operator, overrides_limits=True)
    retry.confirm(redrive, plan, operator, "benchmark")
    if (queued := dispatcher.dispatch(redrive).queued) != COVERS:
        raise RuntimeError(f"{COVERS} covers should have been queued, not {queued}")


def _gallery(stand: Stand) -> Iterator[Figure]:
    database_url = stand.database("gallery")
    platform.load(database_url, GALLERY)
    settings = stand.settings(database_url, port=free_port(), log_level="error")
    redrive = connect(settings)
    try:
        _fill_gallery(redrive)
        covers.cover_list_page(redrive)
        yield Figure("(o) gallery of 5,000: what its page asks", median(
            [timed(lambda: covers.cover_list_page(redrive)) for _repeat in range(20)]), "ms", 100)
    finally:
        redrive.close()
    with process(settings, *web_command(settings)[1:], log_path=stand.folder / "web.log") as web:
        wait_until(lambda: is_healthy(settings.host, settings.port), timeout_seconds=60, every_seconds=0.1)
        # The first visit pays for imports; both pages are measured after it, in the same process.
        _visit(settings, "workers", 1)
        before = _memory_bytes(web.pid)
        empty = _visit(settings, "workers", SESSIONS)
        with_empty = _memory_bytes(web.pid)
        first = _visit(settings, "covers", 1)
        gallery = _visit(settings, "covers", SESSIONS)
        with_gallery = _memory_bytes(web.pid)
    more_megabytes = ((with_gallery - with_empty) - (with_empty - before)) / SESSIONS / 1024 ** 2
    yield Figure("(o) gallery of 5,000: first paint, server time", first["load_median_seconds"], "s", 1.0)
    yield Figure("(o) gallery of 5,000: paint while others look, median", gallery["load_median_seconds"], "s", 1.0)
    yield Figure("(o) page without a gallery: paint, median", empty["load_median_seconds"], "s")
    yield Figure("(o) gallery of 5,000: memory of a session above that of another page", more_megabytes, "MB", 30)


def _fill_gallery(redrive: Redrive) -> None:
    """Most have a cover; every tenth failed and every eleventh is missing."""
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_cover_images"))
        connection.execute(text(
            "insert into roadmap_cover_images (roadmap_id, generation_status, cover_image_url, error_message, retry_count, created_at, "
            "updated_at) select roadmap_id, case when n % 10 = 0 then 'failed' else 'success' end, "
            ":root || '/covers/' || md5(roadmap_id) || '.webp', case when n % 10 = 0 then 'timed out' end, 0, now(), now() "
            "from (select roadmap_id, row_number() over () n from roadmap_metadata) r where n % 11 <> 0"),
            {"root": redrive.objects.root_url})
    problems.mark_all_dirty(redrive.engine)
    problems.drain(redrive.engine, utc_now, redrive.limits)
    with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _visit(settings: Settings, page: str, sessions: int) -> dict[str, float]:
    """That many tabs that look at a page and stay open until they are all there."""
    measured = measured_apart(settings, "-m", "tests.benchmarks.page_visits", str(settings.port), page, str(sessions), timeout_seconds=300)
    if measured["exceptions"]:
        raise RuntimeError(f"{measured['exceptions']} exceptions were shown on {page}")
    return measured


def _memory_bytes(pid: int) -> int:
    running = psutil.Process(pid)
    return running.memory_info().rss + sum(child.memory_info().rss for child in running.children(recursive=True))


def main() -> None:
    """A child. Imports are done and certificates read, as they are before RQ forks."""
    read_ahead()
    settings = load()
    logs.configure_logging(settings)
    measured = _paint_alone(settings) if sys.argv[1:] == [ALONE] else _run_chunk(settings)
    print(json.dumps(measured))


def _run_chunk(settings: Settings) -> dict[str, float]:
    """One chunk of covers, as a work-horse runs it."""
    redrive = connect_work_horse(settings)
    try:
        with redrive.engine.connect() as connection:
            item_ids = list(connection.scalars(text("select item_id from ops.items where state = 'queued' order by item_id")))
        started, cpu_started = time.perf_counter(), time.process_time()
        outcomes = run_chunk(redrive, item_ids)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    finally:
        redrive.close()
    if outcomes != {"succeeded": COVERS}:
        raise RuntimeError(f"not every cover was made: {outcomes}")
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def _paint_alone(settings: Settings) -> dict[str, float]:
    """The same pictures asked for and worked up, as many at a time: without items, servers or a store."""
    async def paint_all() -> None:
        painter, places = ModelPainter(settings), asyncio.Semaphore(CONCURRENCY)

        async def paint(number: int) -> None:
            async with Turn(places) as turn:
                await painter.paint(CoverBrief(str(number), f"Roadmap {number}", "en", ()), answered=turn.end)
        try:
            await asyncio.gather(*(paint(number) for number in range(COVERS)))
        finally:
            await painter.close()

    started = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(paint_all())
    return {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    sys.exit(main())
