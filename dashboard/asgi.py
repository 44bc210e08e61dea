"""The web process: Streamlit's pages and our own routes in one ASGI app. Start it with `redrive web`."""

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import settings as settings_module
from backend.bootstrap import connect
from backend.host.errors import HostError
from backend.host.health import OK, Health
from backend.host.web_address import require_loopback
from backend.logs import configure_logging
from backend.redrive import Redrive
from backend.views.chapter_stream import StreamEvent, chapter_stream
from backend.views.covers import picture as read_picture
from dashboard.chapter_route import ChapterEvents
from dashboard.picture_route import picture_route

# Streamlit's own collection after every run takes 95 % of the CPU: it is off, and this is in its place.
COLLECT_SECONDS = 15.0

settings = settings_module.load()
configure_logging(settings)
health = Health(settings)


@contextlib.asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Keep garbage collection cheap and rare for as long as the process serves; end event streams when it is told to stop."""
    gc.collect()
    gc.freeze()
    _when_told_to_stop(chapter_events.stop)
    collecting = asyncio.create_task(_collect_garbage())
    try:
        yield
    finally:
        collecting.cancel()


def _when_told_to_stop(act: Callable[[], None]) -> None:
    """uvicorn waits for open answers before it ends, and a stream stays open: so it is ended first."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(number, lambda *args, before=before: (loop.call_soon_threadsafe(act), before(*args)))


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        gc.collect()


async def healthz(_request: Request) -> JSONResponse:
    """200 when PostgreSQL and Redis answer, else 503; the body says which one is down. Within 2 s."""
    verdicts = await health.ask()
    is_well = all(verdict == OK for verdict in verdicts.values())
    return JSONResponse(verdicts, status_code=200 if is_well else 503, headers={"Cache-Control": "no-store"})


@cache
def _redrive() -> Redrive:
    return connect(settings, pool_size=settings_module.ROUTE_CONNECTIONS)


def _read_picture(token: str) -> bytes:
    return read_picture(_redrive(), token)


def _watch(text_id: str, after: str | None) -> AsyncGenerator[StreamEvent, None]:
    return chapter_stream(_redrive(), text_id, after)


def refuse_open_address(host: str) -> None:
    """End the process with 2 when it would answer to other machines, however it was started."""
    try:
        require_loopback(host)
    except HostError as exc:
        print(exc, file=sys.stderr, flush=True)
        raise SystemExit(2) from exc


class ContentPolicy:
    """Content from models is untrusted: the browser is told to fetch pictures and fonts from this process alone."""

    HEADER = (b"content-security-policy", b"img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self.HEADER]
            await send(message)

        await self._app(scope, receive, send_with_policy if scope["type"] == "http" else send)


chapter_events = ChapterEvents(_watch)
refuse_open_address(st.get_option("server.address") or "")
app = st.App(
    Path(__file__).with_name("app.py"),
    lifespan=lifespan,
    routes=[Route("/healthz", healthz), picture_route(_read_picture), chapter_events.route],
    # Streamlit asks allowedHosts for its websocket only; our own routes need the same guard against rebound names.
    middleware=[
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"], www_redirect=False),
        Middleware(ContentPolicy),
    ],
)
