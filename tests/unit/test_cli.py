"""The console command: what it says and how it ends when something is not right, and how little it loads."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from backend.cli.main import main
from backend.host import checkup, commands
from backend.host.errors import HostError
from backend.host.given_servers import check_postgresql, check_redis, known_postgresql, known_redis, place_of
from backend.host.log_files import LIMIT_BYTES, last_line, set_large_logs_aside
from backend.host.project import ROOT, state_folder
from backend.host.web_address import address, require_free_port, require_loopback
from backend.settings import Settings
from tests.ports import free_port

DOWN = "postgresql://anna:hunter22@127.0.0.1:1/platform"
REDIS_DOWN = "redis://:hunter22@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without settings, a state folder of its own, and logging as before."""
    for name in ("DATABASE_URL", "REDIS_URL", "REDRIVE_HOST", "REDRIVE_PORT", "REDRIVE_OBJECT_STORE", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDRIVE_STATE_DIR", str(tmp_path / "state"))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def test_help_lists_every_command() -> None:
    result = run("--help")

    assert result.exit_code == 0
    for command in ("up", "web", "worker", "maintenance", "migrate", "demo", "import", "detect", "check"):
        assert f"  {command} " in result.output


def test_starting_the_command_loads_neither_streamlit_nor_the_database_nor_the_model_client() -> None:
    heavy = {"streamlit", "sqlalchemy", "pandas", "openai", "obstore", "rq", "workers", "dashboard", "psycopg"}

    loaded = subprocess.run(
        [sys.executable, "-c", "import json, sys, backend.cli.main; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not heavy & set(json.loads(loaded))


def test_a_wrong_setting_is_named_but_not_quoted() -> None:
    result = run("check", REDRIVE_PORT="hunter22")

    assert result.exit_code == 2
    assert "REDRIVE_PORT" in result.output
    assert "hunter22" not in result.output


def test_a_lease_too_short_for_the_heartbeat_is_one_line_that_says_what_to_set() -> None:
    result = run("worker", "--queue", "bulk", REDRIVE_HEARTBEAT_SECONDS="20")

    assert result.exit_code == 2
    assert result.output == (
        "A setting is not right: REDRIVE_LEASE_SECONDS: It must last at least 3 heartbeats. Set it to 60 or more, "
        "or lower REDRIVE_HEARTBEAT_SECONDS. Correct it in the environment.\n")


@pytest.mark.parametrize("command", [("up",), ("web",), ("worker", "--queue", "bulk"), ("maintenance",), ("migrate",), ("demo",),
                                     ("detect",), ("import", __file__)])
@pytest.mark.parametrize(("name", "url"), [("DATABASE_URL", DOWN), ("REDIS_URL", REDIS_DOWN)])
def test_a_given_server_that_is_down_is_one_line_without_the_password(
    command: tuple[str, ...], name: str, url: str, tmp_path: Path,
) -> None:
    result = run(*command, **{name: url, "REDRIVE_PORT": str(free_port())})

    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert f"({name}) does not let us in" in result.output
    assert "hunter22" not in result.output
    assert not (tmp_path / "state").exists()  # nothing private was started in its place


@pytest.mark.parametrize("command", [("web",), ("worker", "--queue", "interactive"), ("maintenance",)])
def test_a_single_process_without_servers_points_to_make_run(command: tuple[str, ...]) -> None:
    result = run(*command, REDRIVE_PORT=str(free_port()))

    assert result.exit_code == 2
    assert "make run" in result.output
    assert "DATABASE_URL" in result.output


@pytest.mark.parametrize("command", ["up", "web"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "redrive.example", ""])
def test_an_address_that_others_could_reach_is_refused(command: str, host: str) -> None:
    result = run(command, REDRIVE_HOST=host)

    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert "REDRIVE_HOST" in result.output


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_a_loopback_address_is_taken(host: str) -> None:
    require_loopback(host)


def test_a_taken_port_names_the_setting_and_another_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(HostError, match=f"Port {port} .*REDRIVE_PORT"):
            require_free_port("127.0.0.1", port)


def test_an_address_with_colons_is_written_in_brackets() -> None:
    assert address("::1", 8501) == "http://[::1]:8501"
    assert address("127.0.0.1", 8501) == "http://127.0.0.1:8501"


@pytest.mark.parametrize(("findings", "exit_code"), [((True, True), 0), ((True, False), 2)])
def test_check_ends_with_2_when_one_thing_is_bad(
    findings: tuple[bool, ...], exit_code: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkup, "checkup", lambda _settings: [
        checkup.Finding("schema", is_good, "as it should be" if is_good else "Run: redrive migrate") for is_good in findings])

    result = run("check")

    assert result.exit_code == exit_code
    assert result.output.count("ok") == sum(findings)
    assert ("Run: redrive migrate" in result.output) == (not all(findings))


def test_check_looks_at_the_rest_when_a_given_server_is_down() -> None:
    result = run("check", DATABASE_URL=DOWN, REDIS_URL=REDIS_DOWN)

    lines = {line.split("  ")[0].strip(): line for line in result.output.splitlines()}
    assert result.exit_code == 2
    assert {subject for subject, line in lines.items() if " BAD " in line} == {"PostgreSQL", "Redis", "schema"}
    assert " ok " in lines["object store"]
    assert " ok " in lines["model"]
    assert "hunter22" not in result.output


def test_check_asks_a_model_endpoint_that_wants_no_key() -> None:
    finding = model_finding(openai_base_url="http://127.0.0.1:1/v1")

    assert not finding.is_good
    assert "http://127.0.0.1:1/v1 does not answer" in finding.line


@pytest.mark.parametrize(("given", "setting"), [
    ({"openai_base_url": "http://127.0.0.1:port/v1"}, "OPENAI_BASE_URL"),
    ({"openai_api_key": "sk-schlüssel", "openai_base_url": "http://127.0.0.1:1/v1"}, "OPENAI_API_KEY"),
])
def test_check_names_the_setting_of_the_model_that_cannot_work(given: dict[str, str], setting: str) -> None:
    finding = model_finding(**given)

    assert not finding.is_good
    assert setting in finding.line
    assert "schlüssel" not in finding.line


def test_check_says_who_writes_without_key_and_endpoint() -> None:
    finding = model_finding()

    assert finding.is_good
    assert "Neither OPENAI_API_KEY nor OPENAI_BASE_URL is set" in finding.line


@pytest.mark.parametrize("url", [
    "", "sqlite:///x", "postgresql://anna:hun/ter22@h/x", "postgresql://anna:p%zz@h/x", "postgresql://h:abc/x", "mysql://h/x",
])
def test_a_broken_database_url_is_not_quoted(url: str) -> None:
    with pytest.raises(HostError, match="is not the address of a PostgreSQL database") as refusal:
        check_postgresql(url)

    assert "ter22" not in str(refusal.value)
    assert "zz" not in str(refusal.value)


@pytest.mark.parametrize("url", ["", "h:6379", "http://h", "redis://h:abc/0", "redis://h/x", "redis://:a b@h/0"])
def test_a_broken_redis_url_is_refused(url: str) -> None:
    with pytest.raises(HostError, match="is not the address of a Redis server"):
        check_redis(url)


@pytest.mark.parametrize(("number", "name"), [(150000, "PostgreSQL 15.0"), (180006, "PostgreSQL 18.6")])
def test_a_known_postgresql_is_named(number: int, name: str) -> None:
    assert known_postgresql(number, "here") == name


@pytest.mark.parametrize("number", [90624, 140011, 190000])
def test_an_unknown_postgresql_is_refused(number: int) -> None:
    with pytest.raises(HostError, match="works with PostgreSQL 15 to 18"):
        known_postgresql(number, "here")


@pytest.mark.parametrize(("said", "name"), [
    ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
    ({"redis_version": "7.2.4", "valkey_version": "7.2.11"}, "Valkey 7.2.11"),
    ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
])
def test_a_known_redis_is_named(said: dict[str, str], name: str) -> None:
    assert known_redis(said, "here") == name


@pytest.mark.parametrize("said", [
    {"redis_version": "6.2.14"}, {"redis_version": "8.0.0"}, {"redis_version": "7.2.4", "valkey_version": "10.0.0"}, {},
])
def test_an_unknown_redis_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(HostError, match=r"works with Redis 7 and with Valkey 7\.2 to 9"):
        known_redis(said, "here")


@pytest.mark.parametrize(("url", "place"), [
    ("postgresql://anna:hunter22@db.example:5433/platform", "PostgreSQL at db.example:5433/platform"),
    ("postgresql://anna@/platform?host=/run/pg&password=hunter22", "PostgreSQL at /run/pg/platform"),
    ("postgresql://h:abc/x", "PostgreSQL"),
])
def test_a_place_is_told_without_user_and_password(url: str, place: str) -> None:
    assert place_of(url, "PostgreSQL") == place


def test_there_are_as_many_workers_as_the_settings_say_and_each_has_one_queue() -> None:
    settings = Settings(workers_interactive=2, workers_bulk=1, workers_automatic=0)

    children = {spec.name: spec for spec in commands.all_children(settings)}

    assert list(children) == ["web", "maintenance", "worker-interactive-1", "worker-interactive-2", "worker-bulk-1"]
    assert children["worker-bulk-1"].command[-2:] == ("--queue", "bulk")


def test_the_default_state_folder_lies_in_the_checkout_from_wherever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    monkeypatch.delenv("REDRIVE_STATE_DIR")
    monkeypatch.chdir(tmp_path)

    assert state_folder(Settings()) == ROOT / ".redrive"
    assert state_folder(Settings(state_dir=Path("mine"))) == tmp_path / "mine"


def test_a_log_over_the_limit_is_set_aside_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    with path.open("ab") as log:
        log.write(b"x" * LIMIT_BYTES + b"\nthe last\n\n")
        log.flush()
        assert last_line(path) == "the last"

        set_large_logs_aside(tmp_path)
        log.write(b"the next\n")

    assert path.read_bytes() == b"the next\n"
    assert last_line(tmp_path / "web.log.1") == "the last"


def model_finding(**given: str) -> checkup.Finding:
    """What `redrive check` finds about the model, with servers that are down."""
    settings = Settings(database_url=DOWN, redis_url=REDIS_DOWN, **given)
    return {finding.subject: finding for finding in checkup.checkup(settings)}["model"]
