"""The schema on platforms as they are found: empty, half there, with json in place of jsonb, with other roles."""

import itertools
import re
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from backend.actions import attempts, retry, settling
from backend.bootstrap import connect
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import LIVE_ITEM_STATES, ItemState
from backend.content.written import Quiz, Written
from backend.redrive import Redrive
from backend.storage import schema
from backend.storage.engine import make_engine
from backend.storage.migrate import is_empty, migrate
from backend.storage.platform_tables import platform
from backend.storage.schema import ops
from backend.views.detection import counts_and_problems
from tests.conftest import database_url
from tests.factories import add_content, add_novel, add_roadmap, add_task, concept

_numbers = itertools.count(1)
# A platform of its own making: json, varchar, a column nobody knows, no index but the keys.
OLDER_PLATFORM = """
create table roadmap_metadata (
    roadmap_id varchar(36) primary key, user_id varchar(36) not null, title varchar(255) not null, total_estimated_hours double precision,
    recommended_completion_weeks int, framework_data json, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(), deleted_at timestamptz, deleted_by varchar(36), tenant text not null default 'acme');
create table quiz_metadata (
    quiz_id varchar(64) primary key, concept_id varchar(64) not null, roadmap_id varchar(36) not null, questions jsonb, total_questions int,
    easy_count int, medium_count int, hard_count int, generated_at timestamptz);
create table tasks (
    task_id varchar(36) primary key, user_id varchar(36) not null, status varchar(20) not null, task_type varchar(30),
    concept_id varchar(64), content_type varchar(20), roadmap_id varchar(36), novel_id varchar(36), current_step varchar(50),
    user_request jsonb, job_id varchar(64), error_message text, failed_concepts jsonb, execution_summary jsonb,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(), completed_at timestamptz,
    retries int not null default 0);
"""
QUIZ = Quiz.model_validate({"questions": [
    {"question": "Q?", "options": ["a", "b"], "correct_options": [0], "explanation": "so", "difficulty": "easy"}]})


@pytest.fixture
def empty_database(servers) -> Iterator[str]:
    """The URL of a database without any table."""
    name = f"unmigrated_{next(_numbers)}"
    administer(servers, f"drop database if exists {name}", f"create database {name}")
    yield database_url(servers, name)
    administer(servers, f"drop database {name} with (force)")


@pytest.fixture
def engine(empty_database: str) -> Iterator[Engine]:
    made = make_engine(empty_database, pool_size=2)
    yield made
    made.dispose()


@pytest.fixture
def older_platform(empty_database: str, engine: Engine, settings) -> Iterator[Redrive]:
    """Redrive on a platform that made some of its tables long ago, in its own way."""
    execute(engine, OLDER_PLATFORM)
    migrate(empty_database)
    wired = connect(settings.model_copy(update={"database_url": SecretStr(empty_database)}))
    yield wired
    wired.close()


def administer(servers, *statements: str) -> None:
    url = make_url(servers.database_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def found(redrive: Redrive) -> dict[ContentKey, ProblemKind]:
    return {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}


def test_an_empty_database_gets_every_table(empty_database, engine):
    migrate(empty_database)

    with engine.connect() as connection:
        schema.check_migrated(connection)
        assert set(inspect(connection).get_table_names(schema="public")) == {*platform.tables, "redrive_alembic_version"}
        assert set(inspect(connection).get_table_names(schema="ops")) == {table.name for table in ops.sorted_tables}
    assert is_empty(engine)


def test_migrating_again_changes_nothing(empty_database, engine):
    migrate(empty_database)
    add_roadmap(engine, concepts=[concept("a")])

    migrate(empty_database)

    with engine.connect() as connection:
        schema.check_migrated(connection)
    assert not is_empty(engine)


def test_a_database_that_was_not_migrated_is_told_what_to_run(engine):
    with engine.connect() as connection, pytest.raises(schema.SchemaError, match=r"is empty\. Run: redrive migrate"):
        schema.check_migrated(connection)


def test_tables_of_the_platform_that_are_there_stay_as_they_are(older_platform):
    columns = {column["name"]: column for column in inspect(older_platform.engine).get_columns("roadmap_metadata", schema="public")}

    assert str(columns["framework_data"]["type"]) == "JSON"
    assert "tenant" in columns


def test_on_json_columns_problems_are_found_and_followed(older_platform):
    add_roadmap(older_platform.engine, concepts=[concept("a"), concept("b", status=None)], unsaved=[(ContentKind.QUIZ, "a")], saved=[])
    with older_platform.engine.begin() as connection:
        for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ):
            add_content(connection, "r1", "b", kind)

    seen = found(older_platform)

    assert seen == {
        **{ContentKey(kind, "r1", "a"): ProblemKind.MISSING for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ)},
        **{ContentKey(kind, "r1", "b"): ProblemKind.DRIFTED for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ)}}


def test_on_json_columns_content_is_saved_and_its_status_put_right(older_platform, operator):
    add_roadmap(older_platform.engine, concepts=[concept("a", mine=["kept"])], unsaved=[(ContentKind.QUIZ, "a")])
    found(older_platform)
    retry.confirm(older_platform, retry.plan(older_platform, Scope.everything(), operator), operator)
    execute(older_platform.engine, "update ops.items set state = 'queued'")
    attempt = attempts.begin(older_platform, 1)

    is_saved = attempts.save(older_platform, attempt, Written(QUIZ, "offline", True))

    with older_platform.engine.connect() as connection:
        framework_data = connection.scalar(text("select framework_data from roadmap_metadata"))
        status = connection.scalar(text("select status from tasks"))
    (saved,) = framework_data["stages"][0]["modules"][0]["concepts"]
    assert is_saved
    assert (saved["quiz_status"], saved["quiz_questions_count"], saved["mine"], status) == ("completed", 1, ["kept"], "completed")
    assert found(older_platform) == {}


def test_a_failure_is_recorded_on_json_columns_too(older_platform, operator):
    add_roadmap(older_platform.engine, concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])
    found(older_platform)
    retry.confirm(older_platform, retry.plan(older_platform, Scope.everything(), operator), operator)
    execute(older_platform.engine, "update ops.items set state = 'queued'")
    attempt = attempts.begin(older_platform, 1)

    attempts.fail(older_platform, attempt, settling.save_error(ValueError("odd")))

    assert found(older_platform) == {ContentKey(ContentKind.QUIZ, "r1", "a"): ProblemKind.FAILED}


@pytest.mark.parametrize(("change", "named"), [
    ("alter table tasks drop column failed_concepts", "tasks.failed_concepts"),
    ("alter table quiz_metadata drop column questions, drop column hard_count", "quiz_metadata.hard_count, quiz_metadata.questions"),
])
def test_a_table_of_the_platform_that_lacks_a_column_is_refused_by_name(empty_database, engine, change, named):
    execute(engine, OLDER_PLATFORM, change)

    with pytest.raises(schema.SchemaError, match=re.escape(f"lacks {named}. ")):
        migrate(empty_database)

    assert not inspect(engine).has_schema("ops")


def test_an_index_that_the_detector_needs_is_added_to_a_table_that_lacks_it(older_platform):
    names = {index["name"] for table in ("quiz_metadata", "tasks")
             for index in inspect(older_platform.engine).get_indexes(table, schema="public")}

    assert names >= {"ix_quiz_metadata_roadmap_concept", "ix_tasks_roadmap_id", "ix_tasks_novel_id"}


def test_the_role_of_the_platform_needs_no_right_on_our_tables(redrive):
    role = f"platform_writer_{next(_numbers)}"
    add_roadmap(redrive.engine, concepts=[concept("a")])
    before = found(redrive)
    execute(redrive.engine, f"create role {role}", f"grant select, insert, update, delete on all tables in schema public to {role}")

    with redrive.engine.connect() as connection:
        connection.execute(text(f"set local role {role}"))
        connection.execute(text("delete from quiz_metadata"))
        connection.execute(text("insert into novels (id, user_id, title, created_at) values ('n1', 'u', 'N', now() - interval '1 day')"))
        connection.execute(text("update roadmap_metadata set title = 'New'"))
        may_read_ops = connection.scalar(text("select has_schema_privilege('ops', 'usage')"))
        connection.commit()

    assert (before, may_read_ops) == ({}, False)
    assert found(redrive) == {
        ContentKey(ContentKind.QUIZ, "r1", "a"): ProblemKind.MISSING, ContentKey(ContentKind.CHAPTER, "n1", "1"): ProblemKind.MISSING}
    execute(redrive.engine, f"drop owned by {role}", f"drop role {role}")


def test_the_states_that_indexes_and_triggers_speak_of_in_the_database_are_states_of_items(redrive):
    with redrive.engine.connect() as connection:
        guard = connection.scalar(text("select pg_get_indexdef('ops.uq_items_live'::regclass)"))
        unsettled = connection.scalar(text("select pg_get_indexdef('ops.ix_items_unsettled'::regclass)"))
        triggers = connection.scalars(text(
            "select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
            "where n.nspname = 'ops' and p.proname ~ '^redrive_dirty_items_(insert|update)$'")).all()

    live = {state.value for state in LIVE_ITEM_STATES}
    assert words_in(guard) == live
    assert words_in(unsettled) == live | {ItemState.PLANNED}
    assert [words_in(trigger) & set(ItemState) for trigger in triggers] == [live, live]


WRITES = {
    "insert into roadmap_metadata (roadmap_id, user_id, title) values ('new', 'u', 't')": {"roadmap:new"},
    "update roadmap_metadata set title = 'New' where roadmap_id = 'r1'": {"roadmap:r1"},
    "update roadmap_metadata set roadmap_id = 'renamed' where roadmap_id = 'r1'": {"roadmap:r1", "roadmap:renamed"},
    "delete from roadmap_metadata": {"roadmap:r1", "roadmap:r2"},
    **{f"update {table} set roadmap_id = 'r2' where roadmap_id = 'r1'": {"roadmap:r1", "roadmap:r2"}
       for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata", "tasks")},
    **{f"delete from {table} where roadmap_id = 'r1'": {"roadmap:r1"}
       for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata", "roadmap_cover_images")},
    "insert into quiz_metadata (quiz_id, concept_id, roadmap_id) values ('x', 'a', 'r1'), ('y', 'a', 'r2')": {"roadmap:r1", "roadmap:r2"},
    "insert into tutorial_metadata (tutorial_id, concept_id, roadmap_id) values ('x', 'a', 'r1')": {"roadmap:r1"},
    "insert into resource_recommendation_metadata (id, concept_id, roadmap_id) values ('x', 'a', 'r1')": {"roadmap:r1"},
    "insert into roadmap_cover_images (roadmap_id, generation_status) values ('r3', 'pending')": {"roadmap:r3"},
    "update roadmap_cover_images set generation_status = 'failed' where roadmap_id = 'r2'": {"roadmap:r2"},
    "insert into tasks (task_id, user_id, status, roadmap_id, novel_id) values ('x', 'u', 'pending', 'r1', 'n1'), "
    "('y', 'u', 'pending', null, null)": {"roadmap:r1", "novel:n1"},
    "update tasks set roadmap_id = null, novel_id = 'n2'": {"roadmap:r1", "novel:n2"},
    "delete from tasks": {"roadmap:r1"},
    "insert into novels (id, user_id, title) values ('new', 'u', 't')": {"novel:new"},
    "update novels set title = 'New' where id = 'n1'": {"novel:n1"},
    "delete from novels where id = 'n2'": {"novel:n2"},
    "insert into chapters (id, novel_id, chapter_number, status) values ('x', 'n2', 1, 'failed')": {"novel:n2"},
    "update chapters set novel_id = 'n2' where id = 'n1-2'": {"novel:n1", "novel:n2"},
    "delete from chapters where id = 'n1-1'": {"novel:n1"},
    "insert into options (id, chapter_id, option_order, option_text) values ('x', 'n1-1', 3, 'Go')": {"novel:n1"},
    "update options set option_text = 'Stay'": {"novel:n1"},
    "delete from options where chapter_id = 'n1-2'": {"novel:n1"},
    "insert into user_choices (id, user_id, chapter_id, option_id) values ('x', 'u', 'n1-2', 'n1-2-1')": {"novel:n1"},
    "update user_choices set created_at = now()": {"novel:n1"},
    "delete from user_choices": {"novel:n1"},
    "update ops.items set state = 'queued' where item_id = 1": {"roadmap:r1"},
    "update ops.items set state = 'failed' where item_id = 2": {"novel:n1"},
    "update ops.items set heartbeat_at = now(), attempt = 2": set(),
    "update ops.items set state = 'cancelled' where item_id = 1": set(),
    "delete from ops.items where item_id = 2": {"novel:n1"},
    "update novels set title = 'New' where id = 'nobody'": set(),
}


@pytest.mark.parametrize(("write", "marked"), WRITES.items())
def test_a_write_marks_the_owners_it_may_concern_and_nobody_else(redrive, write, marked):
    for roadmap_id in ("r1", "r2"):
        add_roadmap(redrive.engine, roadmap_id, concepts=[concept("a")])
    add_novel(redrive.engine, "n1", chapters=[{}, {}])
    add_novel(redrive.engine, "n2")
    add_task(redrive.engine, roadmap_id="r1")
    execute(redrive.engine, "insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind) values "
            "('o', 'quiz', 'r1', 'a', 'generate', 'planned', 'failed'), ('o', 'chapter', 'n1', '3', 'generate', 'running', 'missing')",
            "delete from ops.dirty")

    execute(redrive.engine, write)

    with redrive.engine.connect() as connection:
        assert set(connection.scalars(text("select owner_kind || ':' || owner_id from ops.dirty"))) == marked


def test_every_table_has_a_trigger_for_each_kind_of_write(redrive):
    with redrive.engine.connect() as connection:
        names = set(connection.scalars(text("select tgname from pg_trigger where not tgisinternal")))

    writes = {f"redrive_dirty_{table}_{event}" for table in (*platform.tables, "items") for event in ("insert", "update", "delete")}
    follows = {"redrive_ended_tasks", "redrive_gone_problems_delete",
               *(f"redrive_rules_problems_{event}" for event in ("insert", "update", "delete"))}
    assert names == writes | follows | {f"redrive_dirty_{table}_truncate" for table in platform.tables}


def words_in(definition: str) -> set[str]:
    """What stands in single quotes."""
    return set(re.findall(r"'(\w+)'", definition))
