"""`redrive up`: the order of things. Servers, schema, demo, children; then it watches, and at the end it stops them all.

What there is to prepare and to run comes in as `Parts`; tests put stand-ins there.
"""

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from backend.host import web_address
from backend.host.children import ChildSpec, Supervisor
from backend.host.command_servers import settled
from backend.host.errors import HostError
from backend.host.given_servers import check_postgresql, check_redis, place_of
from backend.host.lifelines import tie_to_parent
from backend.host.log_files import last_line, set_large_logs_aside
from backend.host.orphans import MARK
from backend.host.private_servers import PrivateServers
from backend.host.project import ROOT, state_folder
from backend.host.state_folder import UP
from backend.host.stop_signals import Stopped, StopSignals
from backend.i18n import _
from backend.settings import Settings

SLOW_SECONDS = 60.0  # an idle machine takes 10 s; one that took longer than a deadline would be stopped for nothing
WATCH_SECONDS = 0.2
LOG_CHECK_SECONDS = 60.0
DEATHS_BEFORE_GIVING_UP = 3  # only until the first time everything was up

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """`prepare` gets the settings with both servers, whether the database is private, and where to say its steps."""

    prepare: Callable[[Settings, bool, Callable[[str], None]], None]
    children: Callable[[Settings], tuple[ChildSpec, ...]]


def run(settings: Settings, parts: Parts, *, say: Callable[[str], None], ends_with_parent: bool = False) -> None:
    """Run everything until Ctrl-C, SIGTERM or a closed terminal. Raises HostError when something does not start.

    `say` gets one line for each step. Main thread only.
    """
    if ends_with_parent:
        tie_to_parent(signal.SIGTERM)
    web_address.require_loopback(settings.host)
    with StopSignals() as signals:
        try:
            _run_until_stopped(settings, parts, say=say, signals=signals)
        except Stopped:
            say(_("Redrive has stopped."))
        finally:
            signals.disarm()


def _run_until_stopped(settings: Settings, parts: Parts, *, say: Callable[[str], None], signals: StopSignals) -> None:
    given = _check_given(settings)
    with PrivateServers(state_folder(settings), with_postgres=not settings.database_url, with_valkey=not settings.redis_url,
                        holder=UP) as servers:
        web_address.require_free_port(settings.host, settings.port)
        for line in given:
            say(line)
        whole = settled(settings, database_url=servers.database_url, redis_url=servers.redis_url)
        _say_private(servers, say)
        parts.prepare(whole, bool(servers.database_url), say)
        servers.state.announce(database_url=servers.database_url or None, redis_url=servers.redis_url or None)
        supervisor = Supervisor(
            parts.children(whole), environment=_children_environment(whole), folder=ROOT, logs=servers.state.logs)
        try:
            supervisor.start_all()
            say(_("Started {children} (logs in {folder})").format(
                children=", ".join(child.spec.name for child in supervisor.children), folder=servers.state.logs))
            _wait_until_up(whole, supervisor, servers, say)
            say(_("Redrive is ready: {address}").format(address=web_address.address(whole.host, whole.port)))
            _watch(supervisor, servers)
        except Stopped:
            say(_("Stopping ... (once more to stop without waiting for running work)"))
            raise
        finally:
            signals.disarm()
            supervisor.stop_all(whole.stop_seconds, is_hurried=lambda: signals.is_urgent)


def _check_given(settings: Settings) -> tuple[str, ...]:
    lines = []
    for name, url, check, server in (("DATABASE_URL", settings.database_url, check_postgresql, "PostgreSQL"),
                                     ("REDIS_URL", settings.redis_url, check_redis, "Redis")):
        if url:
            version = check(url.get_secret_value())
            lines.append(_("{place} answers: {version} (given by {name})").format(
                place=place_of(url.get_secret_value(), server), version=version, name=name))
    return tuple(lines)


def _say_private(servers: PrivateServers, say: Callable[[str], None]) -> None:
    for name, url, home in (("PostgreSQL", servers.database_url, servers.postgres_home),
                            (_("Redis-compatible server"), servers.redis_url, servers.state.path)):
        if url:
            say(_("Private {name} is ready (data in {folder})").format(name=name, folder=home))


def _children_environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "REDRIVE_STATE_DIR": str(settings.state_dir),
        "PYTHONUNBUFFERED": "1",
        MARK: str(settings.state_dir),
    }


def _wait_until_up(settings: Settings, supervisor: Supervisor, servers: PrivateServers, say: Callable[[str], None]) -> None:
    """Return when the web process answers and every child runs, however long that takes. Raises HostError when one keeps dying."""
    slow_at = time.monotonic() + SLOW_SECONDS
    while True:
        supervisor.watch()
        servers.watch()
        for child in supervisor.children:
            if child.deaths >= DEATHS_BEFORE_GIVING_UP:
                raise HostError(_("{child} ends again and again: {reason} (whole log: {path})").format(
                    child=child.spec.name, reason=last_line(child.log_path), path=child.log_path))
        if all(child.is_settled for child in supervisor.children) and web_address.is_healthy(settings.host, settings.port):
            return
        if time.monotonic() >= slow_at:
            slow_at = math.inf
            say(_("Redrive is not up after {seconds:.0f} s; it is waited for. What takes so long is in the logs in {folder}").format(
                seconds=SLOW_SECONDS, folder=servers.state.logs))
        time.sleep(0.05)


def _watch(supervisor: Supervisor, servers: PrivateServers) -> None:
    """Start again what dies, for ever; a signal ends it."""
    next_log_check_at = time.monotonic() + LOG_CHECK_SECONDS
    while True:
        supervisor.watch()
        servers.watch()
        if time.monotonic() >= next_log_check_at:
            set_large_logs_aside(servers.state.logs)
            next_log_check_at = time.monotonic() + LOG_CHECK_SECONDS
        time.sleep(WATCH_SECONDS)
