"""The deep look: whether the pictures that rows name are still in the store. Asked for by hand, as it asks the store for each."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from sqlalchemy import Connection

from backend.actions.cover_attempts import lock_to_end as lock_roadmap
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.pictures import thumbnail_of
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, cover_rows, cover_versions
from backend.storage.cover_rows import KeptCover
from backend.storage.objects import Objects, StoreUnreachable

ASKED_AT_ONCE = 16
PAGE = 500


@dataclass(frozen=True, slots=True)
class DeepLook:
    looked_at: int
    gone: tuple[ContentKey, ...]    # their rows say pending now, so that they are missing everywhere
    mended: tuple[ContentKey, ...]  # their thumbnail was gone, and was made again


class _Seen(Enum):
    THERE = auto()
    MENDED = auto()
    GONE = auto()


def look(redrive: Redrive) -> DeepLook:
    """Every published cover that our own store keeps; other stores are left alone. Raises StoreUnreachable when nobody can tell."""
    gone: list[ContentKey] = []
    mended: list[ContentKey] = []
    looked_at, after = 0, ""
    with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="deep") as threads:
        while True:
            with redrive.engine.connect() as connection:
                found = cover_rows.kept_under(connection, redrive.objects.root_url, after, PAGE)
            if not found:
                return DeepLook(looked_at, tuple(gone), tuple(mended))
            seen = list(zip(found, threads.map(partial(_see, redrive.objects), found), strict=True))
            gone += _record(redrive, (cover for cover, how in seen if how is _Seen.GONE), _mark_gone)
            mended += _record(redrive, (cover for cover, how in seen if how is _Seen.MENDED), _note_mended)
            looked_at, after = looked_at + len(found), found[-1].roadmap_id


def _see(objects: Objects, cover: KeptCover) -> _Seen:
    if not objects.has(cover.url):
        return _Seen.GONE
    if not cover.thumbnail_url or objects.has(cover.thumbnail_url):
        return _Seen.THERE
    try:
        _mend(objects, cover)
    except FileNotFoundError:  # it went just now
        return _Seen.GONE
    except ItemError as error:
        if error.kind is ErrorKind.SAVE_STORE_GONE:
            raise StoreUnreachable(error.message) from error
        return _Seen.GONE  # the large one cannot be read either
    return _Seen.MENDED


def _mend(objects: Objects, cover: KeptCover) -> None:
    """The thumbnail is made of the large picture again, under its old name: no row changes, and no painter is asked."""
    large = objects.get(objects.path_of(cover.url))
    objects.put_picture(objects.path_of(cover.thumbnail_url), thumbnail_of(large))


def _record(
    redrive: Redrive, covers: Iterable[KeptCover], record: Callable[[Connection, KeptCover, str], bool],
) -> list[ContentKey]:
    """Each in a transaction of its own. The keys of which there was something to write down."""
    recorded = []
    for cover in covers:
        key = ContentKey(ContentKind.COVER, cover.roadmap_id)
        with redrive.engine.begin() as connection:
            if record(connection, cover, str(key)):
                recorded.append(key)
    return recorded


def _mark_gone(connection: Connection, cover: KeptCover, scope: str) -> bool:
    """False: its row names another picture by now."""
    lock_roadmap(connection, cover.roadmap_id)
    if not cover_rows.mark_gone(connection, cover.roadmap_id, cover.url, _("The stored picture is gone.")):
        return False
    cover_versions.withdraw(connection, cover.roadmap_id)
    audit.record(connection, audit.MACHINE, action="cover_gone", scope=scope, result=cover.url, at=utc_now())
    return True


def _note_mended(connection: Connection, cover: KeptCover, scope: str) -> bool:
    audit.record(connection, audit.MACHINE, action="cover_thumbnail_mended", scope=scope, result=cover.thumbnail_url, at=utc_now())
    return True
