"""The circuit breaker of a model's provider: an outage holds items back, it does not burn their attempts.

Asked before an item is begun and before anything is sent; told how each answer went. Its state is in PostgreSQL, so that all
workers, the dispatcher and the pages see the same one.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from backend.actions.settling import storable
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import BreakerState
from backend.redrive import Redrive
from backend.storage import breakers
from backend.storage.breakers import Breaker

# What another text would meet too. A refusal, a cut or a malformed answer is of one text alone.
OUTAGE_KINDS = frozenset({
    ErrorKind.MODEL_UNREACHABLE, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR,
    ErrorKind.MODEL_REJECTED_KEY,
})


class Flow(StrEnum):
    """What the breaker lets through."""

    FREE = "free"    # everything
    PROBE = "probe"  # one item, to see whether the model is back
    HELD = "held"


def current(redrive: Redrive, connection: Connection) -> Breaker:
    return breakers.find_breaker(connection, redrive.settings.provider)


def flow(redrive: Redrive, breaker: Breaker, now: datetime) -> Flow:
    """What may be sent now."""
    if breaker.state is BreakerState.CLOSED:
        return Flow.FREE
    if breaker.state is BreakerState.OPEN and breaker.retry_at is not None and breaker.retry_at <= now:
        return Flow.PROBE
    if breaker.state is BreakerState.HALF_OPEN and breaker.probe_at is not None and breaker.probe_at < _lost_probes(redrive, now):
        return Flow.PROBE
    return Flow.HELD


def begin_probe(redrive: Redrive, connection: Connection, now: datetime) -> bool:
    """The caller asks the model to see whether it is back. False: somebody else does already, or it is not time."""
    return breakers.begin_probe(connection, redrive.settings.provider, now, silent_since=_lost_probes(redrive, now))


def _lost_probes(redrive: Redrive, now: datetime) -> datetime:
    """A probe from before this was lost with its worker: it would have had its answer, or its time-outs, by now."""
    settings = redrive.settings
    return now - timedelta(seconds=settings.model_timeout_seconds * (settings.model_retries + 1) + settings.lease_seconds)


def note_success(redrive: Redrive) -> bool:
    """The model answered. True: the breaker had been open, and is closed now."""
    with redrive.engine.begin() as connection:
        return breakers.note_success(connection, redrive.settings.provider, utc_now())


def note_failure(redrive: Redrive, error: ItemError) -> bool:
    """The model failed. True: nobody may ask it now, so the item is to be given back and not failed."""
    settings = redrive.settings
    with redrive.engine.begin() as connection:
        state = breakers.note_failure(
            connection, settings.provider, error.kind, storable(error.message), utc_now(),
            most_failures=settings.breaker_failures, pause_seconds=settings.breaker_seconds)
    return state is not BreakerState.CLOSED


def note_aborted(redrive: Redrive) -> None:
    """What was being written was stopped before its answer: if it was the probe, the next one may go."""
    with redrive.engine.begin() as connection:
        breakers.release_probe(connection, redrive.settings.provider, utc_now())
