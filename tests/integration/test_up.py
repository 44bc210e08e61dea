"""`redrive up` with stand-in children: it starts again what dies, and leaves no process behind, however it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from backend.host.children import LONGEST_DELAY_SECONDS, delay_seconds
from backend.host.given_servers import libpq_url
from backend.host.orphans import MARK, marked_children, servers_in
from backend.host.project import ROOT
from tests.ports import free_port

STAND_IN_UP = """
    import sys, time
    from pathlib import Path
    from backend.host import up
    from backend.host.children import ChildSpec
    from backend.host.errors import HostError
    from backend.logs import configure_logging
    from backend.settings import Settings

    state, port, stop_seconds, ends_with_parent, prepare_seconds, *bodies = sys.argv[1:]
    WEB = '''
    import http.server, sys
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
    '''
    settings = Settings(state_dir=Path(state), port=int(port), stop_seconds=float(stop_seconds), log_format="json")
    configure_logging(settings)

    def prepare(settings, is_private, say):
        say(f"preparing {is_private}")
        time.sleep(float(prepare_seconds))

    def children(settings):
        import textwrap
        return (ChildSpec("web", (sys.executable, "-c", textwrap.dedent(WEB), port)),
                *(ChildSpec(f"stand-in-{n}", (sys.executable, "-c", body)) for n, body in enumerate(bodies, 1)))

    try:
        up.run(settings, up.Parts(prepare=prepare, children=children), say=lambda line: print(line, flush=True),
               ends_with_parent=ends_with_parent == "yes")
    except HostError as exc:
        print(exc, file=sys.stderr, flush=True)
        raise SystemExit(2)
"""
SLEEPS = "import time; time.sleep(600)"
IGNORES_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('armed', flush=True); time.sleep(600)"
STOPS_WITHIN_A_MOMENT = """
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("work is done", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("armed", flush=True)
time.sleep(600)
"""
DIES_AT_ONCE = "import sys; print('no such table', file=sys.stderr); sys.exit(3)"


@dataclass
class Up:
    """A running stand-in `redrive up` and where its output goes."""

    process: subprocess.Popen[bytes]
    state: Path
    port: int

    @property
    def said(self) -> str:
        return (self.state / "said").read_text()

    @property
    def complained(self) -> str:
        return (self.state / "complained").read_text()

    def wait_until_said(self, text: str) -> None:
        wait_until(lambda: text in self.said or self.process.poll() is not None, seconds=60)
        assert text in self.said, self.complained

    def wait_until_ready(self) -> None:
        self.wait_until_said("Redrive is ready")

    def wait_until_armed(self) -> None:
        wait_until(lambda: "armed" in (self.state / "logs/stand-in-1.log").read_text())

    def child(self, body: str) -> psutil.Process | None:
        for process in marked_children(self.state):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                if body in process.cmdline():
                    return process
        return None


@pytest.fixture(autouse=True)
def _no_given_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "REDRIVE_STATE_DIR", "REDRIVE_HOST", "REDRIVE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder; fails the test when any process of it still runs at the end."""
    folder = Path(tempfile.mkdtemp(prefix="redrive-test-"))
    folder.chmod(0o711)
    yield folder
    left = processes_of(folder)
    for process in left:
        process.kill()
    shutil.rmtree(folder)
    assert not left


@pytest.fixture
def start(state: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start_up(*bodies: str, stop_seconds: float = 5, prepare_seconds: float = 0, port: int | None = None,
                 prefix: tuple[str, ...] = (), ends_with_parent: bool = False) -> Up:
        port = port or free_port()
        with (state / "said").open("wb") as said, (state / "complained").open("wb") as complained:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-c", textwrap.dedent(STAND_IN_UP), str(state), str(port), str(stop_seconds),
                 "yes" if ends_with_parent else "no", str(prepare_seconds), *bodies],
                cwd=ROOT, stdout=said, stderr=complained, preexec_fn=_hear_every_signal)
        started.append(Up(process, state, port))
        return started[-1]

    yield start_up
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()
    wait_until(lambda: not processes_of(state), seconds=30)


def _hear_every_signal() -> None:
    """Tests that run in the background of a shell inherit signals that are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def processes_of(state: Path) -> list[psutil.Process]:
    """Servers and children of this state folder, at any depth."""
    servers = [process for data in state.glob("*") if data.is_dir() for process in servers_in(data)]
    return [*servers, *marked_children(state)]


def wait_until(is_so: Callable[[], object], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.02)


def test_each_step_is_a_line_and_ready_comes_last_with_the_address(start: Callable[..., Up]) -> None:
    up = start(SLEEPS)

    up.wait_until_ready()

    lines = up.said.splitlines()
    assert lines[-1] == f"Redrive is ready: http://127.0.0.1:{up.port}"
    assert [line.split()[0] for line in lines] == ["Private", "Private", "preparing", "Started", "Redrive"]
    assert "preparing True" in lines


def test_its_servers_are_announced_while_it_runs_and_no_longer(start: Callable[..., Up], state: Path) -> None:
    up = start()
    up.wait_until_ready()

    announced = json.loads((state / "urls.json").read_text())
    with psycopg.connect(libpq_url(announced["database_url"])) as connection:
        answer = connection.execute("select 1").fetchone()
    up.process.terminate()
    up.process.wait(120)

    assert (answer, announced["pid"]) == ((1,), up.process.pid)
    assert not (state / "urls.json").exists()


def test_a_child_that_is_killed_is_started_again_with_one_log_line(start: Callable[..., Up]) -> None:
    up = start(SLEEPS)
    up.wait_until_ready()
    first = up.child(SLEEPS)

    first.kill()
    wait_until(lambda: (second := up.child(SLEEPS)) and second.pid != first.pid)

    events = [json.loads(line) for line in up.complained.splitlines()]
    assert [(event["event"], event["child"], event["exit_code"]) for event in events] == [
        ("child died, starting it again", "stand-in-1", -signal.SIGKILL)]


def test_a_private_server_that_is_killed_is_started_again(start: Callable[..., Up], state: Path) -> None:
    up = start()
    up.wait_until_ready()
    url = libpq_url(json.loads((state / "urls.json").read_text())["database_url"])
    os.kill(int((state / "pgdata/postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)

    def answers() -> bool:
        try:
            with psycopg.connect(url) as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    wait_until(lambda: "server died, starting it again" in up.complained)
    wait_until(answers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_ends_with_0_and_leaves_no_process(
    number: signal.Signals, start: Callable[..., Up], state: Path,
) -> None:
    up = start(SLEEPS)
    up.wait_until_ready()

    up.process.send_signal(number)

    assert up.process.wait(120) == 0
    assert not processes_of(state)


def test_killed_it_leaves_no_process_after_five_seconds(start: Callable[..., Up], state: Path) -> None:
    up = start(SLEEPS)
    up.wait_until_ready()
    assert len(processes_of(state)) > 3

    up.process.kill()
    up.process.wait()

    wait_until(lambda: not processes_of(state), seconds=30)


def test_stopped_while_it_prepares_it_ends_with_0_and_leaves_no_process(start: Callable[..., Up], state: Path) -> None:
    up = start(prepare_seconds=600)
    up.wait_until_said("preparing")

    up.process.terminate()

    assert up.process.wait(120) == 0
    assert not processes_of(state)


def test_a_child_that_ignores_the_request_is_killed_in_the_end(start: Callable[..., Up], state: Path) -> None:
    up = start(IGNORES_SIGTERM, stop_seconds=0.5)
    up.wait_until_ready()
    up.wait_until_armed()

    up.process.terminate()

    assert up.process.wait(120) == 0
    assert "child does not stop, killing it" in up.complained
    assert not processes_of(state)


def test_a_second_ctrl_c_does_not_wait_for_running_work(start: Callable[..., Up], state: Path) -> None:
    up = start(IGNORES_SIGTERM, stop_seconds=120)
    up.wait_until_ready()
    up.wait_until_armed()

    up.process.send_signal(signal.SIGINT)
    up.wait_until_said("Stopping")

    def has_ended_when_asked_again() -> bool:
        up.process.send_signal(signal.SIGINT)
        return up.process.poll() is not None

    wait_until(has_ended_when_asked_again)
    assert not processes_of(state)


def test_one_request_that_arrives_twice_still_lets_running_work_end(start: Callable[..., Up], state: Path) -> None:
    up = start(STOPS_WITHIN_A_MOMENT)
    up.wait_until_ready()
    up.wait_until_armed()

    up.process.terminate()
    up.process.terminate()  # make hands on what the whole group got already

    assert up.process.wait(120) == 0
    assert "work is done" in (state / "logs/stand-in-1.log").read_text()


def test_it_ends_with_the_process_that_started_it_when_told_so(start: Callable[..., Up], state: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a process that its parent has ended")
    up = start(SLEEPS, prefix=("sh", "-c", '"$@"; true', "make"), ends_with_parent=True)
    up.wait_until_ready()

    up.process.kill()  # the shell in between, as make would be

    wait_until(lambda: not processes_of(state), seconds=30)


def test_a_second_one_beside_it_is_refused_and_the_first_one_goes_on(start: Callable[..., Up], state: Path) -> None:
    first = start(SLEEPS)
    first.wait_until_ready()
    before = {process.pid for process in processes_of(state)}

    second = start(SLEEPS)

    assert second.process.wait(120) == 2
    assert f"runs already on {state} (process {first.process.pid})" in second.complained
    assert before <= {process.pid for process in processes_of(state)}


def test_a_port_that_is_taken_is_one_line_that_names_the_setting(start: Callable[..., Up], state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        up = start(port=taken.getsockname()[1])

        assert up.process.wait(120) == 2
    assert len(up.complained.splitlines()) == 1
    assert "REDRIVE_PORT" in up.complained
    assert not processes_of(state)


def test_a_child_that_cannot_start_ends_everything_with_its_own_words(start: Callable[..., Up], state: Path) -> None:
    up = start(DIES_AT_ONCE)

    assert up.process.wait(120) == 2
    assert "stand-in-1 ends again and again: no such table" in up.complained
    assert "Redrive is ready" not in up.said
    assert not processes_of(state)


def test_children_left_by_an_earlier_run_are_stopped_and_a_stranger_is_not(start: Callable[..., Up], state: Path) -> None:
    with (subprocess.Popen(["sleep", "600"], env=os.environ | {MARK: str(state)}) as orphan,
          subprocess.Popen(["sleep", "600"], env=os.environ | {MARK: f"{state}-other"}) as stranger):
        up = start()
        up.wait_until_ready()

        assert orphan.poll() is not None
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize(("deaths", "seconds"), [(0, 0), (1, 0.5), (2, 1), (4, 4), (7, LONGEST_DELAY_SECONDS), (5000, 30)])
def test_the_wait_before_a_new_start_doubles_up_to_a_limit(deaths: int, seconds: float) -> None:
    assert delay_seconds(deaths) == seconds


NICE_PARENT = """
    import os, sys
    from pathlib import Path
    from backend.host.children import ChildSpec, Supervisor

    os.nice(4)
    sleeps = (sys.executable, "-c", "import time; time.sleep(600)")
    specs = ChildSpec("plain", sleeps), ChildSpec("yielding", sleeps, niceness=19)
    supervisor = Supervisor(specs, environment=os.environ, folder=Path(), logs=Path(sys.argv[1]))
    supervisor.start_all()
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    print(*(os.getpriority(os.PRIO_PROCESS, child.process.pid) - ours for child in supervisor.children), 19 - ours)
    supervisor.stop_all(5)
"""


def test_whoever_is_started_by_nice_keeps_its_children_as_nice(tmp_path):
    """Only root may be less nice than before: anybody else could not start them at all."""
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(NICE_PARENT), str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=True)

    plain, yielding, most = told.stdout.split()
    assert (plain, yielding) == ("0", most)
