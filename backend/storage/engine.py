"""Engines: one for each process, a connection for each call. Nothing else creates connections."""

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url


def psycopg_url(database_url: str):
    """The URL with psycopg 3 named as its driver, whatever dialect name the caller gave it."""
    url = make_url(database_url)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"DATABASE_URL names {url.get_backend_name()}; Redrive needs postgresql://")
    return url.set(drivername="postgresql+psycopg")


def make_engine(database_url: str, *, pool_size: int, pool_timeout_seconds: float = 10.0) -> Engine:
    """An engine that holds at most `pool_size` connections and tests each before it lends it."""
    return create_engine(
        psycopg_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"application_name": "redrive", "connect_timeout": 5, "options": "-c timezone=UTC"},
    )


def allowed_connections(connection: Connection) -> int:
    """How many connections this role may hold to this database at once, whoever holds others now."""
    row = connection.execute(text(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as for_all, "
        "  (select rolconnlimit from pg_roles where rolname = current_user) as of_role, "
        "  (select datconnlimit from pg_database where datname = current_database()) as of_database")).one()
    return min(limit for limit in row if limit is not None and limit >= 0)
