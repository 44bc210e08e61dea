"""(c) What the Problems page and the overview ask, with 100,000 problems."""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, text

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.redrive import Redrive
from backend.storage import cause_records, problems
from backend.views import causes, history, listing, overview
from backend.views.listing import Sort
from tests.benchmarks import platform
from tests.benchmarks.platform import Platform
from tests.benchmarks.stand import Stand, timed
from tests.benchmarks.table import Figure, median, percentile

PROBLEMS = 100_000
PLATFORM = Platform(10_000, broken_share=0.1118)
REPEATS = 20
TARGET_MILLISECONDS = 50
TARGET_PLAN_SECONDS = 3
OPERATOR = Actor("benchmark", Role.ADMIN)
EVERYTHING = ProblemFilter()
DAY_SECONDS = 86_400


def run() -> Iterator[Figure]:
    with Stand() as stand:
        database_url = stand.database("listing")
        platform.load(database_url, PLATFORM)
        redrive = connect(stand.settings(database_url))
        try:
            yield Figure("(c) problems listed", _fill(redrive), "")
            for what, query in _queries(redrive).items():
                yield from _measure(what, query)
            yield Figure(f"(c) plan of {PROBLEMS:,} problems", median([
                timed(lambda: retry.plan(redrive, Scope.everything(), OPERATOR)) for _repeat in range(3)]) / 1000, "s", TARGET_PLAN_SECONDS)
        finally:
            redrive.close()


def _fill(redrive: Redrive) -> int:
    problems.mark_all_dirty(redrive.engine)
    problems.drain(redrive.engine, utc_now, redrive.limits)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.problems set attempts = 1 + abs(hashtext(part || owner_id)) % 4 where part ~ '[37]$'"))
        connection.execute(text(
            "insert into ops.problem_samples select now() - make_interval(secs => 30 * n), kind, 10000 + n % 977 "
            "from generate_series(1, 2880) n cross join unnest(array['failed', 'missing', 'stale', 'invalid', 'drifted']) kind"))
        _fill_history(connection)
        surplus = "(select ctid from ops.problems order by md5(owner_id || kind || part) offset :kept)"
        connection.execute(text(f"delete from ops.problems where ctid in {surplus}"), {"kept": PROBLEMS})
        cause_records.mark_first_of_owners(connection)
    with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
        return connection.scalar(text("select count(*) from ops.problems"))


def _fill_history(connection: Connection) -> None:
    """A month in which every cause changed every few minutes, and 90 days of outcomes, each hour with every cause."""
    connection.execute(text(
        "insert into ops.cause_samples select cause_id, now() - make_interval(mins => 5 * n), 1 + abs(hashtext(cause_id || n)) % 5000 "
        "from generate_series(1, 8640) n cross join (select cause_id from ops.causes order by cause_id limit 40) c"))
    connection.execute(text(
        "insert into ops.retry_hours select date_trunc('hour', now()) - make_interval(hours => n), cause_id, 40, 10, 60, 0, 90000, 1.5 "
        "from generate_series(0, 2160) n cross join ops.causes"))
    connection.execute(text(
        "insert into ops.recovery_hours select date_trunc('hour', now()) - make_interval(hours => n), place, 9 "
        "from generate_series(0, 2160) n cross join generate_series(0, 5) place"))


def _measure(what: str, query: Callable[[], object]) -> Iterator[Figure]:
    query()
    milliseconds = [timed(query) for _repeat in range(REPEATS)]
    yield Figure(f"(c) {what}", median(milliseconds), "ms", TARGET_MILLISECONDS)
    yield Figure(f"(c) {what}, p95", percentile(milliseconds, 0.95), "ms")


def _queries(redrive: Redrive) -> dict[str, Callable[[], object]]:
    def page(problem_filter: ProblemFilter = EVERYTHING, **arguments: object) -> Callable[[], object]:
        return lambda: listing.problem_page(redrive, problem_filter, **arguments)

    filters = _filters(redrive)
    largest = listing.cause_rows(redrive, EVERYTHING, limit=1)[0].cause_id
    return {
        "page 1": page(),
        "page 900 of 1,000": page(page=900),
        **{f"page 1, {sort} first": page(sort=sort) for sort in Sort if sort is not Sort.OLDEST},
        **{f"page 1 of {name}": page(problem_filter) for name, problem_filter in filters.items()},
        "counts": lambda: listing.counts(redrive, EVERYTHING),
        "counts of failed": lambda: listing.counts(redrive, filters["failed"]),
        "causes": lambda: listing.cause_rows(redrive, EVERYTHING),
        "causes of failed": lambda: listing.cause_rows(redrive, filters["failed"]),
        "causes of a text": lambda: listing.cause_rows(redrive, filters["a text that 2 % hold"]),
        "grouping by cause, all of them": lambda: listing.cause_rows(redrive, EVERYTHING, limit=200),
        "page of the largest cause": lambda: causes.cause(redrive, largest),
        "titles of owners": lambda: listing.owner_titles(redrive),
        "overview, all of it": lambda: overview.overview(redrive),
        "overview: trend": lambda: overview.trend(redrive),
        "overview: plots over time": lambda: history.history(redrive),
        "overview: crew": lambda: overview.crew(redrive),
    }


def _filters(redrive: Redrive) -> dict[str, ProblemFilter]:
    cause = next(row for row in listing.cause_rows(redrive, EVERYTHING) if "rate limit" in row.title)
    return {
        "failed": ProblemFilter(problem_kinds=(ProblemKind.FAILED,)),
        "missing or stale": ProblemFilter(problem_kinds=(ProblemKind.MISSING, ProblemKind.STALE)),
        "quizzes": ProblemFilter(kinds=(ContentKind.QUIZ,)),
        "one owner": ProblemFilter(owner_id=platform.roadmap_id(77)),
        "one cause": ProblemFilter(cause_id=cause.cause_id),
        "older than a day": ProblemFilter(minimum_age_seconds=DAY_SECONDS),
        "older than 290 days": ProblemFilter(minimum_age_seconds=290 * DAY_SECONDS),
        "tried 3 times": ProblemFilter(minimum_attempts=3),
        "a text that 15 % hold": ProblemFilter(text="idempotent"),
        "a text that 2 % hold": ProblemFilter(text="QueuePool limit"),
        "a text that one owner holds": ProblemFilter(text="roadmap-004321"),
        "a text that none holds": ProblemFilter(text="kubernetes"),
        "a text of two letters": ProblemFilter(text="db"),
        "failed quizzes with a text": ProblemFilter(
            problem_kinds=(ProblemKind.FAILED,), kinds=(ContentKind.QUIZ,), text="timed out"),
    }
