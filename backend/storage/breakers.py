"""ops.breakers: one circuit breaker for each provider of a model. Each change of state is one guarded UPDATE.

`changed_at` is by the clock of PostgreSQL: what came first is told alike on all hosts.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text

from backend.content.errors import ErrorKind
from backend.content.status import BreakerState
from backend.storage.ops_tables import breakers

COVERS = "covers"  # provider: all painters together, for they fall back on each other
LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Breaker:
    provider: str
    state: BreakerState
    failures: int                  # in a row, while closed
    failed_probes: int             # in a row, while open
    failed_calls: int              # in a row, of both: what the outage has wasted
    error_kind: ErrorKind | None   # of the last failure
    error_message: str
    opened_at: datetime | None
    retry_at: datetime | None      # when one item is let through
    probe_at: datetime | None      # when the last one was

    @property
    def is_untroubled(self) -> bool:
        return self.state is BreakerState.CLOSED and not self.failures

    @property
    def is_of_covers(self) -> bool:
        return self.provider == COVERS


_FIND = text("select * from ops.breakers where provider = :provider")


def find_breaker(connection: Connection, provider: str) -> Breaker:
    """The breaker of that provider; one that never failed is closed."""
    row = connection.execute(_FIND, {"provider": provider}).one_or_none()
    return _breaker(row) if row else Breaker(provider, BreakerState.CLOSED, 0, 0, 0, None, "", None, None, None)


def all_breakers(connection: Connection) -> tuple[Breaker, ...]:
    return tuple(_breaker(row) for row in connection.execute(select(breakers).order_by(breakers.c.provider)))


def _breaker(row) -> Breaker:
    return Breaker(
        row.provider, BreakerState(row.state), row.failures, row.failed_probes, row.failed_calls,
        ErrorKind(row.error_kind) if row.error_kind else None, row.error_message or "", row.opened_at, row.retry_at, row.probe_at)


def begin_probe(connection: Connection, provider: str, now: datetime, *, silent_since: datetime) -> bool:
    """open -> half_open once its time has come; or another probe in place of one that was lost. True: the caller is the probe."""
    return connection.execute(text(
        "update ops.breakers set state = 'half_open', probe_at = :now, changed_at = clock_timestamp() where provider = :provider "
        "and (state = 'open' and retry_at <= :now or state = 'half_open' and probe_at < :silent_since)"),
        {"provider": provider, "now": now, "silent_since": silent_since}).rowcount == 1


def release_probe(connection: Connection, provider: str, now: datetime) -> bool:
    """half_open -> open, and the next probe may go at once: the last one was stopped before its answer."""
    return connection.execute(text(
        "update ops.breakers set state = 'open', retry_at = :now, probe_at = null, changed_at = clock_timestamp() "
        "where provider = :provider and state = 'half_open'"), {"provider": provider, "now": now}).rowcount == 1


def note_success(connection: Connection, provider: str, *, seconds_ago: float) -> bool:
    """An answer came so long ago: closed, unless it has failed since then. True: it was open before."""
    row = connection.execute(text(
        "with found as ("
        "  select provider, state from ops.breakers where provider = :provider and (state <> 'closed' or failures > 0) "
        "  and changed_at < clock_timestamp() - make_interval(secs => :ago) for update) "
        "update ops.breakers b set state = 'closed', failures = 0, failed_probes = 0, failed_calls = 0, retry_at = null, "
        "  probe_at = null, changed_at = clock_timestamp() "
        "from found f where b.provider = f.provider returning f.state as before"),
        {"provider": provider, "ago": seconds_ago}).one_or_none()
    return row is not None and row.before != BreakerState.CLOSED


def note_failure(
    connection: Connection, provider: str, kind: ErrorKind, message: str, now: datetime, *, most_failures: int, pause_seconds: float,
    calls: int = 1,
) -> BreakerState:
    """One more failure, of so many calls: the last of too many opens it, a failed probe opens it again for twice as long.

    Returns the state after it.
    """
    return BreakerState(connection.execute(text(
        "insert into ops.breakers as b (provider, state, failures, failed_calls, error_kind, error_message, opened_at, retry_at, "
        "  changed_at) values ("
        "  :provider, case when :most <= 1 then 'open' else 'closed' end, 1, :calls, :kind, :message, "
        "  case when :most <= 1 then cast(:now as timestamptz) end, "
        "  case when :most <= 1 then cast(:now as timestamptz) + make_interval(secs => :pause) end, clock_timestamp()) "
        "on conflict (provider) do update set error_kind = :kind, error_message = :message, changed_at = clock_timestamp(), "
        "  failed_calls = b.failed_calls + :calls, "
        "  failures = case when b.state = 'closed' then b.failures + 1 else b.failures end, "
        "  failed_probes = case when b.state = 'half_open' then b.failed_probes + 1 else b.failed_probes end, "
        "  state = case when b.state = 'closed' and b.failures + 1 < :most then 'closed' else 'open' end, "
        "  opened_at = case when b.state = 'closed' and b.failures + 1 >= :most then cast(:now as timestamptz) else b.opened_at end, "
        "  retry_at = case when b.state = 'closed' and b.failures + 1 >= :most "
        "      then cast(:now as timestamptz) + make_interval(secs => :pause) "
        "    when b.state = 'half_open' then cast(:now as timestamptz) + make_interval("
        "      secs => least(:pause * power(2, b.failed_probes + 1), greatest(:longest, :pause))) "
        "    else b.retry_at end "
        "returning b.state"),
        {"provider": provider, "kind": kind, "message": message, "now": now, "most": most_failures, "calls": calls,
         "pause": float(pause_seconds), "longest": LONGEST_PAUSE_SECONDS}).scalar_one())
