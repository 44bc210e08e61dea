"""How an item ends, whoever ends it: outcome, content status and task in the transaction of the caller.

Locks are taken in one order everywhere, so that nobody waits in a circle: operation, roadmap, item, task; several of one kind in the
order of their ids.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.actions.kinds import family_of
from backend.actions.work import LockedOwner
from backend.content.causes import cause_id_of, classify
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import Owner
from backend.content.plans import ExclusionRule
from backend.content.status import ContentStatus, ItemState
from backend.storage import items, task_records
from backend.storage.engine import is_read_only
from backend.storage.items import StoredItem


def settle(connection: Connection, item: StoredItem, state: ItemState, now: datetime, **values: object) -> bool:
    """The outcome of an item, and what its task says of it. False: the attempt came too late; nothing changed."""
    is_ours = items.settle(connection, item, state, now, **values)
    if is_ours and item.task_id:
        task_records.record_progress(connection, item.task_id, now)
    return is_ours


def settle_failed(connection: Connection, item: StoredItem, error: ItemError, now: datetime, **guard: object) -> bool:
    message = storable(error.message)
    return settle(
        connection, item, ItemState.FAILED, now, error_kind=error.kind, error_message=message,
        cause_id=cause_id_of(error.kind, message), **guard)


def fail(
    connection: Connection, item: StoredItem, error: ItemError, now: datetime, silent_since: datetime | None = None, *,
    before: ItemState = ItemState.RUNNING,
) -> bool:
    """`before` -> failed, and what declares the content says so too."""
    owner = _lock_owner(connection, item)
    if not settle_failed(connection, item, error, now, before=before, silent_since=silent_since):
        return False
    family_of(item).end_without(connection, item, owner, storable(error.message), now)
    return True


def cancel(
    connection: Connection, item: StoredItem, now: datetime, *, before: ItemState = ItemState.RUNNING,
    silent_since: datetime | None = None, **values: object,
) -> bool:
    """`before` -> cancelled, and the content is declared what it was before the item began."""
    owner = _lock_owner(connection, item)
    if not settle(connection, item, ItemState.CANCELLED, now, before=before, silent_since=silent_since, **values):
        return False
    put_back_status(connection, owner, item, now)
    return True


def skip(
    connection: Connection, item: StoredItem, rule: ExclusionRule, now: datetime, *, before: ItemState,
) -> bool:
    """`before` -> skipped, of an item that was begun before and left its mark: the content is declared what it was."""
    owner = _lock_owner(connection, item)
    if not settle(connection, item, ItemState.SKIPPED, now, before=before, skip_rule=rule):
        return False
    put_back_status(connection, owner, item, now)
    return True


def hold_owners(connection: Connection, found: Sequence[StoredItem]) -> dict[Owner, LockedOwner | None]:
    """What the items belong to, each locked and read once, until the transaction ends: before the items themselves."""
    one_of_each = {_owner_of(item): item for item in found}
    return {owner: _lock_owner(connection, item) for owner, item in sorted(one_of_each.items())}


def cancel_told(
    connection: Connection, together: Sequence[StoredItem], owners: Mapping[Owner, LockedOwner | None], now: datetime,
) -> list[StoredItem]:
    """running -> cancelled, of those among them that were told to stop and whose owner is held. Returns what this changed."""
    cancelled = [item for item in together if item.cancel_requested_at is not None and _owner_of(item) in owners
                 and items.settle(connection, item, ItemState.CANCELLED, now)]
    for item in cancelled:
        put_back_status(connection, owners[_owner_of(item)], item, now)
    for task_id in sorted({item.task_id for item in cancelled if item.task_id}):
        task_records.record_progress(connection, task_id, now)
    return cancelled


def put_back_status(connection: Connection, owner: LockedOwner | None, item: StoredItem, now: datetime) -> None:
    """What an attempt marked as generating is declared what it was before."""
    family_of(item).put_back(connection, item, owner, now)


def put_back_left(connection: Connection, item: StoredItem, now: datetime) -> bool:
    """The same for an item that has ended already. False: somebody works on its key, or its mark is another one by now."""
    owner = _lock_owner(connection, item)
    is_marked = family_of(item).declared(connection, item.key, owner) == ContentStatus.GENERATING
    if not is_marked or items.keys_in_work(connection, [item.key]):
        return False
    put_back_status(connection, owner, item, now)
    return True


def _owner_of(item: StoredItem) -> Owner:
    return Owner(item.key.kind.owner_kind, item.key.owner_id)


def _lock_owner(connection: Connection, item: StoredItem) -> LockedOwner | None:
    return family_of(item).lock_to_end(connection, item.key.owner_id)


def storable(message: str) -> str:
    """A message that PostgreSQL takes: without NUL and lone surrogates, at most 2,000 characters."""
    return message.replace("\x00", "").encode("utf-8", "replace").decode()[:2000]


def save_error(exc: Exception) -> ItemError:
    """The name of what the database said. Two kinds are worth another try: pool exhausted, database gone."""
    message = str(getattr(exc, "orig", exc)).strip()
    if isinstance(exc, PoolTimeout):
        kind = ErrorKind.SAVE_POOL_EXHAUSTED
    elif isinstance(exc, (OperationalError, InterfaceError)):
        told = classify(message)
        kind = told if told is ErrorKind.SAVE_POOL_EXHAUSTED else ErrorKind.SAVE_DATABASE_GONE
    elif is_read_only(exc):
        kind = ErrorKind.SAVE_DATABASE_GONE
    elif isinstance(exc, IntegrityError):
        told = classify(message)
        kind = told if told is ErrorKind.SAVE_DUPLICATE_KEY else ErrorKind.SAVE_REJECTED
    elif isinstance(exc, DataError):
        told = classify(message)
        kind = told if told in (ErrorKind.SAVE_TOO_LONG, ErrorKind.CONTENT_UNSTORABLE) else ErrorKind.SAVE_REJECTED
    else:
        kind = ErrorKind.SAVE_REJECTED
    return ItemError(kind, storable(message))
