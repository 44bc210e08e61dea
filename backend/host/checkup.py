"""Is everything there that Redrive needs: servers, schema, model endpoint, object store? Changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pydantic import SecretStr

from backend.content.prices import unpriced_models
from backend.content.secrets import without_secrets
from backend.host.command_servers import unchecked_servers_for
from backend.host.errors import HostError
from backend.host.given_servers import check_postgresql, check_redis
from backend.i18n import _
from backend.settings import Settings

MODEL_ANSWER_SECONDS = 10.0
OPENAI = "https://api.openai.com/v1"
NO_KEY = "no-key-needed"  # a local server asks for none, but the client insists on one


@dataclass(frozen=True)
class Finding:
    subject: str
    is_good: bool
    line: str  # what was found; when it is bad, the next step too


def checkup(settings: Settings) -> Iterator[Finding]:
    """One finding for each of the seven, in the order in which they should be put right."""
    with ExitStack() as stack:
        obstacle = ""
        try:
            settings = stack.enter_context(unchecked_servers_for(settings, holder="redrive check"))
        except HostError as exc:
            obstacle = str(exc)
        postgresql = _server(_("PostgreSQL"), settings.database_url, check_postgresql, obstacle=obstacle)
        yield postgresql
        yield _server(_("Redis"), settings.redis_url, check_redis, obstacle=obstacle)
        if postgresql.is_good:
            yield _finding(_("schema"), lambda: _ask_schema(settings))
        else:
            yield Finding(_("schema"), False, _("Not looked at. Put PostgreSQL right first."))
        if postgresql.is_good:
            yield _finding(_("connections"), lambda: _ask_connections(settings))
        yield _finding(_("object store"), lambda: _ask_object_store(settings))
    yield _finding(_("model"), lambda: _ask_model(settings))
    yield _finding(_("prices"), lambda: _ask_prices(settings))


def _server(subject: str, url: SecretStr | None, check: Callable[[str], str], *, obstacle: str) -> Finding:
    if not url:
        return Finding(subject, False, obstacle)
    return _finding(subject, lambda: check(url.get_secret_value()))


def _finding(subject: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, without_secrets(ask()))
    except HostError as exc:
        return Finding(subject, False, without_secrets(str(exc)))


def _ask_schema(settings: Settings) -> str:
    from sqlalchemy.exc import SQLAlchemyError

    from backend.storage.engine import make_engine
    from backend.storage.schema import SchemaError, check_migrated

    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        with engine.connect() as connection:
            check_migrated(connection)
    except (SchemaError, SQLAlchemyError) as exc:
        raise HostError(_first_line(exc)) from exc
    finally:
        engine.dispose()
    return _("every table and column is there")


def _ask_connections(settings: Settings) -> str:
    from sqlalchemy.exc import SQLAlchemyError

    from backend.storage.engine import connection_room, make_engine

    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        with engine.connect() as connection:
            room = connection_room(connection)
    except SQLAlchemyError as exc:
        raise HostError(_first_line(exc)) from exc
    finally:
        engine.dispose()
    needed, held = settings.connections, {"allowed": room.allowed, "others": room.held_by_others}
    if room.held_by_us > needed:
        raise HostError(_(
            "Redrive holds {held} connections now, and by these settings it would hold at most {needed}. Set REDRIVE_MACHINES and the "
            "REDRIVE_WORKERS_ settings to what runs.").format(held=room.held_by_us, needed=needed))
    if needed > room.allowed - room.held_by_others:
        raise HostError(_(
            "Redrive may hold {needed} connections, and this role gets at most {allowed}, of which others hold {others} now: texts would "
            "wait to be saved. Raise max_connections, or lower REDRIVE_CONCURRENCY or the REDRIVE_WORKERS_ settings.").format(
                needed=needed, **held))
    return _("Redrive may hold {needed}, this role gets {allowed}; others hold {others} now").format(needed=needed, **held)


def _ask_object_store(settings: Settings) -> str:
    from obstore.exceptions import BaseError

    from backend.bootstrap import NotConfigured, connect
    from backend.content.errors import ItemError

    try:
        redrive = connect(settings)
        redrive.objects.check()
    except NotConfigured:
        raise HostError(_("Not looked at. Put the servers right first.")) from None
    except (BaseError, ItemError, OSError, ValueError) as exc:
        raise HostError(_("It does not take and give back a text: {reason}. Correct REDRIVE_OBJECT_STORE or the "
                          "rights on it.").format(reason=_first_line(exc))) from exc
    redrive.close()
    return _("a text was written, read and deleted in {place}").format(place=redrive.objects.root_url)


def _ask_model(settings: Settings) -> str:
    if not settings.has_model:
        return _("Neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: the offline writer makes sample text")
    place = settings.openai_base_url or OPENAI
    if settings.model in _model_names(settings, place):
        return _("{place} answers and has {model}").format(place=place, model=settings.model)
    return _("{place} answers; {model} is not in its list, so set REDRIVE_MODEL if writing fails").format(
        place=place, model=settings.model)


def _ask_prices(settings: Settings) -> str:
    models = ", ".join(unpriced_models(settings))
    if models and settings.operation_budget_cost:
        raise HostError(_("REDRIVE_OPERATION_BUDGET_COST cannot be kept: REDRIVE_PRICES has no price of {models}. Add it, or set the "
                          "budget to 0.").format(models=models))
    if models:
        return _("REDRIVE_PRICES has no price of {models}: no cost is told, and no budget of money can be kept").format(models=models)
    return _("the price of everything that is paid for is known")


def _model_names(settings: Settings, place: str) -> set[str]:
    import httpx2
    import openai

    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else NO_KEY
    try:
        with openai.OpenAI(api_key=key, base_url=place, timeout=MODEL_ANSWER_SECONDS, max_retries=0) as client:
            return {model.id for model in client.models.list()}
    except (openai.AuthenticationError, openai.PermissionDeniedError) as exc:
        raise HostError(_("{place} refuses the key. Correct OPENAI_API_KEY.").format(place=place)) from exc
    except openai.NotFoundError as exc:
        raise HostError(_("{place} answers, but not as a model endpoint. OPENAI_BASE_URL usually ends in /v1.").format(
            place=place)) from exc
    except UnicodeError as exc:
        raise HostError(_("OPENAI_API_KEY holds a character that cannot be sent. Copy it again.")) from exc
    except (openai.OpenAIError, httpx2.InvalidURL) as exc:
        raise HostError(_("{place} does not answer as it should: {reason}. Correct OPENAI_BASE_URL or start it.").format(
            place=place, reason=_first_line(exc))) from exc


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".")
