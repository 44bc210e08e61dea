"""What others recorded, made fit to be kept: texts, times, and whether a fault lies in the data or elsewhere."""

import re
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy.exc import DataError, DBAPIError

_At = TypeVar("_At", datetime, datetime | None)
# json columns and Python take both; text, jsonb and UTF-8 take neither.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# What may be raised by reading, judging or keeping odd data; is_of_the_data says whether it was.
FAULTS = (DBAPIError, ValueError, ArithmeticError, RecursionError)
# By SQLSTATE: a key twice in one statement, odd values, broken constraints, and what is too long for an index.
_DATA_CLASSES = ("21", "22", "23", "54")


def storable(words: str) -> str:
    """The text with U+FFFD in place of NUL and of half a surrogate pair."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", words)


def aware(at: _At) -> _At:
    """The time; one without a zone, as some platforms keep them, is UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def parse_time(value: object) -> datetime | None:
    """A time from JSON, in UTC. None: it is none, or one that no calendar holds."""
    try:
        return aware(datetime.fromisoformat(value)).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def is_of_the_data(fault: BaseException) -> bool:
    """True when another owner's data would not have raised it; False for a lost connection, a timeout and the like."""
    if isinstance(fault, DBAPIError):
        return isinstance(fault, DataError) or (getattr(fault.orig, "sqlstate", None) or "")[:2] in _DATA_CLASSES
    return isinstance(fault, FAULTS)


def in_one_line(fault: BaseException) -> str:
    """What the fault says, without the statement."""
    words = str(fault.orig if isinstance(fault, DBAPIError) else fault).strip()
    return storable(words.splitlines()[0][:300]) if words else type(fault).__name__
