"""Real servers for all tests: one private PostgreSQL and one private Valkey, a fresh database for each test that asks."""

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy.engine import make_url
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from backend.actions.actors import Actor, Role
from backend.bootstrap import connect
from backend.host.private_servers import PrivateServers
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage.migrate import migrate
from tests.memory_folder import memory_folder

_numbers = itertools.count(1)
hypothesis.settings.register_profile("unhurried", hypothesis.settings(), deadline=None)  # a full machine is no fault
hypothesis.settings.load_profile("unhurried")
sys.dont_write_bytecode = False  # what is kept here spares each of some hundred processes a compilation of the whole project
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class GivenServers:
    """Servers of somebody else, to try another version: databases are made in the first, the second is emptied."""

    database_url: str
    redis_url: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-url", help="a PostgreSQL whose role may create databases, in place of the private one")
    parser.addoption("--redis-url", help="a Redis that the tests may EMPTY, in place of the private one")


WHOLE = ("tests/chaos/", "tests/journeys/")  # each of their tests starts everything
_NICENESS = 3


class OneProcessForEach(LoadScopeScheduling):
    """Test by test to the process that is free, but chaos keeps to one and the journeys to another."""

    def _split_scope(self, nodeid: str) -> str:
        return next((whole for whole in WHOLE if nodeid.startswith(whole)), nodeid)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In one of several processes: the long chains of whole stacks have the cores first, everything else what they leave."""
    if hasattr(item.config, "workerinput") and not item.nodeid.startswith(WHOLE) and os.nice(0) < _NICENESS:
        os.nice(_NICENESS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneProcessForEach:
    return OneProcessForEach(config, log)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[PrivateServers | GivenServers]:
    """Both servers, in memory and without fsync, for the whole session."""
    given = pytestconfig.getoption("--database-url"), pytestconfig.getoption("--redis-url")
    if any(given):
        assert all(given), "give both --database-url and --redis-url"
        yield GivenServers(*given)
        return
    with memory_folder() as folder, PrivateServers(folder, durable=False) as running:
        yield running


@pytest.fixture(scope="session")
def administrator(servers: PrivateServers | GivenServers) -> Iterator[psycopg.Connection]:
    """One connection that makes and drops databases: another for each statement would take as long as the statement."""
    url = make_url(servers.database_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def template_database(servers: PrivateServers | GivenServers, administrator: psycopg.Connection) -> str:
    """A migrated, empty database that the others are copied from."""
    administrator.execute("drop database if exists template_redrive")
    administrator.execute("create database template_redrive")
    migrate(database_url(servers, "template_redrive"))
    return "template_redrive"


@pytest.fixture
def database(servers: PrivateServers | GivenServers, administrator: psycopg.Connection, template_database: str) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    administrator.execute(f"drop database if exists {name}")
    administrator.execute(f"create database {name} template {template_database} strategy file_copy")  # half the time of the default
    yield database_url(servers, name)
    administrator.execute(f"drop database {name} with (force)")


@pytest.fixture
def settings(database: str, servers: PrivateServers | GivenServers, tmp_path: Path) -> Settings:
    """Settings of a test: its own database, an empty Redis, an offline writer without delay, short patience.

    Not with what lives: on a full machine a worker may be silent for seconds.
    """
    Redis.from_url(servers.redis_url).flushall()
    return Settings(
        database_url=SecretStr(database), redis_url=SecretStr(servers.redis_url), state_dir=tmp_path / "state",
        openai_api_key=None, openai_base_url=None, offline_delay_seconds=0, offline_faults="", object_store=None,
        heartbeat_seconds=0.5, lease_seconds=30, resend_seconds=2, armed_seconds=0,
        cover_calls_per_person="", cover_calls="")  # Redis outlives a test: one would use up what the next may have made


@pytest.fixture
def redrive(settings: Settings) -> Iterator[Redrive]:
    wired = connect(settings)
    yield wired
    wired.close()


@pytest.fixture
def operator() -> Actor:
    return Actor("test operator", Role.ADMIN)


def database_url(servers: PrivateServers | GivenServers, name: str) -> str:
    return make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
