"""What the HTTP clients of the workers share, read once for a worker and all its work-horses."""

import asyncio
import ssl
from functools import cache

import anyio.lowlevel
import httpx2


@cache
def trusted() -> ssl.SSLContext:
    """Whom the clients trust. It takes 50 ms, which each chunk would spend within its event loop, before its first call."""
    return httpx2.create_ssl_context()


def read_ahead() -> None:
    """Before RQ forks: the certificates, and what anyio imports when a loop of asyncio first asks it for something (20 ms).

    Raises OSError when the certificates cannot be read.
    """
    trusted()
    asyncio.run(anyio.lowlevel.checkpoint())
