"""Who looks at a cause at this moment. It is a courtesy: when it cannot be told, nothing else suffers."""

from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.actions.actors import Actor
from backend.clock import utc_now
from backend.redrive import Redrive
from backend.storage import lookers

log = structlog.get_logger(__name__)
LOOKING = timedelta(seconds=20)  # three of the page's polls


def look(redrive: Redrive, cause_id: str, actor: Actor, window_id: str) -> tuple[str, ...]:
    """Say that this window shows the cause; returns who else looks, one name for each window. () when it cannot be told."""
    now = utc_now()
    try:
        with redrive.engine.begin() as connection:
            began_at = lookers.look(connection, cause_id, window_id=window_id, actor_id=actor.actor_id, now=now)
            return tuple(lookers.others(
                connection, cause_id, window_id=window_id, actor_id=actor.actor_id, since=now - LOOKING, own_since=began_at))
    except SQLAlchemyError as exc:
        log.warning("lookers_not_told", error=str(exc).splitlines()[0])
        return ()
