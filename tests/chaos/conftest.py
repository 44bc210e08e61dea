"""Servers of the chaos tests' own: durable, for they are killed. A table of what was done to them closes the run."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from backend.host.private_servers import PrivateServers
from backend.settings import Settings
from backend.storage.migrate import migrate
from tests.chaos.stack import impatient
from tests.memory_folder import memory_folder
from tests.model_server import HELD

IS_LONG = os.environ.get("REDRIVE_CHAOS") == "long"
_numbers = itertools.count(1)
_tables: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-seed", type=int, help="seed of the first round of random faults")
    parser.addoption("--chaos-minutes", type=float, help="go on with rounds of random faults for so long")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: whoever started it prints
        session.config.workeroutput["chaos_tables"] = _tables


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _tables.extend(getattr(node, "workeroutput", {}).get("chaos_tables", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for table in _tables:
        terminalreporter.section("random faults")
        terminalreporter.write_line(table)


@pytest.fixture
def tell() -> Iterator[list[str]]:
    """Tables to print at the end of the run, whether it passed or failed."""
    told: list[str] = []
    yield told
    _tables.extend(told)


@pytest.fixture(scope="session")
def own_servers() -> Iterator[PrivateServers]:
    """A PostgreSQL and a Valkey that a test may kill: what was confirmed to a client outlives them."""
    with memory_folder() as folder, PrivateServers(folder / "state", durable=True, holder="chaos") as running:
        yield running


@pytest.fixture
def servers(own_servers: PrivateServers) -> PrivateServers:
    """In place of the shared ones: whatever a test before left dead is up again."""
    own_servers.watch()
    impatient(own_servers.redis_url).flushall()
    return own_servers


@pytest.fixture
def database(servers: PrivateServers) -> Iterator[str]:
    """The URL of a fresh, migrated database; dropped at the end."""
    url = _made(servers)
    yield url
    servers.watch()
    _administer(servers, f"drop database {make_url(url).database} with (force)")


@pytest.fixture
def settings(database: str, servers: PrivateServers, tmp_path: Path) -> Settings:
    """Everything ten times as quick as by default, so that a fault and its end fit into a test.

    No canary goes ahead: all items are in the queues when the fault comes, so it can meet each of them. Leases are long: a full
    machine robs nobody who lives. A test may hold up the model for as long as it needs.
    """
    return Settings(
        database_url=SecretStr(database), redis_url=SecretStr(servers.redis_url), state_dir=tmp_path / "state",
        openai_api_key=None, openai_base_url=None, offline_delay_seconds=0, offline_faults="", object_store=None,
        heartbeat_seconds=0.5, lease_seconds=30, resend_seconds=1, save_patience_seconds=1, breaker_failures=5, breaker_seconds=1,
        stop_seconds=4, force_stop_seconds=0.5, concurrency=4, interactive_items=20, maximum_attempts_per_day=1000,
        model_timeout_seconds=HELD, model_retries=1, armed_seconds=0, canary_items=0, log_format="json",
        painters="model", image_model="loopback-painter", cover_calls_per_person="", cover_calls="")


@pytest.fixture
def database_of_a_round(servers: PrivateServers) -> Callable[[Settings], Settings]:
    """The settings with a fresh database and an empty Redis and object store, for each round of random faults."""
    def fresh(settings: Settings) -> Settings:
        servers.watch()
        impatient(servers.redis_url).flushall()
        return settings.model_copy(update={
            "database_url": SecretStr(_made(servers)), "state_dir": settings.state_dir / f"round-{next(_numbers)}"})
    return fresh


def _made(servers: PrivateServers) -> str:
    name = f"chaos_{next(_numbers)}"
    _administer(servers, f"create database {name}")
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    migrate(url)
    return url


def _administer(servers: PrivateServers, statement: str) -> None:
    url = make_url(servers.database_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(statement)
