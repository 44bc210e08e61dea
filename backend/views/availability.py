"""Whether PostgreSQL answers at all, and which errors say that it does not."""

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.redrive import Redrive
from backend.storage.engine import is_read_only

DATABASE_ERRORS = (SQLAlchemyError,)


def ask_database(redrive: Redrive) -> None:
    """Raises one of DATABASE_ERRORS when PostgreSQL does not answer."""
    with redrive.engine.connect() as connection:
        connection.execute(select(1))


def is_outage(exc: BaseException) -> bool:
    """PostgreSQL is away, takes no writes, or is too busy to lend a connection, as opposed to a defect of ours."""
    return isinstance(exc, OperationalError | InterfaceError | PoolTimeout) or is_read_only(exc) or (
        isinstance(exc, DBAPIError) and exc.connection_invalidated)
