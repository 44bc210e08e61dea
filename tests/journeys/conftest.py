"""The whole stack for a journey: `redrive up` on private servers with the demo platform, a model server on loopback, a browser."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from backend.host.given_servers import libpq_url
from tests.journeys.browser import FLAGS, NO_BROWSER, executable
from tests.model_server import ModelServer
from tests.ports import free_port
from tests.processes import ROOT, wait_for

ARTIFACTS = ROOT / "artifacts"
READY_SECONDS = 180
PATIENCE = 120_000  # milliseconds, of each step and each expectation: one that is met in time costs nothing
BULK, AUTOMATIC = {"REDRIVE_WORKERS_BULK": "1"}, {"REDRIVE_WORKERS_AUTOMATIC": "1"}  # @pytest.mark.set_up(**BULK): large retries


@dataclass(frozen=True)
class Stack:
    address: str
    state_dir: Path
    process: subprocess.Popen
    model: ModelServer
    environment: dict[str, str]

    @property
    def urls(self) -> dict[str, Any]:
        return json.loads((self.state_dir / "urls.json").read_text())

    @property
    def database_url(self) -> str:
        return next(value for name, value in self.urls.items() if name.lower() == "database_url")

    def query(self, statement: str, *parameters: object) -> list[tuple]:
        """Ask the database itself, past the dashboard."""
        with psycopg.connect(libpq_url(self.database_url), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all journeys, and no longer: Playwright's event loop would stand in the way of other tests.

    Without any browser the journeys skip, and fail where CI=true.
    """
    with sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        except Error as exc:
            if os.environ.get("CI") == "true":
                pytest.fail(NO_BROWSER)
            pytest.skip(f"{NO_BROWSER} ({str(exc).splitlines()[0]})")
        expect.set_options(timeout=PATIENCE)
        yield running
        running.close()


@pytest.fixture
def person(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[], Page]]:
    """Makes a page in a context of its own for each call: another person at another machine."""
    contexts: list[BrowserContext] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        return page

    yield open_page
    for number, context in enumerate(contexts):
        for page in context.pages:
            folder = ARTIFACTS / "journeys"
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{request.node.name}-{number}.png", full_page=True)
        context.close()


@pytest.fixture
def page(person) -> Page:
    return person()


@pytest.fixture
def stack(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The demo platform on `redrive up`. Mark with @pytest.mark.model(latency_seconds=..., ...) to shape the model server,
    with @pytest.mark.set_up(REDRIVE_ARMED_SECONDS="5") for other settings."""
    marker, settings = (request.node.get_closest_marker(name) for name in ("model", "set_up"))
    with _started(tmp_path, marker.kwargs if marker else {}, settings.kwargs if settings else {}) as running:
        yield running


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with all its workers for the journeys of a module that leave each other's content alone: it takes 18 s of a core to
    start. The model server may be changed while it serves, and has the requests of all of them."""
    with _started(tmp_path_factory.mktemp("shared"), {}, BULK | AUTOMATIC) as running:
        yield running


@contextmanager
def _started(folder: Path, of_model: dict[str, Any], more: dict[str, str]) -> Iterator[Stack]:
    state_dir = folder / "state"
    with ModelServer(**of_model) as model:
        port = free_port()
        environment = _environment(state_dir, port, model) | more
        with _up(f"http://127.0.0.1:{port}", state_dir, model, environment) as running:
            wait_for(lambda: not running.query("select 1 from ops.dirty limit 1"), what="the detector to have looked")
            yield running


@contextmanager
def restarted(stack: Stack) -> Iterator[Stack]:
    """Everything is stopped and started again, with the same data: servers, workers, maintenance, web."""
    _stop(stack.process)
    with _up(stack.address, stack.state_dir, stack.model, stack.environment) as running:
        yield running


@contextmanager
def _up(address: str, state_dir: Path, model: ModelServer, environment: dict[str, str]) -> Iterator[Stack]:
    log = state_dir.parent / "up.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli.main", "up"], cwd=ROOT, env=environment, stdout=log.open("ab"), stderr=subprocess.STDOUT)
    running = Stack(address, state_dir, process, model, environment)
    try:
        wait_for(lambda: process.poll() is not None or running.is_healthy(), seconds=READY_SECONDS, what="redrive up to answer")
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        _stop(process)


def _environment(state_dir: Path, port: int, model: ModelServer) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("REDRIVE_", "DATABASE_", "REDIS_"))}
    return {
        **own, "PYTHONPATH": str(ROOT), "REDRIVE_STATE_DIR": str(state_dir), "REDRIVE_PORT": str(port),
        "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "journey-key", "REDRIVE_MODEL": "loopback-model",
        "REDRIVE_LEASE_SECONDS": "60", "REDRIVE_HEARTBEAT_SECONDS": "1", "REDRIVE_RESEND_SECONDS": "3", "REDRIVE_STOP_SECONDS": "5",
        "REDRIVE_ARMED_SECONDS": "0", "REDRIVE_MODEL_TIMEOUT_SECONDS": "3600",  # a test may hold up the model
        # Starting a worker takes 3 s of a core: the one of small retries is always there, the others where a journey has work for them.
        "REDRIVE_WORKERS_INTERACTIVE": "1", "REDRIVE_WORKERS_BULK": "0", "REDRIVE_WORKERS_AUTOMATIC": "0"}


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
