"""The deep look: whether the pictures that rows name are still in the store. Asked for by hand, as it asks the store for each."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from backend.actions.cover_attempts import lock_to_end as lock_roadmap
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, cover_rows, cover_versions

ASKED_AT_ONCE = 16
PAGE = 500


@dataclass(frozen=True, slots=True)
class DeepLook:
    looked_at: int
    gone: tuple[ContentKey, ...]  # their rows say pending now, so that they are missing everywhere


def look(redrive: Redrive) -> DeepLook:
    """Every published cover that our own store keeps; other stores are left alone. Raises StoreUnreachable when nobody can tell."""
    gone: list[ContentKey] = []
    looked_at, after = 0, ""
    with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="deep") as threads:
        while True:
            with redrive.engine.connect() as connection:
                found = cover_rows.kept_under(connection, redrive.objects.root_url, after, PAGE)
            if not found:
                return DeepLook(looked_at, tuple(gone))
            are_there = threads.map(redrive.objects.has, [url for _roadmap_id, url in found])
            gone += _mark(redrive, [cover for cover, is_there in zip(found, are_there, strict=True) if not is_there])
            looked_at, after = looked_at + len(found), found[-1][0]


def _mark(redrive: Redrive, lost: Sequence[tuple[str, str]]) -> list[ContentKey]:
    """Each in a transaction of its own, and only while its row still names the picture that is gone."""
    marked = []
    for roadmap_id, url in lost:
        key = ContentKey(ContentKind.COVER, roadmap_id)
        with redrive.engine.begin() as connection:
            lock_roadmap(connection, roadmap_id)
            if cover_rows.mark_gone(connection, roadmap_id, url, _("The stored picture is gone.")):
                cover_versions.withdraw(connection, roadmap_id)
                audit.record(connection, audit.MACHINE, action="cover_gone", scope=str(key), result=url, at=utc_now())
                marked.append(key)
    return marked
