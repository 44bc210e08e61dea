"""GET /covers/{token}.webp: pictures out of the private store, for whoever knows the address. Nothing is ever listed."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backend.views.covers import PictureUnreachable

log = structlog.get_logger()
# A picture never changes under its address.
HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
AT_ONCE = 8  # reads of the store: a gallery asks for two dozen
PATIENCE_SECONDS = 15.0  # for a turn and the read together


def picture_route(read: Callable[[str], bytes], *, patience_seconds: float = PATIENCE_SECONDS) -> Route:
    """`read` gives the bytes for a token; it raises FileNotFoundError or PictureUnreachable."""
    readers = ThreadPoolExecutor(AT_ONCE, "pictures")  # of its own: a store that hangs holds up nothing else

    async def give(request: Request) -> Response:
        token = request.path_params["token"]
        try:
            async with asyncio.timeout(patience_seconds):
                picture = await asyncio.get_running_loop().run_in_executor(readers, read, token)
        except FileNotFoundError:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        except (PictureUnreachable, TimeoutError) as exc:
            log.warning("object_store_away", error=str(exc) or f"no answer within {patience_seconds:g} s")
            return Response(status_code=503, headers={"Cache-Control": "no-store", "Retry-After": "5"})
        return Response(picture, media_type="image/webp", headers=HEADERS)

    return Route("/covers/{token}.webp", give, methods=["GET"])
