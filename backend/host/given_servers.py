"""The servers that DATABASE_URL and REDIS_URL name: do they answer, and are they of a version we know?

Nothing here ever starts or falls back to a private server: that would hide the data people look for.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.content.secrets import without_secrets
from backend.host.errors import HostError
from backend.i18n import _

ANSWER_SECONDS = 5
POSTGRESQL_MAJORS = range(15, 19)
REDIS_MAJOR = 7
VALKEY_VERSIONS = ((7, 2), (10, 0))  # from, and below
DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
REDIS_SCHEMES = ("redis", "rediss", "unix")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})|\s")


def check_postgresql(database_url: str) -> str:
    """What answers there, e.g. "PostgreSQL 18.6". Raises HostError saying what to do when none or a wrong one does."""
    if not _is_well_formed(database_url, DATABASE_SCHEMES):
        raise HostError(_("DATABASE_URL is not the address of a PostgreSQL database. Write "
                          "postgresql://user:password@host:5432/database, with signs like / @ % in the password as %2F %40 %25."))
    try:
        with psycopg.connect(libpq_url(database_url), connect_timeout=ANSWER_SECONDS, autocommit=True) as connection:
            number = connection.info.server_version
    except (psycopg.Error, UnicodeError) as exc:
        raise HostError(_("{place} (DATABASE_URL) does not let us in: {reason}. Start or correct it; "
                          "without DATABASE_URL Redrive uses a PostgreSQL of its own.").format(
                              place=place_of(database_url, "PostgreSQL"), reason=_reason(exc))) from None
    return known_postgresql(number, place_of(database_url, "PostgreSQL"))


def known_postgresql(version_number: int, place: str) -> str:
    """The name of that version, e.g. of 180006 "PostgreSQL 18.6". Raises HostError when Redrive does not work with it."""
    name = f"PostgreSQL {version_number // 10000}.{version_number % 10000}"
    if version_number // 10000 not in POSTGRESQL_MAJORS:
        raise HostError(_("{place} (DATABASE_URL) is {name}; Redrive works with PostgreSQL 15 to 18. "
                          "Give it one of those, or unset DATABASE_URL.").format(place=place, name=name))
    return name


def check_redis(redis_url: str) -> str:
    """What answers there, e.g. "Valkey 9.1.2". Raises HostError saying what to do when none or a wrong one does."""
    if not _is_well_formed(redis_url, REDIS_SCHEMES):
        raise HostError(_("REDIS_URL is not the address of a Redis server. Write redis://:password@host:6379/0, rediss:// or "
                          "unix://, with signs like / @ % in the password as %2F %40 %25."))
    try:
        with redis.Redis.from_url(redis_url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS,
                                  retry=Retry(NoBackoff(), 0)) as client:
            said = client.info("server")
    except (redis.RedisError, ValueError, UnicodeError, OSError) as exc:
        raise HostError(_("{place} (REDIS_URL) does not let us in: {reason}. Start or correct it; "
                          "without REDIS_URL Redrive uses a Valkey of its own.").format(
                              place=place_of(redis_url, "Redis"), reason=_reason(exc))) from None
    return known_redis(said, place_of(redis_url, "Redis"))


def known_redis(said: Mapping[str, object], place: str) -> str:
    """The name of the version that INFO tells, e.g. "Valkey 9.1.2". Raises HostError when Redrive does not work with it."""
    is_valkey = "valkey_version" in said
    version = str(said["valkey_version"] if is_valkey else said.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    is_known = VALKEY_VERSIONS[0] <= numbers < VALKEY_VERSIONS[1] if is_valkey else numbers[:1] == (REDIS_MAJOR,)
    name = f"{'Valkey' if is_valkey else 'Redis'} {version}"
    if not is_known:
        raise HostError(_("{place} (REDIS_URL) is {name}; Redrive works with Redis 7 and with Valkey 7.2 to 9. "
                          "Give it one of those, or unset REDIS_URL.").format(place=place, name=name))
    return name


def libpq_url(database_url: str) -> str:
    """The URL as libpq reads it: without the name of a Python driver."""
    return f"postgresql://{database_url.partition('://')[2]}"


def place_of(url: str, server: str) -> str:
    """The server and where it is, without user and password: "PostgreSQL at db.example:5432/redrive"."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # a port that is no number
        return server
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]  # a socket's folder stands in the query
    where = f"{host}{port}{parts.path}".rstrip("/")
    return _("{server} at {where}").format(server=server, where=where) if where else server


def _is_well_formed(url: str, schemes: tuple[str, ...]) -> bool:
    """Checked by us: a driver's complaint about a broken URL quotes it, and so part of the password."""
    try:
        parts = urlsplit(url)
        has_port_number = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_redis = parts.scheme in ("redis", "rediss")
    has_database_number = not is_redis or parts.path.strip("/") == "" or parts.path.strip("/").isdigit()
    return parts.scheme in schemes and has_port_number and has_database_number and not _BROKEN_ESCAPE.search(url)


def _reason(exc: BaseException) -> str:
    """The part of a driver's message that says why, on one line and without secrets."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    text = next((line for line in lines if "FATAL:" in line), lines[0] if lines else type(exc).__name__)
    for start in ("FATAL:", "failed:"):
        text = text.rpartition(start)[2]
    return without_secrets(text.strip().rstrip(".")) or type(exc).__name__
