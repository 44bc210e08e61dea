"""Fetches what a provider points to: streamed up to a limit, over http(s) only, never from inside our own network.

A provider may answer with an address. Whoever controls that answer must not get to read what only this host can reach: so
addresses that are not public are refused, unless they are the provider's own; the address that was looked up is the one
that is connected to, and every redirect is looked at in the same way.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx2

from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import check_bytes
from backend.i18n import _
from workers.generators.endpoint import Endpoint
from workers.generators.transport import trusted

_MOST_REDIRECTS = 3
_MOST_WORDS_BYTES = 64 * 1024  # of an error's own words
# Networks of IPv6 whose last 32 bits are an address of IPv4: mapped, compatible (of old), translated, NAT64.
_CARRYING_LAST = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
_NETWORK_OWN_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # where the address stands in it is the network's own affair


class Fetching:
    """Lives in one event loop, and holds connections until `close`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._opened: httpx2.AsyncClient | None = None  # an answer in base64 needs none

    @property
    def _client(self) -> httpx2.AsyncClient:
        if self._opened is None:
            seconds = self._endpoint.timeout_seconds
            self._opened = httpx2.AsyncClient(
                verify=trusted(), timeout=httpx2.Timeout(seconds, connect=min(10.0, seconds)), follow_redirects=False)
        return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def fetch(self, url: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """What is found there, at most pictures.MOST_BYTES. Raises ItemError.

        The headers go to the first address only: a key must not follow a redirect.
        """
        at = self._parsed(url)
        with self._explaining():
            async with asyncio.timeout(self._endpoint.timeout_seconds):  # a byte now and then is no progress
                for _number in range(_MOST_REDIRECTS + 1):
                    async with self._asked(at, headers or {}) as answer:
                        if not answer.has_redirect_location:
                            return await self._read(answer)
                        at, headers = self._parsed(str(at.join(answer.headers["location"]))), None
        raise self._endpoint.error(ErrorKind.CONTENT_NO_PICTURE, _("The picture is redirected too often."))

    def _parsed(self, url: str) -> httpx2.URL:
        try:
            at = httpx2.URL(url)
        except (httpx2.InvalidURL, TypeError, ValueError) as exc:
            raise self._refused(url) from exc
        if at.scheme not in ("http", "https") or not at.host:
            raise self._refused(url)
        return at

    @contextlib.asynccontextmanager
    async def _asked(self, at: httpx2.URL, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        sent, extensions = {"accept": "*/*", **headers}, {}
        if not self._is_own(at):
            address = await self._public_address(at)
            sent["host"], extensions["sni_hostname"] = at.netloc.decode("ascii"), at.host
            at = at.copy_with(host=address, userinfo=b"")
        async with self._client.stream("GET", at, headers=sent, extensions=extensions) as answer:
            yield answer

    def _is_own(self, at: httpx2.URL) -> bool:
        own = httpx2.URL(self._endpoint.base_url)
        return (at.scheme, at.host, at.port) == (own.scheme, own.host, own.port)

    async def _public_address(self, at: httpx2.URL) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(at.host, at.port or 0, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise self._endpoint.error(
                ErrorKind.MODEL_UNREACHABLE, _("{address} cannot be reached.").format(address=at.host), str(exc)) from exc
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise self._refused(str(at))
        return addresses[0]

    async def _read(self, answer: httpx2.Response) -> bytes:
        if answer.is_error:
            words = await _first_bytes(answer, _MOST_WORDS_BYTES)
            raise self._endpoint.explain_status(
                answer.status_code, words.decode("utf-8", "replace"), retry_after=answer.headers.get("retry-after"))
        length = answer.headers.get("content-length", "")
        check_bytes(int(length) if length.isdigit() else 0)
        read = bytearray()
        async for piece in answer.aiter_bytes():
            read += piece
            check_bytes(len(read))
        return bytes(read)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, httpx2.TimeoutException) as exc:
            raise self._endpoint.error(ErrorKind.MODEL_TIMEOUT, _("{address} gave no picture within {seconds:g} seconds.").format(
                address=self._endpoint.address, seconds=self._endpoint.timeout_seconds)) from exc
        except (httpx2.ConnectError, httpx2.ProxyError) as exc:
            sentence = _("{address} cannot be reached.")
            raise self._endpoint.error(ErrorKind.MODEL_UNREACHABLE, sentence.format(address=self._endpoint.address), str(exc)) from exc
        except httpx2.HTTPError as exc:
            sentence = _("The connection to {address} broke before the answer was complete.")
            raise self._endpoint.error(ErrorKind.MODEL_CUT_STREAM, sentence.format(address=self._endpoint.address), str(exc)) from exc

    def _refused(self, url: str) -> ItemError:
        return self._endpoint.error(
            ErrorKind.CONTENT_NO_PICTURE, _("The address of the picture is not a public http(s) address, so it was not opened:"), url)


def is_public(address: str) -> bool:
    """An IPv6 address that carries one of IPv4 is as public as that one: a gateway on its way turns the one into the other."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_site_local or found in _NETWORK_OWN_NAT64:
            return False
        carried = _carried(found)
        if carried:
            return all(map(_is_public, carried))
    return _is_public(found)


def _is_public(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return found.is_global and not found.is_multicast


def _carried(found: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    if found.teredo:
        return found.teredo  # its server and its client
    if found.sixtofour:
        return (found.sixtofour,)
    if any(found in network for network in _CARRYING_LAST):
        return (ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF),)
    return ()


async def _first_bytes(answer: httpx2.Response, most: int) -> bytes:
    read = bytearray()
    async for piece in answer.aiter_bytes():
        read += piece
        if len(read) >= most:
            break
    return bytes(read[:most])
