"""The private servers: they start, keep their data, and leave no process behind, however their owner ends."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from backend.host.command_servers import servers_for, servers_that_run
from backend.host.errors import HostError
from backend.host.given_servers import libpq_url
from backend.host.health import ANSWER_SECONDS, Health
from backend.host.orphans import servers_in
from backend.host.private_servers import PrivateServers
from backend.host.project import ROOT
from backend.host.state_folder import StateFolder, StateFolderBusy
from backend.settings import Settings

OWNER = """
    import sys, time
    from pathlib import Path
    from backend.host.private_servers import PrivateServers
    with PrivateServers(Path(sys.argv[1]), durable=False) as servers:
        print("ready", flush=True)
        time.sleep(600)
"""
LONELY_SERVER = """
    import os, sys
    from pathlib import Path
    from backend.host import private_servers, server_process
    server_process.tied_to_this_process = lambda _signal: None  # as on a system without PDEATHSIG
    servers = private_servers.PrivateServers(Path(sys.argv[1]), durable=False)
    servers.start()
    print("ready", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def _no_given_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "REDRIVE_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder; fails the test when a server of it still runs at the end."""
    # Not tmp_path: its parents are closed, and as root PostgreSQL runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="redrive-test-"))
    folder.chmod(0o711)
    yield folder
    left = running_servers(folder)
    for process in left:
        process.kill()
    shutil.rmtree(folder)
    assert not left


def running_servers(state: Path) -> list[psutil.Process]:
    return [process for data in state.glob("*") if data.is_dir() for process in servers_in(data)]


def wait_until(is_so: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.02)


def start_owner(state: Path, script: str = OWNER) -> subprocess.Popen[str]:
    """A process that owns the servers of `state`; returns once they are ready."""
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "ready\n"
    return owner


def postgres_pid(state: Path) -> int:
    return int((state / "pgdata/postmaster.pid").read_text().split("\n", 1)[0])


def connect(servers: PrivateServers) -> psycopg.Connection:
    return psycopg.connect(libpq_url(servers.database_url), autocommit=True)


def test_both_answer_on_unix_sockets_and_data_survives_a_restart(state: Path) -> None:
    with PrivateServers(state) as servers:
        with connect(servers) as connection:
            connection.execute("create table kept as select 7 as number")
        with redis.Redis.from_url(servers.redis_url) as client:
            client.set("kept", "7")

    with PrivateServers(state) as servers:
        with connect(servers) as connection:
            number = connection.execute("select number from kept").fetchone()
            listens = connection.execute("show listen_addresses").fetchone()
        with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
            kept, port = client.get("kept"), client.config_get("port")

    assert (number, listens, kept, port) == ((7,), ("",), "7", {"port": "0"})


def test_the_server_settings_are_ours(state: Path) -> None:
    names = ("max_connections", "shared_buffers", "jit", "random_page_cost", "synchronous_commit", "fsync")

    with PrivateServers(state) as servers, connect(servers) as connection:
        found = {name: connection.execute(f"show {name}").fetchone()[0] for name in names}

    assert found == {"max_connections": "100", "shared_buffers": "128MB", "jit": "off", "random_page_cost": "1.1",
                     "synchronous_commit": "on", "fsync": "on"}


def test_a_server_can_be_left_out(state: Path) -> None:
    with PrivateServers(state, with_postgres=False, durable=False) as servers:
        names = {process.name() for process in running_servers(state)}

    assert (servers.database_url, names) == ("", {"valkey-server"})


def test_a_second_owner_is_refused_and_told_who_the_first_is(state: Path) -> None:
    with PrivateServers(state, durable=False, holder="redrive import"):
        with pytest.raises(StateFolderBusy) as refusal, PrivateServers(state, durable=False):
            pass
        still_there = running_servers(state)

    assert "redrive import" in str(refusal.value)
    assert str(os.getpid()) in str(refusal.value)
    assert len(still_there) > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_its_owner(state: Path, number: signal.Signals) -> None:
    with start_owner(state) as owner:
        assert running_servers(state)

        owner.send_signal(number)

        wait_until(lambda: not running_servers(state), seconds=30)


def test_a_killed_postmaster_is_recovered_from(state: Path) -> None:
    with PrivateServers(state) as servers:
        with connect(servers) as connection:
            connection.execute("create table kept as select 7 as number")
        os.kill(postgres_pid(state), signal.SIGKILL)

    with PrivateServers(state) as servers, connect(servers) as connection:
        assert connection.execute("select number from kept").fetchone() == (7,)


def test_a_server_that_dies_is_started_again_at_the_same_address(state: Path) -> None:
    with PrivateServers(state, durable=False) as servers:
        for process in running_servers(state):
            with suppress(psutil.NoSuchProcess):  # its parent was killed before it
                process.kill()

        def answers() -> bool:
            servers.watch()
            try:
                with connect(servers) as connection, redis.Redis.from_url(servers.redis_url) as client:
                    return bool(connection.execute("select 1").fetchone()) and client.ping()
            except (psycopg.OperationalError, redis.ConnectionError):
                return False

        wait_until(answers)


def test_a_stale_pid_file_that_names_a_stranger_leaves_the_stranger_alive(state: Path) -> None:
    with PrivateServers(state):
        pass
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (state / "pgdata/postmaster.pid").write_text(f"{stranger.pid}\n{state / 'pgdata'}\n")
        (state / "valkey9/server.pid").write_text(str(stranger.pid))

        with PrivateServers(state) as servers, connect(servers) as connection:
            answer = connection.execute("select 1").fetchone()

        assert answer == (1,)
        assert stranger.poll() is None
        stranger.kill()


def test_servers_left_by_an_earlier_run_are_stopped_and_replaced(state: Path) -> None:
    with start_owner(state, LONELY_SERVER) as owner:
        owner.wait(30)
    orphan_pid = postgres_pid(state)
    assert {process.name() for process in running_servers(state)} == {"postgres", "valkey-server"}

    with PrivateServers(state, durable=False) as servers, connect(servers) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert postgres_pid(state) != orphan_pid


def test_a_data_folder_of_another_major_version_is_refused_with_both_named(state: Path) -> None:
    with PrivateServers(state, durable=False):
        pass
    (state / "pgdata/PG_VERSION").write_text("14\n")

    with pytest.raises(HostError, match=r"made by PostgreSQL 14, but PostgreSQL 18"), PrivateServers(state, durable=False):
        pass


def test_a_long_state_folder_path_still_works(state: Path) -> None:
    with PrivateServers(state / ("long" * 20), durable=False) as servers, connect(servers) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_throw_away_server_whose_folder_is_out_of_reach_leaves_no_files_elsewhere(state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to run PostgreSQL as another user")
    state.chmod(0o700)

    with PrivateServers(state / "inside", durable=False) as servers, connect(servers) as connection:
        answer = connection.execute("select 1").fetchone()
        home = servers.postgres_home

    assert answer == (1,)
    assert home != state / "inside"
    assert not home.exists()
    assert state.stat().st_mode & 0o777 == 0o700  # nobody else's folder is loosened


def test_starting_in_another_thread_than_the_main_one_is_refused(state: Path) -> None:
    said: list[str] = []

    def start() -> None:
        try:
            PrivateServers(state, durable=False).start()
        except HostError as exc:
            said.append(str(exc))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in said[0]


def test_a_command_joins_the_servers_that_a_running_up_has_announced(state: Path) -> None:
    settings = Settings.model_validate({"state_dir": state})
    with PrivateServers(state, durable=False, holder="redrive up") as servers:
        servers.state.announce(database_url=servers.database_url, redis_url=servers.redis_url)

        with servers_for(settings, holder="redrive detect") as whole:
            joined = whole.database_url.get_secret_value(), whole.redis_url.get_secret_value()

        assert joined == (servers.database_url, servers.redis_url)
    assert StateFolder(state).running_up() is None


def test_a_command_without_a_running_up_has_private_servers_for_its_own_duration(state: Path) -> None:
    settings = Settings.model_validate({"state_dir": state})

    with (servers_for(settings, holder="redrive detect") as whole,
          psycopg.connect(libpq_url(whole.database_url.get_secret_value())) as connection):
        assert connection.execute("select 1").fetchone() == (1,)

    assert not running_servers(state)


def test_an_announcement_of_a_process_that_is_gone_is_not_believed(state: Path) -> None:
    (state / "urls.json").write_text(
        f'{{"pid": {os.getpid()}, "pid_started_at": 1.0, "database_url": "postgresql://x/y", "redis_url": null}}')

    with pytest.raises(HostError, match="make run"):
        servers_that_run(Settings.model_validate({"state_dir": state}))


def test_a_given_server_that_is_down_is_one_line_and_never_a_private_one(state: Path) -> None:
    settings = Settings.model_validate({"state_dir": state, "database_url": "postgresql://anna:hunter22@127.0.0.1:1/x"})

    with pytest.raises(HostError) as refusal, servers_for(settings, holder="redrive detect"):
        pass

    assert "127.0.0.1:1/x (DATABASE_URL)" in str(refusal.value)
    assert "hunter22" not in str(refusal.value)
    assert not list(state.iterdir())


def test_health_tells_which_server_is_down(state: Path) -> None:
    with PrivateServers(state, durable=False) as servers:
        settings = Settings.model_validate({"database_url": servers.database_url, "redis_url": servers.redis_url})
        both_up = ask_health(settings)
        for process in running_servers(state):
            if process.name() == "valkey-server":
                process.kill()
        redis_gone = ask_health(settings)
    both_gone = ask_health(settings)

    assert both_up == {"postgresql": "ok", "redis": "ok"}
    assert redis_gone == {"postgresql": "ok", "redis": "down"}
    assert both_gone == {"postgresql": "down", "redis": "down"}


def test_health_answers_within_two_seconds_when_the_servers_are_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        port = silent.getsockname()[1]
        settings = Settings.model_validate(
            {"database_url": f"postgresql://anna@127.0.0.1:{port}/x", "redis_url": f"redis://127.0.0.1:{port}/0"})
        started_at = time.monotonic()

        verdicts = ask_health(settings)

    assert verdicts == {"postgresql": "down", "redis": "down"}
    assert time.monotonic() - started_at < 2 * ANSWER_SECONDS  # both were asked at once
    assert ANSWER_SECONDS < 2


def ask_health(settings: Settings) -> dict[str, str]:
    return asyncio.run(Health(settings).ask())
