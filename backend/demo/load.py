"""Putting the demo into an empty database, and back to its beginning. Only ever into a database that is the demo's."""

from dataclasses import dataclass

from sqlalchemy import Connection, exists, insert, select, text

from backend.clock import utc_now
from backend.content.covers import PICTURES
from backend.demo import covers
from backend.demo.platform import DemoPlatform, Rows, build
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage.objects import Objects
from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform

MARK = "redrive demo platform"  # the comment on schema ops says that the database is the demo's
OBJECT_PREFIX = "demo/"


class NotTheDemo(Exception):
    """The database holds something else, which is left as it is; str() says the next step."""


@dataclass(frozen=True, slots=True)
class DemoCounts:
    roadmaps: int
    concepts: int
    novels: int
    chapters: int
    tasks: int
    objects: int


def load_demo(redrive: Redrive) -> DemoCounts:
    """Fill a migrated, empty database and mark it as the demo's, in one transaction.

    Raises NotTheDemo when a platform table holds rows.
    """
    demo = build(utc_now())
    with redrive.engine.begin() as connection:
        # Two processes that start at once: the second waits here, and then sees the rows of the first.
        connection.execute(text("lock table public.roadmap_metadata in share row exclusive mode"))
        _refuse_filled(connection)
        return _write(connection, redrive.objects, demo)


def reset_demo(redrive: Redrive) -> DemoCounts:
    """Empty the platform's tables and Redrive's own, and load the demo as of now, in one transaction.

    Raises NotTheDemo when the database does not carry the demo's mark.
    """
    demo = build(utc_now())
    with redrive.engine.begin() as connection:
        _refuse_unmarked(connection)
        redrive.objects.delete_all(OBJECT_PREFIX)
        redrive.objects.delete_all(f"{PICTURES}/")  # the rows that name them are emptied below
        _truncate(connection)
        return _write(connection, redrive.objects, demo)


def _refuse_filled(connection: Connection) -> None:
    next_step = _("To bring the demo back, run: redrive demo --reset") if _is_the_demos(connection) else _("Use an empty database.")
    for table in platform.sorted_tables:
        if connection.scalar(select(exists(select(1).select_from(table)))):
            raise NotTheDemo(_("Table {table} already holds rows, so the demo was not loaded. {next_step}").format(
                table=table.name, next_step=next_step))


def _refuse_unmarked(connection: Connection) -> None:
    if not _is_the_demos(connection):
        raise NotTheDemo(_("This database is not marked as the demo's, so nothing was deleted. "
                           "Load the demo into an empty database."))


def _is_the_demos(connection: Connection) -> bool:
    return connection.scalar(text("select obj_description(to_regnamespace('ops')::oid, 'pg_namespace')")) == MARK


def _truncate(connection: Connection) -> None:
    """Identities go on counting: a job that is still queued must never meet a new item under an old id."""
    own = connection.scalars(text(
        "select tablename from pg_tables where schemaname = 'ops' and tablename not like '%alembic_version'"))
    quote = connection.dialect.identifier_preparer.quote
    names = [f"public.{table.name}" for table in platform.sorted_tables]
    names += [f"{ops.schema}.{quote(name)}" for name in sorted(own)]
    connection.execute(text("set local lock_timeout = '15s'"))
    connection.execute(text(f"truncate {', '.join(names)}"))


def _write(connection: Connection, objects: Objects, demo: DemoPlatform) -> DemoCounts:
    urls = {path: objects.put_text(path, markdown) for path, markdown in demo.objects.items()}
    painted = covers.paint(objects, demo)
    for table in platform.sorted_tables:
        rows: Rows = getattr(demo, table.name)
        if table.name == "tutorial_metadata":
            rows = _with_urls(rows, urls)
        elif table.name == "roadmap_cover_images":
            rows = covers.with_addresses(demo, painted)
        connection.execute(insert(table), list(rows))
    covers.note_versions(connection, painted, utc_now())
    connection.execute(text(f"comment on schema {ops.schema} is '{MARK}'"))
    return DemoCounts(
        roadmaps=len(demo.roadmap_metadata), concepts=demo.concept_count, novels=len(demo.novels),
        chapters=len(demo.chapters), tasks=len(demo.tasks), objects=len(urls))


def _with_urls(rows: Rows, urls: dict[str, str]) -> Rows:
    return tuple([row | {"content_url": urls.get(row["content_url"])} for row in rows])
