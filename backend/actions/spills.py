"""A finished text that PostgreSQL does not take is spilled to the object store, and saved from there without asking the model again.

A spill is a JSON document at spills/<item>-<attempt>.json. It holds everything that saving needs; it is deleted once the item is
settled with it. When the item ended otherwise it is kept where people can choose it (a cover), or set aside under spills-set-aside/:
what was paid for is never thrown away. A worker also spills a text whose saving takes long, and goes on with saving it: whoever comes
first settles the item. And one that came too late for its item.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import structlog
from sqlalchemy.exc import DBAPIError

from backend.actions import attempts, kinds
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ItemState
from backend.content.written import Chapter, Cover, Quiz, Resources, Tutorial, Written
from backend.redrive import Redrive
from backend.storage import items
from backend.storage.engine import is_locked
from backend.storage.items import StoredItem
from backend.storage.objects import SET_ASIDE, SPILLED, StoreUnreachable
from backend.storage.recorded import in_one_line

log = structlog.get_logger()
LONGEST_WAIT_SECONDS = 0.2  # for a row that somebody else holds: other texts wait too
_CONTENT = MappingProxyType({ContentKind.TUTORIAL: Tutorial, ContentKind.RESOURCES: Resources, ContentKind.QUIZ: Quiz,
                             ContentKind.CHAPTER: Chapter, ContentKind.COVER: Cover})


@dataclass(frozen=True, slots=True)
class Spill:
    item_id: int
    attempt: int
    key: ContentKey
    written: Written


def spill(redrive: Redrive, item: StoredItem, written: Written) -> str:
    """Keep a finished text in the object store. Returns its path. Raises StoreUnreachable."""
    path = _path(item)
    redrive.objects.put(path, _dumped(item, written))
    return path


def forget(redrive: Redrive, item: StoredItem) -> None:
    """Its text is saved by now. Raises StoreUnreachable; the reconciler finds it then."""
    redrive.objects.delete(_path(item))


def standing(redrive: Redrive, found: Sequence[StoredItem]) -> set[int]:
    """Ids of those items whose text is spilled and not saved yet, because somebody holds a row of it. Raises StoreUnreachable."""
    paths = set(redrive.objects.paths(f"{SPILLED}/"))
    return {item.item_id for item in found if _path(item) in paths}


def _path(item: StoredItem) -> str:
    return f"{SPILLED}/{item.item_id}-{item.attempt}.json"


def save_spilled(redrive: Redrive) -> list[ContentKey]:
    """Save what was spilled and is still wanted. Returns the keys that were saved.

    Raises StoreUnreachable, or a database error: what is left is looked at again.
    """
    saved: list[ContentKey] = []
    for path in redrive.objects.paths(f"{SPILLED}/"):
        try:
            found = _read(redrive.objects.get(path))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as exc:
            log.error("spill_unreadable", path=path, error=in_one_line(exc))
            _set_aside(redrive, path)
            continue
        if _settle(redrive, path, found):
            saved.append(found.key)
    return saved


def _settle(redrive: Redrive, path: str, found: Spill) -> bool:
    """True: this text settled its item."""
    with redrive.engine.connect() as connection:
        item = items.find_item(connection, found.item_id)
    bound = log.bind(item_id=found.item_id, key=str(found.key), attempt=found.attempt)
    if item is not None and _is_waited_for(item, found):
        try:
            is_saved = attempts.save_item(redrive, item, found.written, before=item.state, wait_seconds=LONGEST_WAIT_SECONDS)
        except ItemError as error:
            if error.kind is ErrorKind.SAVE_STORE_GONE:
                raise StoreUnreachable(error.message) from error
            if is_locked(error.__cause__):  # by a worker that is just saving it, or by another program
                return False
            if error.is_outage:
                raise error.__cause__ or error from None
            bound.error("spill_not_saved", error_kind=error.kind.value, error=error.message)
            _keep_late(redrive, path, item, found.written, bound)
            return False
        if is_saved:
            redrive.objects.delete(path)
            bound.info("spill_saved")
        return is_saved
    if item is not None and item.state is ItemState.SUCCEEDED and item.attempt == found.attempt:  # by its worker, with this very text
        redrive.objects.delete(path)
    elif item is None or item.state.is_settled:
        _keep_late(redrive, path, item, found.written, bound)
    return False


def _keep_late(redrive: Redrive, path: str, item: StoredItem | None, written: Written, bound: structlog.stdlib.BoundLogger) -> None:
    """Its item ended without it: it stands beside what is published where it can, or is set aside."""
    try:
        is_kept = item is not None and kinds.keep_late(redrive, item, written, wait_seconds=LONGEST_WAIT_SECONDS)
    except DBAPIError as exc:
        if is_locked(exc):
            return  # looked at again
        raise
    except ItemError as error:
        if error.kind is ErrorKind.SAVE_STORE_GONE:
            raise StoreUnreachable(error.message) from error
        is_kept = False
    if is_kept:
        redrive.objects.delete(path)
        bound.info("spill_kept_beside")
        return
    bound.warning("spill_set_aside", state=item.state.value if item else None)
    _set_aside(redrive, path)


def _is_waited_for(item: StoredItem, found: Spill) -> bool:
    """The attempt that wrote it still holds the item, or the item waits to be written again: by nobody, now."""
    return item.state in (ItemState.PLANNED, ItemState.QUEUED) or (item.state is ItemState.RUNNING and item.attempt == found.attempt)


def _set_aside(redrive: Redrive, path: str) -> None:
    with suppress(FileNotFoundError):  # its worker has saved it just now
        redrive.objects.move(path, f"{SET_ASIDE}/{path.removeprefix(f'{SPILLED}/')}")


def _dumped(item: StoredItem, written: Written) -> bytes:
    document: Mapping[str, object] = {
        "item_id": item.item_id, "attempt": item.attempt, "key": str(item.key), "kind": item.key.kind.value,
        "content": written.content.model_dump(mode="json"), "generator": written.generator, "is_sample": written.is_sample,
        "calls": written.calls, "prompt_tokens": written.prompt_tokens, "completion_tokens": written.completion_tokens,
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _read(document: bytes) -> Spill:
    """Raises ValueError, KeyError or TypeError when the document is no spill."""
    read = json.loads(document)
    content = _CONTENT[ContentKind(read["kind"])].model_validate(read["content"])
    written = Written(content, read["generator"], read["is_sample"], read["calls"], read["prompt_tokens"], read["completion_tokens"])
    return Spill(read["item_id"], read["attempt"], ContentKey.parse(read["key"]), written)
