"""GET /covers/{token}.webp: pictures out of the private store, for whoever knows the address. Nothing is ever listed."""

import asyncio
from collections.abc import Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backend.views.covers import PictureUnreachable

log = structlog.get_logger()
# A picture never changes under its address.
HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
AT_ONCE = 8  # reads of the store: a gallery asks for two dozen


def picture_route(read: Callable[[str], bytes]) -> Route:
    """`read` gives the bytes for a token; it raises FileNotFoundError or PictureUnreachable."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def give(request: Request) -> Response:
        try:
            async with turn:
                picture = await asyncio.to_thread(read, request.path_params["token"])
        except FileNotFoundError:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        except PictureUnreachable as exc:
            log.warning("object_store_away", error=str(exc))
            return Response(status_code=503, headers={"Cache-Control": "no-store", "Retry-After": "5"})
        return Response(picture, media_type="image/webp", headers=HEADERS)

    return Route("/covers/{token}.webp", give, methods=["GET"])
