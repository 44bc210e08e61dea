"""What every command does first and last: read the settings, and turn an expected error into one line and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import ValidationError

from backend import settings as settings_module
from backend.content.secrets import without_secrets
from backend.host.errors import HostError
from backend.i18n import _
from backend.logs import configure_logging
from backend.settings import Settings


class ClearLine(click.ClickException):
    """One line on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(without_secrets(self.message), err=True)


def current_settings() -> Settings:
    """The settings of this process, with logging set up. Raises ClearLine naming each bad value, but not quoting it."""
    try:
        settings = settings_module.load()
    except ValidationError as exc:
        faults = "; ".join(f"{_variable(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}" for fault in exc.errors())
        raise ClearLine(_("A setting is not right: {faults}. Correct it in the environment.").format(faults=faults)) from exc
    configure_logging(settings)
    return settings


@contextmanager
def clear_lines() -> Iterator[None]:
    """Around the work of a command: an error that people can answer becomes one line; a defect keeps its traceback."""
    try:
        yield
    except HostError as exc:
        raise ClearLine(str(exc)) from exc
    except Exception as exc:
        line = _line_of(exc)
        if line is None:
            raise
        raise ClearLine(line) from exc


def _line_of(exc: Exception) -> str | None:
    from psycopg.errors import InsufficientPrivilege  # imported late: most runs end without an error
    from sqlalchemy.exc import OperationalError, ProgrammingError

    from backend.actions.actors import NotAllowed
    from backend.actions.imports import ImportRefused
    from backend.bootstrap import NotConfigured
    from backend.demo.load import NotTheDemo
    from backend.storage.objects import BadStoreAddress
    from backend.storage.schema import SchemaError

    if isinstance(exc, BadStoreAddress | ImportRefused | NotAllowed | NotConfigured | NotTheDemo | SchemaError):
        return str(exc)
    if isinstance(exc, OperationalError):
        return _("PostgreSQL does not answer any more: {reason}. Run: redrive check").format(reason=_reason(exc.orig))
    if isinstance(exc, ProgrammingError) and isinstance(exc.orig, InsufficientPrivilege):
        return _("PostgreSQL does not let this role do that: {reason}. Grant it the right, or give DATABASE_URL a role that has it, "
                 "such as the owner of the platform's tables.").format(reason=_reason(exc.orig))
    return None


def _reason(exc: BaseException | None) -> str:
    return (str(exc).strip().splitlines() or [""])[0]


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "?"
    return name if name.isupper() else f"REDRIVE_{name.upper()}"
