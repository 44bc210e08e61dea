"""Which family a kind of content belongs to: one row for each kind, and no question of kind anywhere else."""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection

from backend.actions import chapter_attempts, concept_attempts, cover_attempts
from backend.actions.work import Family
from backend.content.keys import ContentKind
from backend.content.status import ItemAction
from backend.content.written import Written
from backend.redrive import Redrive
from backend.storage.items import StoredItem

FAMILIES: Mapping[ContentKind, Family] = MappingProxyType({
    ContentKind.TUTORIAL: concept_attempts,
    ContentKind.RESOURCES: concept_attempts,
    ContentKind.QUIZ: concept_attempts,
    ContentKind.CHAPTER: chapter_attempts,
    ContentKind.COVER: cover_attempts,
})


def family_of(item: StoredItem) -> Family:
    return FAMILIES[item.key.kind]


def keep_told(redrive: Redrive, connection: Connection, item: StoredItem) -> None:
    """Before its worker is given up: what is known of an unfinished text is kept."""
    if item.key.kind is ContentKind.CHAPTER:
        chapter_attempts.keep_told(redrive, connection, item)


def keep_late(redrive: Redrive, item: StoredItem, written: Written, *, wait_seconds: float) -> bool:
    """What came too late for its item stands where people can choose it. False: it has no such place, or what it is for is gone.

    Raises ItemError, and a database error when somebody holds its rows for longer than that.
    """
    return item.key.kind is ContentKind.COVER and cover_attempts.keep_late(redrive, item, written, wait_seconds=wait_seconds)


def is_marked_when_planned(item: StoredItem) -> bool:
    """Its row was written with the item: it has to end even when no worker ever began it."""
    return item.key.kind is ContentKind.CHAPTER or item.action is ItemAction.DRAFT
