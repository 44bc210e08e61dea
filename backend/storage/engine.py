"""Engines: one for each process, a connection for each call. Nothing else creates connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError, OperationalError

READ_ONLY = "25006"  # what PostgreSQL says while a standby has not been promoted yet
LOCK_NOT_AVAILABLE = "55P03"
APPLICATION = "redrive"  # how names begin that our connections tell PostgreSQL
# A process that is frozen within a transaction holds its rows: PostgreSQL ends that session. The longest pause of ours within one
# is the judging of 1,000 owners, some seconds.
IDLE_IN_TRANSACTION_SECONDS = 60


def psycopg_url(database_url: str):
    """The URL with psycopg 3 named as its driver, whatever dialect name the caller gave it."""
    url = make_url(database_url)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"DATABASE_URL names {url.get_backend_name()}; Redrive needs postgresql://")
    return url.set(drivername="postgresql+psycopg")


def make_engine(database_url: str, *, pool_size: int, pool_timeout_seconds: float = 10.0, keeps_plans: bool = False) -> Engine:
    """An engine that holds at most `pool_size` connections and tests each before it lends it.

    With `keeps_plans` each connection parses and plans a statement once, whatever it is asked with: for who asks the same few
    statements about single rows again and again.
    """
    options = f"-c timezone=UTC -c idle_in_transaction_session_timeout={1000 * IDLE_IN_TRANSACTION_SECONDS}"
    planning = {"prepare_threshold": 0, "options": f"{options} -c plan_cache_mode=force_generic_plan"} if keeps_plans else {}
    return create_engine(
        psycopg_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"application_name": APPLICATION, "connect_timeout": 5, "options": options} | planning,
    )


def is_read_only(exc: BaseException) -> bool:
    """PostgreSQL answers, and takes no writes for now."""
    return isinstance(exc, InternalError) and getattr(exc.orig, "sqlstate", None) == READ_ONLY


def wait_at_most(connection: Connection, seconds: float) -> None:
    """Whoever has to wait longer for a row in this transaction is told so: `is_locked` is true of what is raised then."""
    connection.execute(text("select set_config('lock_timeout', :milliseconds, true)"), {"milliseconds": f"{round(1000 * seconds)}ms"})


@contextmanager
def unless_held(engine: Engine, seconds: float) -> Iterator[Connection]:
    """A transaction that is given up in silence when somebody else holds one of its rows for longer: it is for another time."""
    try:
        with engine.begin() as connection:
            wait_at_most(connection, seconds)
            yield connection
    except OperationalError as exc:
        if not is_locked(exc):
            raise


def is_locked(exc: BaseException | None) -> bool:
    """Somebody else held the row for too long."""
    return isinstance(exc, OperationalError) and getattr(exc.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE


@dataclass(frozen=True, slots=True)
class ConnectionRoom:
    """How many connections this role may hold to this database at once, by the tightest of the limits."""

    allowed: int
    held_by_others: int  # of them now, by other programs
    held_by_us: int      # now, by Redrive: but for the connection that asks


_ROOM = f"""
    with held as (
      select usename, datname, datname = current_database() and starts_with(application_name, '{APPLICATION}') as is_ours
      from pg_stat_activity where pid <> pg_backend_pid() and datname is not null and usename is not null
        and coalesce(backend_type, 'client backend') = 'client backend'), limits as (
      select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
          - coalesce(current_setting('reserved_connections', true)::int, 0) as allowed,
        (select count(*) from held where not is_ours) as others
      union all select rolconnlimit, (select count(*) from held where not is_ours and usename = current_user)
      from pg_roles where rolname = current_user
      union all select datconnlimit, (select count(*) from held where not is_ours and datname = current_database())
      from pg_database where datname = current_database())
    select allowed, others, (select count(*) from held where is_ours) as ours
    from limits where allowed >= 0 order by allowed - others, allowed limit 1"""


def connection_room(connection: Connection) -> ConnectionRoom:
    row = connection.execute(text(_ROOM)).one()
    return ConnectionRoom(row.allowed, row.others, row.ours)
