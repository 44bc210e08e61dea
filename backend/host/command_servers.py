"""Which servers a command talks to: the given ones, those of a running `redrive up`, or private ones for its own duration."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from backend.host.errors import HostError
from backend.host.given_servers import check_postgresql, check_redis
from backend.host.private_servers import PrivateServers
from backend.host.project import state_folder
from backend.host.state_folder import Announcement, StateFolder
from backend.i18n import _
from backend.settings import Settings


def settled(settings: Settings, *, database_url: str | None, redis_url: str | None) -> Settings:
    """The settings with both addresses filled in (None: keep the given one) and the state folder absolute."""
    found = {"database_url": database_url, "redis_url": redis_url}
    return settings.model_copy(update={
        "state_dir": state_folder(settings), **{name: SecretStr(url) for name, url in found.items() if url}})


def check_given(settings: Settings) -> None:
    """Raises HostError when a given server does not answer or is of a version that we do not know."""
    if settings.database_url:
        check_postgresql(settings.database_url.get_secret_value())
    if settings.redis_url:
        check_redis(settings.redis_url.get_secret_value())


@contextmanager
def servers_for(settings: Settings, *, holder: str) -> Iterator[Settings]:
    """The settings with both servers there; private ones are started when needed and stopped afterwards.

    `holder` is what a second command is told about who uses the state folder. Raises HostError.
    """
    check_given(settings)
    with unchecked_servers_for(settings, holder=holder) as whole:
        yield whole


@contextmanager
def unchecked_servers_for(settings: Settings, *, holder: str) -> Iterator[Settings]:
    """As servers_for, but nobody has asked whether the given servers answer."""
    if settings.database_url and settings.redis_url:
        yield settled(settings, database_url=None, redis_url=None)
        return
    state = state_folder(settings)
    if announcement := StateFolder(state).running_up():
        yield _joined(settings, announcement)
        return
    with PrivateServers(state, with_postgres=not settings.database_url, with_valkey=not settings.redis_url,
                        holder=holder) as servers:
        yield settled(settings, database_url=servers.database_url, redis_url=servers.redis_url)


def servers_that_run(settings: Settings) -> Settings:
    """The settings with both servers, given or of a running `redrive up`. Raises HostError when there are none to join."""
    check_given(settings)
    if settings.database_url and settings.redis_url:
        return settled(settings, database_url=None, redis_url=None)
    announcement = StateFolder(state_folder(settings)).running_up()
    if announcement is None:
        raise HostError(_("There is no server to work with. Run `make run` for everything on this machine, "
                          "or set DATABASE_URL and REDIS_URL."))
    return _joined(settings, announcement)


def _joined(settings: Settings, announcement: Announcement) -> Settings:
    for name, is_given, announced in (("DATABASE_URL", settings.database_url, announcement.database_url),
                                      ("REDIS_URL", settings.redis_url, announcement.redis_url)):
        if not is_given and not announced:
            raise HostError(_("`redrive up` runs here (process {pid}) with a {name} that was given to it. "
                              "Set the same {name} for this command.").format(pid=announcement.pid, name=name))
    return settled(settings, database_url=None if settings.database_url else announcement.database_url,
                   redis_url=None if settings.redis_url else announcement.redis_url)
