"""GET /chapters/{text_id}/events?token=...&after=...: the events of one chapter, or draft, that is being written, as an event stream.

Each message is {"kind", ...} with its event id: summary, content, restart, complete, error as in views.chapter_stream, and
"unavailable" when PostgreSQL cannot be asked. It ends with complete or error. No watcher holds a thread.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from backend.i18n import _
from backend.views.availability import DATABASE_ERRORS
from backend.views.chapter_stream import StreamEvent
from dashboard.stream_tokens import TokenRefused, check_token

log = structlog.get_logger()
Watch = Callable[[str, str | None], AsyncGenerator[StreamEvent, None]]  # text_id, event id to go on after

MOST_WATCHERS = 200           # of this process: each holds one connection to Redis
HEARTBEAT_SECONDS = 10.0      # a silent stream shows that it lives, and learns that nobody listens any more
CANCEL_SECONDS = 0.1          # a wait for the next event ends as soon as it is cancelled
RETRY_MILLISECONDS = 1500     # the browser comes back after so long
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}


class ChapterEvents:
    """`watch` gives the events; `stop` ends every stream, because the process ends."""

    def __init__(self, watch: Watch, *, most: int = MOST_WATCHERS, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._watch = watch
        self._most = most
        self._heartbeat_seconds = heartbeat_seconds
        self._stopping = asyncio.Event()
        self._count = 0

    @property
    def route(self) -> Route:
        return Route("/chapters/{text_id}/events", self._give, methods=["GET"])

    def stop(self) -> None:
        self._stopping.set()

    async def _give(self, request: Request) -> Response:
        text_id, asked = request.path_params["text_id"], QueryParams(request.url.query)
        try:
            check_token(text_id, asked.get("token", ""))
        except TokenRefused:
            return JSONResponse({"error": "token"}, status_code=403, headers=HEADERS)
        if self._count >= self._most or self._stopping.is_set():
            log.warning("too_many_watchers", count=self._count)
            return JSONResponse({"error": "busy"}, status_code=503, headers={**HEADERS, "Retry-After": "5"})
        after = request.headers.get("last-event-id") or asked.get("after") or None
        return StreamingResponse(self._counted(text_id, after), media_type="text/event-stream", headers=HEADERS)

    async def _counted(self, text_id: str, after: str | None) -> AsyncIterator[bytes]:
        self._count += 1
        try:
            async with aclosing(self._messages(text_id, after)) as messages:
                async for message in messages:
                    yield message
        finally:
            self._count -= 1

    async def _messages(self, text_id: str, after: str | None) -> AsyncGenerator[bytes, None]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            async with aclosing(self._watch(text_id, after)) as events, aclosing(self._beating(events, stopping)) as found:
                async for event in found:
                    yield b": alive\n\n" if event is None else _message(event.event_id, event.kind, event.data)
        except DATABASE_ERRORS as exc:
            log.warning("chapter_events_met_outage", error=str(exc).partition("\n")[0])
            yield _message("", "unavailable", {"message": _("PostgreSQL does not answer. This goes on by itself when it does.")})
        finally:
            stopping.cancel()

    async def _beating(
        self, events: AsyncGenerator[StreamEvent, None], stopping: asyncio.Future,
    ) -> AsyncGenerator[StreamEvent | None, None]:
        """The events, and None after each silence. Ends with the process."""
        coming: asyncio.Future[StreamEvent] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(events))
                await asyncio.wait({coming, stopping}, timeout=self._heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    return
                if not coming.done():
                    yield None
                    continue
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                yield event
        finally:
            while coming is not None and not coming.done():
                coming.cancel()  # again and again: one that meets Redis being connected to is lost there
                await asyncio.wait({coming}, timeout=CANCEL_SECONDS)


def _message(event_id: str, kind: str, data: dict[str, object]) -> bytes:
    """Kind and data in one message: an event named "error" could not be told from a lost connection."""
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}data: {json.dumps({'kind': kind, **data}, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
