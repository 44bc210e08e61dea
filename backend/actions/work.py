"""What one attempt works on, and what each family of kinds has to say about it; the families themselves are in kinds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from backend.content.errors import ItemError
from backend.content.facts import KeyFacts, OwnerFacts
from backend.content.keys import ContentKey
from backend.content.problems import Verdict
from backend.content.written import ChapterBrief, ConceptBrief, CoverBrief, Written
from backend.storage.chapters import LockedNovel
from backend.storage.contents import LockedRoadmap
from backend.storage.items import StoredItem
from backend.storage.objects import Objects

LockedOwner = LockedRoadmap | LockedNovel
Stored = tuple[str, ...]  # addresses in the object store, in an order of the family's own


@dataclass(frozen=True, slots=True)
class Work:
    brief: ConceptBrief | ChapterBrief | CoverBrief
    stream_id: str = ""  # chapter_id or draft_id: whose stream its watchers follow


class Family(Protocol):
    """A module, for the kinds that are begun and end alike. All but `keep` happen in the transaction of the caller."""

    def lock(self, connection: Connection, owner_id: str) -> LockedOwner | None:
        """The owner, held until the transaction ends. None: it is gone."""

    def lock_to_end(self, connection: Connection, owner_id: str) -> LockedOwner | None:
        """The same; an owner that cannot be read must not keep its items from ending."""

    def load(self, connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
        """Facts about one key. None: nothing says that it should exist."""

    def declared(self, connection: Connection, key: ContentKey, owner: LockedOwner | None) -> str | None: ...

    def begin(
        self, connection: Connection, item: StoredItem, owner: LockedOwner | None, verdict: Verdict | None, now: datetime,
    ) -> Work | ItemError:
        """What is to be written, which is marked generating by now. An error says why it cannot be."""

    def repair(self, connection: Connection, item: StoredItem, owner: LockedOwner) -> None:
        """It is saved: its status is put right."""

    def keep(self, objects: Objects, item: StoredItem, written: Written) -> Stored:
        """What of it belongs into the object store, before its row is written. Raises ItemError when the store does not take it."""

    def finish(
        self, connection: Connection, item: StoredItem, owner: LockedOwner | None, written: Written, stored: Stored, now: datetime,
    ) -> None:
        """Raises ItemError when what it is for is gone."""

    def end_without(self, connection: Connection, item: StoredItem, owner: LockedOwner | None, message: str, now: datetime) -> None:
        """It failed, and is declared so."""

    def put_back(self, connection: Connection, item: StoredItem, owner: LockedOwner | None, now: datetime) -> None:
        """It was cancelled: what it marked as generating is what it was before. Another mark is somebody else's and stays."""
