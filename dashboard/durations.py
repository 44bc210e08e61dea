"""Times and spans in words, in the time zone of the browser."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from backend.clock import utc_now
from backend.i18n import _

_STEPS = ((86_400, _("{count} d")), (3_600, _("{count} h")), (60, _("{count} min")))


def span(seconds: float) -> str:
    """A span in its largest unit: "3 d", "5 h", "12 min", "40 s"."""
    for size, words in _STEPS:
        if seconds >= size:
            return words.format(count=round(seconds / size))
    return _("{count} s").format(count=max(0, round(seconds)))


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago: "3 d ago"; "unknown" when nobody recorded it."""
    if moment is None:
        return _("unknown")
    return _("{span} ago").format(span=span(((now or utc_now()) - moment).total_seconds()))


def local(moment: datetime) -> datetime:
    return moment.astimezone(_zone())


def clock_time(moment: datetime) -> str:
    """"14:03:21 CET", with the date when it is another day."""
    there = local(moment)
    day = "" if there.date() == local(utc_now()).date() else f"{there:%Y-%m-%d} "
    return f"{day}{there:%H:%M:%S} {there:%Z}".strip()


def short_time(moment: datetime) -> str:
    """"14:03:21", with month and day when it is another day."""
    there = local(moment)
    return f"{there:%H:%M:%S}" if there.date() == local(utc_now()).date() else f"{there:%b %d %H:%M:%S}"


def zone_name() -> str:
    """That of the browser."""
    return st.context.timezone or "UTC"


def _zone() -> tzinfo:
    try:
        return ZoneInfo(zone_name())
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
