"""One attempt at a cover, or at a version of one beside the published: what it begins with, and what it saves. See work.Family."""

from datetime import datetime

from sqlalchemy import Connection

from backend.actions.work import Stored, Work
from backend.clock import utc_now
from backend.content.checks import check
from backend.content.covers import path_of_made
from backend.content.errors import ErrorKind, ItemError
from backend.content.facts import KeyFacts, OwnerFacts
from backend.content.keys import ContentKey
from backend.content.language import language_of
from backend.content.problems import Verdict
from backend.content.status import CoverStatus, ItemAction
from backend.content.written import CoverBrief, Written
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import contents, cover_rows, cover_versions
from backend.storage.contents import LockedRoadmap
from backend.storage.cover_versions import StoredPictures
from backend.storage.engine import wait_at_most
from backend.storage.facts import load_cover_facts
from backend.storage.items import StoredItem
from backend.storage.objects import Objects
from backend.storage.recorded import storable

MOST_TOPICS = 12


def lock(connection: Connection, owner_id: str) -> LockedRoadmap | None:
    """A cover needs the title: framework_data that cannot be read must not keep it from being made."""
    return contents.lock_unread_roadmap(connection, owner_id)


lock_to_end = lock


def load(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    return load_cover_facts(connection, key)


def declared(connection: Connection, key: ContentKey, owner: LockedRoadmap | None) -> str | None:
    row = cover_rows.find(connection, key.owner_id)
    return row.status if row else None


def begin(
    connection: Connection, item: StoredItem, owner: LockedRoadmap | None, verdict: Verdict | None, now: datetime,
) -> Work | ItemError:
    gone = ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap was deleted in the meantime."))
    if owner is None:
        return gone
    if item.action is not ItemAction.DRAFT:
        cover_rows.begin(connection, item.key.owner_id, now)
        return Work(_brief(connection, owner))
    version = cover_versions.of_item(connection, item.item_id)
    return Work(_brief(connection, owner, version.note)) if version else gone


def repair(connection: Connection, item: StoredItem, owner: LockedRoadmap) -> None:
    """Nothing: the row of a cover is what declares it."""


def keep(objects: Objects, item: StoredItem, written: Written) -> Stored:
    """At each try to save it under the same addresses, whoever saves it: none leaves pictures behind that no row names."""
    return keep_pictures(objects, written, f"{item.operation_id}/{item.item_id}")


def keep_pictures(objects: Objects, written: Written, made_for: str) -> Stored:
    """Both pictures under addresses of their own. Raises ItemError when the store does not take them."""
    pictures = (written.content.large, written.content.thumbnail)
    return tuple(objects.put_picture(path_of_made(picture, made_for), picture) for picture in pictures)


def discard_pictures(objects: Objects, stored: Stored) -> None:
    """No row names them, and none ever will. Raises StoreUnreachable."""
    for url in stored:
        objects.delete(objects.path_of(url))


def keep_late(redrive: Redrive, item: StoredItem, written: Written, *, wait_seconds: float) -> bool:
    """What came too late for its item, and was paid for: a version beside what is published, for people to choose.

    False: its roadmap is gone, and nothing is left in the store. Raises ItemError, and a database error when the roadmap is held.
    """
    check(written.content)
    roadmap_id, stored = item.key.owner_id, keep(redrive.objects, item, written)
    pictures = StoredPictures(*stored)
    with redrive.engine.begin() as connection:
        wait_at_most(connection, wait_seconds)
        is_there = lock(connection, roadmap_id) is not None
        is_named = cover_versions.of_address(connection, roadmap_id, pictures.large_url) is not None
        if is_there and not is_named:
            cover_versions.insert_made(connection, roadmap_id, written, pictures, made_by="", now=utc_now(), item_id=item.item_id)
    if not (is_there or is_named):
        discard_pictures(redrive.objects, stored)
    return is_there or is_named


def finish(
    connection: Connection, item: StoredItem, owner: LockedRoadmap | None, written: Written, stored: Stored, now: datetime,
) -> None:
    pictures = StoredPictures(*stored)
    if item.action is ItemAction.DRAFT:
        is_there = cover_versions.finish(connection, item.item_id, written, pictures, now)
        if is_there and owner is not None:
            _publish_first(connection, item, pictures, now)
    else:
        is_there = owner is not None
        if is_there:
            _publish(connection, item, written, pictures, now)
    if not is_there:
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap was deleted while its cover was being made."))


def _publish(connection: Connection, item: StoredItem, written: Written, pictures: StoredPictures, now: datetime) -> None:
    """What another program published while it was painted stays, as with chapters: ours was paid for, and stands beside it."""
    roadmap_id = item.key.owner_id
    is_published = cover_rows.publish_first(connection, roadmap_id, pictures.large_url, now)
    cover_versions.insert_made(
        connection, roadmap_id, written, pictures, made_by="", now=now, item_id=item.item_id, is_published=is_published)
    _count(connection, item)


def _publish_first(connection: Connection, item: StoredItem, pictures: StoredPictures, now: datetime) -> None:
    """A version that was made where no cover stood is what readers wait for; beside one it waits to be chosen."""
    roadmap_id, version = item.key.owner_id, cover_versions.of_item(connection, item.item_id)
    row = cover_rows.find(connection, roadmap_id)
    if version is None or (row is not None and row.status == CoverStatus.SUCCESS):
        return
    cover_versions.mark_published(connection, roadmap_id, version.version_id, now)
    cover_rows.publish(connection, roadmap_id, pictures.large_url, now)
    _count(connection, item)


def end_without(connection: Connection, item: StoredItem, owner: LockedRoadmap | None, message: str, now: datetime) -> None:
    if item.action is ItemAction.DRAFT:
        cover_versions.mark_failed(connection, item.item_id, message)
    if owner is not None:  # a published cover stays as it is
        cover_rows.mark_failed(connection, item.key.owner_id, message, now)
        _count(connection, item)


def put_back(connection: Connection, item: StoredItem, owner: LockedRoadmap | None, now: datetime) -> None:
    if item.action is ItemAction.DRAFT:
        cover_versions.mark_failed(connection, item.item_id, _("Cancelled before it was complete."))
    else:
        cover_rows.put_back(connection, item.key.owner_id, item.previous_status)


def _count(connection: Connection, item: StoredItem) -> None:
    """A retry is a try of what had failed; one that was cancelled is none."""
    if item.previous_status == CoverStatus.FAILED:
        cover_rows.count_retry(connection, item.key.owner_id)


def _brief(connection: Connection, roadmap: LockedRoadmap, note: str = "") -> CoverBrief:
    concepts = contents.read_leniently(connection, roadmap.roadmap_id).concepts
    names = [*(concept.stage_name for concept in concepts), *(concept.module_name for concept in concepts)]
    topics = tuple(dict.fromkeys(storable(name) for name in names if name))[:MOST_TOPICS]
    return CoverBrief(roadmap.roadmap_id, roadmap.title, language_of(roadmap.title), topics, note)
