"""How log lines look, and what never stands in one. One event is one line, from structlog and from the libraries alike."""

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr
from structlog.types import EventDict, ExcInfo, Processor, WrappedLogger

from backend.content.secrets import HIDDEN, is_secret_name, without_secrets
from backend.settings import Settings

FRAMES_SHOWN = 5  # innermost frames in a console line; the json format has all of them
QUIET_LIBRARIES = ("alembic", "httpx", "httpx2", "httpcore", "openai", "watchdog", "urllib3", "asyncio")


class SecretRemover:
    """structlog processor: no value of an event holds a secret, whether by its name, its look, or being a known one."""

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        # 6: a shorter secret would blot out ordinary words
        self._known = tuple(sorted((secret for secret in known if len(secret) >= 6), key=len, reverse=True))

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {name: self._clean(name, value) for name, value in event.items()}

    def _clean(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if name.startswith("_"):  # structlog's own, dropped before the line is written
            return value
        if is_secret_name(name):
            return HIDDEN
        if isinstance(value, dict):
            return {key: self._clean(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", inner) for inner in value]
        text = without_secrets(value if isinstance(value, str) else str(value))
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return text


def known_secrets(settings: Settings) -> frozenset[str]:
    """Every secret that the settings hold, URLs with their passwords included."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return frozenset(value.get_secret_value() for value in values if isinstance(value, SecretStr))


def configure_logging(settings: Settings) -> None:
    """Send structlog and the standard library's logging to stderr, one line per event, without secrets."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a test or a child may configure again
    )
    is_json = settings.log_format == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _traceback_as_text if is_json else _traceback_as_one_line,
            SecretRemover(known_secrets(settings)),
            structlog.processors.JSONRenderer(ensure_ascii=False) if is_json else _console(),
        ],
    ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for library in QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _console() -> Processor:
    render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)

    def one_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return render(logger, method, event).replace("\r", "").replace("\n", "\\n")

    return one_line


def _traceback_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    exc = _exception_of(event.pop("exc_info", None))
    if exc is not None:
        event["exception"] = "".join(traceback.format_exception(exc))
    return event


def _traceback_as_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    exc = _exception_of(event.pop("exc_info", None))
    if exc is not None:
        frames = traceback.extract_tb(exc.__traceback__)[-FRAMES_SHOWN:]
        places = " <- ".join(
            f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        text = " ".join(str(exc).split())
        event["exception"] = f"{type(exc).__name__}: {text}" + (f" at {places}" if places else "")
    return event


def _exception_of(exc_info: ExcInfo | BaseException | bool | None) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]
    return sys.exc_info()[1] if exc_info else None
