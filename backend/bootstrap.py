"""The only wiring: settings -> engine, Redis, queue, object store. Every process starts here and nowhere else."""

from redis import Redis

from backend.i18n import _
from backend.jobs.queue import JobQueue
from backend.redrive import Redrive
from backend.settings import MAINTENANCE_CONNECTIONS, Settings
from backend.storage.engine import make_engine
from backend.storage.objects import Objects


class NotConfigured(Exception):
    """A server is not named; str() says the next step."""


def connect_work_horse(settings: Settings) -> Redrive:
    """For a chunk of items: a connection for each thread, and statements that are the same for every item. Raises as `connect`."""
    return connect(settings, pool_size=settings.worker_connections, keeps_plans=True)


def connect(settings: Settings, *, pool_size: int = MAINTENANCE_CONNECTIONS, keeps_plans: bool = False) -> Redrive:
    """Cheap: nothing is opened before its first use.

    Raises NotConfigured when a server is not named, ValueError when an address or a time of the day makes no sense.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise NotConfigured(_("DATABASE_URL and REDIS_URL are not set. Run `make run`, which starts private servers, or set both."))
    redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=5, socket_connect_timeout=2)
    made = Redrive(
        settings,
        make_engine(settings.database_url.get_secret_value(), pool_size=pool_size, keeps_plans=keeps_plans),
        redis,
        JobQueue(redis),
        Objects(settings.object_store or (settings.state_dir.absolute() / "objects").as_uri()),
    )
    made.check_settings()
    return made
