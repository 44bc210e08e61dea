"""Whom the clients of the workers trust."""

import ssl
from functools import cache

import httpx2


@cache
def trusted() -> ssl.SSLContext:
    """Read once for a process and its forks: it takes 50 ms, which each chunk would spend within its event loop, before its first call."""
    return httpx2.create_ssl_context()
