"""Migrating a platform that is already filled, a database of another version, and what the migrations lead to."""

import itertools
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine, inspect, text

from backend.bootstrap import connect
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.redrive import Redrive
from backend.storage import schema
from backend.storage.engine import make_engine
from backend.storage.migrate import migrate
from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform
from backend.views.detection import counts_and_problems
from tests.conftest import database_url
from tests.factories import add_novel, add_roadmap, concept
from tests.integration.test_schema import administer, execute

_numbers = itertools.count(1)
QUIZ = ContentKey(ContentKind.QUIZ, "r1", "a")


@pytest.fixture
def unmigrated(servers) -> Iterator[str]:
    """The URL of a database without any table."""
    name = f"migrated_{next(_numbers)}"
    administer(servers, f"drop database if exists {name}", f"create database {name}")
    yield database_url(servers, name)
    administer(servers, f"drop database {name} with (force)")


@pytest.fixture
def engine(unmigrated: str) -> Iterator[Engine]:
    made = make_engine(unmigrated, pool_size=2)
    yield made
    made.dispose()


@pytest.fixture
def wired(unmigrated: str, settings) -> Iterator[Redrive]:
    """Redrive on that database, whenever it is migrated."""
    made = connect(settings.model_copy(update={"database_url": SecretStr(unmigrated)}))
    yield made
    made.close()


def found(redrive: Redrive) -> dict[ContentKey, ProblemKind]:
    return {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}


def test_what_was_broken_before_the_migration_is_found_after_it(unmigrated, engine, wired):
    platform.create_all(engine)
    add_roadmap(engine, concepts=[concept("a"), concept("b")], unsaved=[(ContentKind.QUIZ, "a")])
    add_novel(engine, "n1")

    migrate(unmigrated)

    assert found(wired) == {QUIZ: ProblemKind.MISSING, ContentKey(ContentKind.CHAPTER, "n1", "1"): ProblemKind.MISSING}


def test_the_migrations_lead_to_the_tables_that_the_code_knows(unmigrated, engine):
    migrate(unmigrated)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={
            "include_schemas": True, "version_table": schema.VERSION_TABLE, "compare_type": True,
            # Indexes for searches: where the extension is there.
            "include_object": lambda _object, name, *_rest: not str(name).endswith(("_search_text", "_words"))})
        assert compare_metadata(context, [platform, ops]) == []


def test_a_database_of_an_older_version_is_told_what_to_run(unmigrated, engine):
    migrate(unmigrated)
    execute(engine, f"update {schema.VERSION_TABLE} set version_num = '0001'")

    with engine.connect() as connection, pytest.raises(schema.SchemaError, match=r"migration 0001, .* Run: redrive migrate"):
        schema.check_migrated(connection)


def test_a_database_of_a_newer_version_is_refused(unmigrated, engine):
    migrate(unmigrated)
    execute(engine, f"update {schema.VERSION_TABLE} set version_num = '9999'")

    with engine.connect() as connection, pytest.raises(schema.SchemaError, match=r"newer Redrive .* 9999"):
        schema.check_migrated(connection)


def test_a_column_of_our_own_that_is_gone_is_named(unmigrated, engine):
    migrate(unmigrated)
    execute(engine, "alter table ops.items drop column attempt")

    with engine.connect() as connection, pytest.raises(schema.SchemaError, match=r"lack ops\.items\.attempt"):
        schema.check_migrated(connection)


def test_the_first_migration_is_frozen(unmigrated, engine):
    """A table that a later version adds to the live metadata is not made by an old migration."""
    later = ops.tables["ops.items"].to_metadata(ops, name="later")
    try:
        migrate(unmigrated)
    finally:
        ops.remove(later)

    assert not inspect(engine).has_table("later", schema="ops")


@pytest.mark.parametrize(("statement", "seen"), [
    ("truncate quiz_metadata", {QUIZ: ProblemKind.MISSING}),
    ("truncate roadmap_cover_images", {ContentKey(ContentKind.COVER, "r1"): ProblemKind.MISSING}),
    ("truncate chapters cascade", {ContentKey(ContentKind.CHAPTER, "n1", "1"): ProblemKind.MISSING}),
])
def test_a_truncate_by_another_program_is_followed(redrive, statement, seen):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    add_novel(redrive.engine, chapters=[{}])
    before = found(redrive)

    execute(redrive.engine, statement)

    assert (before, found(redrive)) == ({}, seen)


@pytest.mark.parametrize("statement", ["truncate roadmap_metadata", "truncate novels cascade"])
def test_problems_of_owners_that_a_truncate_took_are_gone(redrive, statement):
    add_roadmap(redrive.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    add_novel(redrive.engine)
    before = set(found(redrive))

    execute(redrive.engine, statement)

    assert len(before) == 2
    assert found(redrive).keys() == {key for key in before if (key.kind is ContentKind.CHAPTER) != ("novels" in statement)}


def test_truncated_tasks_make_every_owner_dirty(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    add_novel(redrive.engine, chapters=[{}])
    found(redrive)

    execute(redrive.engine, "truncate tasks")

    with redrive.engine.connect() as connection:
        dirty = {tuple(row) for row in connection.execute(text("select owner_kind, owner_id from ops.dirty"))}
    assert dirty == {("roadmap", "r1"), ("novel", "n1")}
