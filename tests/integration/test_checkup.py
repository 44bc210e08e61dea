"""What `redrive check` says of connections: what Redrive may hold, against what its role gets and others hold."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from sqlalchemy.engine import make_url

from backend.host import checkup
from backend.host.errors import HostError
from backend.host.given_servers import libpq_url
from backend.settings import Settings
from tests.processes import wait_for


@pytest.fixture
def small(settings: Settings) -> Settings:
    """web 12 + maintenance 5 + one worker of 2 threads + 1: at most 20."""
    return settings.model_copy(update={"concurrency": 2, "workers_interactive": 1, "workers_bulk": 0, "workers_automatic": 0})


def allow(settings: Settings, count: int) -> None:
    url = settings.database_url.get_secret_value()
    with psycopg.connect(libpq_url(url), autocommit=True, application_name="redrive test") as connection:
        connection.execute(f"alter database {make_url(url).database} connection limit {count}")


@contextmanager
def held(settings: Settings, count: int, name: str) -> Iterator[None]:
    """Connections of that name; when it ends PostgreSQL has seen all of them go."""
    url = libpq_url(settings.database_url.get_secret_value())
    with ExitStack() as stack:
        for _number in range(count):
            stack.enter_context(psycopg.connect(url, application_name=name))
        yield
    listed = "select 1 from pg_stat_activity where datname = current_database() and application_name = %s"
    with psycopg.connect(url, autocommit=True, application_name="redrive test") as connection:
        wait_for(lambda: not connection.execute(listed, [name]).fetchone(), what="them to be gone")


def test_the_sum_counts_every_pool_of_every_process_on_every_machine(small):
    assert small.connections == 20
    assert small.model_copy(update={"machines": 3}).connections == 60
    assert Settings(concurrency=8, workers_interactive=2, workers_bulk=1, workers_automatic=1, machines=1).connections == 53


def test_as_many_as_are_needed_are_enough_and_one_fewer_is_not(small):
    allow(small, 20)
    assert checkup._ask_connections(small) == "Redrive may hold 20, this role gets 20; others hold 0 now"

    allow(small, 19)
    with pytest.raises(HostError, match="may hold 20 connections, and this role gets at most 19"):
        checkup._ask_connections(small)


def test_what_other_programs_hold_is_not_there_for_redrive(small):
    allow(small, 22)

    with held(small, 2, "the platform"):
        assert "others hold 2 now" in checkup._ask_connections(small)
    with held(small, 3, "the platform"), pytest.raises(HostError, match="at most 22, of which others hold 3 now"):
        checkup._ask_connections(small)
    with held(small, 3, "redrive"):  # its own are in the sum already
        assert "others hold 0 now" in checkup._ask_connections(small)


def test_more_than_the_sum_means_that_more_runs_than_the_settings_say(small):
    with held(small, 21, "redrive"), pytest.raises(HostError, match=r"holds 21 connections now.*at most 20.*REDRIVE_MACHINES"):
        checkup._ask_connections(small)
