"""Processes that are started one by one: what is not right is one line with the next step and exit code 2, before any work."""

import itertools
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from backend.demo.load import NotTheDemo, load_demo
from backend.settings import Settings
from backend.storage import heartbeats
from tests.conftest import database_url
from tests.ports import free_port
from tests.processes import ROOT, environment, started, wait_for

COMMANDS = [("web",), ("worker", "--queue", "bulk"), ("maintenance",)]
_numbers = itertools.count(1)


@pytest.fixture
def unmigrated(settings: Settings, servers) -> Iterator[Settings]:
    """Settings of a database without any table."""
    name = f"not_migrated_{next(_numbers)}"
    administer(servers, f"drop database if exists {name}", f"create database {name}")
    yield settings.model_copy(update={"database_url": SecretStr(database_url(servers, name))})
    administer(servers, f"drop database {name} with (force)")


@pytest.fixture
def port() -> str:
    return str(free_port())


def administer(servers, *statements: str) -> None:
    url = make_url(servers.database_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def refusal_of(settings: Settings, module: str, *arguments: str, **more: str) -> str:
    """The one line on stderr of a process that ends with 2."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment(settings, **more),
        capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_is_not_migrated_is_told_before_any_work(unmigrated, command, port):
    said = refusal_of(unmigrated, "backend.cli.main", *command, REDRIVE_PORT=port)

    assert said == "The database is empty. Run: redrive migrate\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_column_that_the_platform_lacks_is_named(settings, redrive, command, port):
    with redrive.engine.begin() as connection:
        connection.execute(text("alter table roadmap_metadata drop column title"))

    said = refusal_of(settings, "backend.cli.main", *command, REDRIVE_PORT=port)

    assert "lacks roadmap_metadata.title" in said


@pytest.mark.parametrize("command", [*COMMANDS, ("detect",), ("demo",)], ids=" ".join)
def test_an_object_store_that_cannot_be_used_is_told_before_any_work(settings, command, port):
    said = refusal_of(settings, "backend.cli.main", *command, REDRIVE_PORT=port, REDRIVE_OBJECT_STORE="ftp://example.org/texts")

    assert said.startswith("REDRIVE_OBJECT_STORE is ftp://example.org/texts")
    assert "file:///folder or s3://bucket/prefix" in said


@pytest.mark.parametrize(("name", "value"), [
    ("REDRIVE_OBJECT_STORE", "file:///etc/hostname/texts"), ("OPENAI_BASE_URL", "localhost:8000/v1"), ("REDRIVE_OFFLINE_FAULTS", "what"),
    ("SSL_CERT_FILE", "/etc/no-such-file")])
def test_a_worker_process_names_the_setting_that_cannot_work(settings, name, value):
    said = refusal_of(settings, "workers.main", "--queue", "bulk", "--burst", **{name: value})

    assert name in said


def test_a_process_starts_when_all_is_there(settings, redrive):
    with started(settings, ("backend.cli.main", "maintenance")) as (process,):
        wait_for(lambda: beat(redrive) or process.poll() is not None, what="the first heartbeat")

        assert process.poll() is None


def beat(redrive) -> heartbeats.Heartbeat | None:
    with redrive.engine.connect() as connection:
        return heartbeats.newest(connection, "maintenance")


def test_a_role_that_may_not_migrate_is_told_in_one_line(unmigrated, servers):
    role = f"reader_{next(_numbers)}"
    administer(servers, f"create role {role} login password 'hunter22'")
    url = make_url(unmigrated.database_url.get_secret_value()).set(username=role, password="hunter22")
    weak = unmigrated.model_copy(update={"database_url": SecretStr(url.render_as_string(hide_password=False))})

    try:
        said = refusal_of(weak, "backend.cli.main", "migrate")
    finally:
        administer(servers, f"drop role {role}")

    assert "does not let this role do that: permission denied" in said
    assert "DATABASE_URL" in said
    assert "hunter22" not in said


def test_a_demo_that_is_there_already_is_told_with_the_way_to_bring_it_back(redrive):
    load_demo(redrive)

    with pytest.raises(NotTheDemo, match=r"redrive demo --reset"):
        load_demo(redrive)
