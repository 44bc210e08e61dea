"""The circuit breaker of a model's provider: an outage holds items back, it does not burn their attempts.

Asked before an item is begun and before anything is sent; told how each answer went. Its state is in PostgreSQL, so that all
workers, the dispatcher and the pages see the same one.
"""

import time
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from backend.actions.settling import storable
from backend.clock import utc_now
from backend.content.errors import ItemError
from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.status import BreakerState
from backend.redrive import Redrive
from backend.storage import breakers
from backend.storage.breakers import COVERS, Breaker


def provider_of(redrive: Redrive, kind: ContentKind) -> str:
    """Who makes that kind: an outage of pictures must not hold back texts, nor the other way round."""
    return COVERS if kind is ContentKind.COVER else redrive.settings.provider


def providers(redrive: Redrive) -> dict[str, tuple[ContentKind, ...]]:
    """Each provider with the kinds that it makes."""
    found: dict[str, tuple[ContentKind, ...]] = {}
    for kind in (*CONCEPT_KINDS, ContentKind.CHAPTER, ContentKind.COVER):
        name = provider_of(redrive, kind)
        found[name] = (*found.get(name, ()), kind)
    return found


def by_kinds(redrive: Redrive, connection: Connection) -> dict[tuple[ContentKind, ...], Breaker]:
    """The breaker of each provider, by the kinds that it makes."""
    return {kinds: breakers.find_breaker(connection, name) for name, kinds in providers(redrive).items()}


def flows(redrive: Redrive, connection: Connection, now: datetime) -> dict[tuple[ContentKind, ...], "Flow"]:
    """What may be sent now of the kinds of each provider."""
    return {kinds: flow(redrive, found, now) for kinds, found in by_kinds(redrive, connection).items()}


class Flow(StrEnum):
    """What the breaker lets through."""

    FREE = "free"    # everything
    PROBE = "probe"  # one item, to see whether the model is back
    HELD = "held"


def current(redrive: Redrive, connection: Connection, kind: ContentKind = ContentKind.TUTORIAL) -> Breaker:
    return breakers.find_breaker(connection, provider_of(redrive, kind))


def flow(redrive: Redrive, breaker: Breaker, now: datetime) -> Flow:
    """What may be sent now."""
    if breaker.state is BreakerState.CLOSED:
        return Flow.FREE
    if breaker.state is BreakerState.OPEN and breaker.retry_at is not None and breaker.retry_at <= now:
        return Flow.PROBE
    if breaker.state is BreakerState.HALF_OPEN and breaker.probe_at is not None and breaker.probe_at < _lost_probes(redrive, now):
        return Flow.PROBE
    return Flow.HELD


def begin_probe(redrive: Redrive, connection: Connection, now: datetime, kind: ContentKind = ContentKind.TUTORIAL) -> bool:
    """The caller asks the model to see whether it is back. False: somebody else does already, or it is not time."""
    return breakers.begin_probe(connection, provider_of(redrive, kind), now, silent_since=_lost_probes(redrive, now))


def _lost_probes(redrive: Redrive, now: datetime) -> datetime:
    """A probe from before this was lost with its worker: it would have had its answer, or its time-outs, by now."""
    settings = redrive.settings
    return now - timedelta(seconds=settings.model_timeout_seconds * (settings.model_retries + 1) + settings.lease_seconds)


def note_success(redrive: Redrive, kind: ContentKind = ContentKind.TUTORIAL, answered_at: float | None = None) -> bool:
    """The model answered, then on the monotonic clock or just now. True: the breaker had been open, and is closed now.

    What it failed at after that answer counts on: to save a text may take longer than an outage to begin.
    """
    with redrive.engine.begin() as connection:
        seconds_ago = time.monotonic() - answered_at if answered_at is not None else 0.0
        return breakers.note_success(connection, provider_of(redrive, kind), seconds_ago=seconds_ago)


def note_failure(redrive: Redrive, error: ItemError, kind: ContentKind = ContentKind.TUTORIAL, calls: int = 1) -> bool:
    """The model failed, at the last of so many calls. True: nobody may ask it now, so the item is to be given back and not failed."""
    settings = redrive.settings
    with redrive.engine.begin() as connection:
        state = breakers.note_failure(
            connection, provider_of(redrive, kind), error.kind, storable(error.message), utc_now(),
            most_failures=settings.breaker_failures, pause_seconds=settings.breaker_seconds,
            calls=min(max(1, calls), 1 + settings.model_retries))  # those before were answered
    return state is not BreakerState.CLOSED


def note_aborted(redrive: Redrive, kind: ContentKind = ContentKind.TUTORIAL) -> None:
    """What was being written was stopped before its answer: if it was the probe, the next one may go."""
    with redrive.engine.begin() as connection:
        breakers.release_probe(connection, provider_of(redrive, kind), utc_now())
