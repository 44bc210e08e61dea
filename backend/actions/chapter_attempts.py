"""One attempt at a chapter or at a draft of one: what it begins with, what is kept of it on its way, and what it saves.

See work.Family; all but `keep_partial` happen in the transaction of the attempt, see attempts.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from backend.actions.work import Stored, Work
from backend.content.errors import ErrorKind, ItemError
from backend.content.facts import KeyFacts, OwnerFacts
from backend.content.keys import ContentKey
from backend.content.problems import Verdict
from backend.content.status import ChapterStatus, ItemAction
from backend.content.written import Written
from backend.i18n import _
from backend.jobs import chapter_feed
from backend.redrive import Redrive
from backend.storage import chapters, drafts, leases
from backend.storage.chapters import LockedNovel
from backend.storage.facts import load_chapter_facts
from backend.storage.items import StoredItem
from backend.storage.objects import Objects


def lock(connection: Connection, owner_id: str) -> LockedNovel | None:
    return chapters.lock_novel(connection, owner_id)


lock_to_end = lock


def load(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    return load_chapter_facts(connection, key)


def declared(connection: Connection, key: ContentKey, owner: LockedNovel | None) -> str | None:
    row = chapters.find_chapter(connection, key.owner_id, key.chapter_number)
    return row.status if row else None


def begin(
    connection: Connection, item: StoredItem, owner: LockedNovel | None, verdict: Verdict | None, now: datetime,
) -> Work | ItemError:
    """An error says too what must be there before this chapter can be written."""
    gone = ItemError(ErrorKind.SAVE_OWNER_GONE, _("The novel or the draft was deleted in the meantime."))
    if owner is None:
        return gone
    if item.action is ItemAction.DRAFT:
        return _begin_draft(connection, item, owner) or gone
    number = item.key.chapter_number
    if not number:
        return ItemError(ErrorKind.SAVE_OWNER_GONE, _("It is no chapter, but a novel that could not be read."))
    if number > 1 and chapters.choice_before(connection, owner.novel_id, number) is None:
        return ItemError(ErrorKind.CHOICE_MISSING, _(
            "Chapter {number} needs the reader's choice at the end of chapter {before}, and there is none.").format(
                number=number, before=number - 1))
    row = chapters.find_chapter(connection, owner.novel_id, number)
    is_begun = row is not None and row.status == ChapterStatus.GENERATING and not row.content
    chapter_id = row.chapter_id if row and is_begun else chapters.begin(connection, owner.novel_id, number, now)
    return Work(chapters.load_brief(connection, owner, number), chapter_id)


def _begin_draft(connection: Connection, item: StoredItem, novel: LockedNovel) -> Work | None:
    draft = drafts.of_item(connection, item.item_id)
    if draft is None:
        return None
    brief = chapters.load_brief(connection, novel, draft.chapter_number, draft.note)
    return Work(replace(brief, model=draft.model, temperature=draft.temperature), draft.draft_id)


def repair(connection: Connection, item: StoredItem, owner: LockedNovel) -> None:
    """Nothing: the row of a chapter is what declares it."""


def keep_partial(redrive: Redrive, item: StoredItem, stream_id: str, title: str, content: str) -> None:
    """What is there so far: it outlives the worker. Nothing when the attempt holds its item no more."""
    with redrive.engine.begin() as connection:
        if leases.holds(connection, item):
            keep = drafts.keep_partial if item.action is ItemAction.DRAFT else chapters.keep_partial
            keep(connection, stream_id, title.replace("\x00", ""), content.replace("\x00", ""))


def keep_told(redrive: Redrive, connection: Connection, item: StoredItem) -> None:
    """Its worker is stopped by force, or gone: what watchers have seen of the text is kept, up to the last 100 ms."""
    if item.action is ItemAction.DRAFT:
        row, keep = drafts.of_item(connection, item.item_id), drafts.keep_partial
        stream_id = row.draft_id if row else ""
    else:
        row, keep = chapters.find_chapter(connection, item.key.owner_id, item.key.chapter_number), chapters.keep_partial
        stream_id = row.chapter_id if row else ""
    title, text = chapter_feed.told(redrive.redis, stream_id) if stream_id else ("", "")
    if row and len(text) > len(row.content) and lock(connection, item.key.owner_id) and leases.holds(connection, item):
        keep(connection, stream_id, title.replace("\x00", ""), text.replace("\x00", ""))


def keep(objects: Objects, item: StoredItem, written: Written) -> Stored:
    return ()  # it is all in its row


def finish(
    connection: Connection, item: StoredItem, owner: LockedNovel | None, written: Written, stored: Stored, now: datetime,
) -> None:
    if item.action is ItemAction.DRAFT:
        is_there = drafts.finish(connection, item.item_id, written.content, now)
    else:
        is_there = owner is not None and chapters.finish(connection, item.item_id, item.key, written.content, now)
    if not is_there:
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The chapter was deleted while it was being written."))


def end_without(connection: Connection, item: StoredItem, owner: LockedNovel | None, message: str, now: datetime) -> None:
    """Its row says so, and keeps what is there of the text."""
    if item.action is ItemAction.DRAFT:
        drafts.mark_failed(connection, item.item_id, message, now)
    else:
        chapters.mark_failed(connection, item.key, message)


def put_back(connection: Connection, item: StoredItem, owner: LockedNovel | None, now: datetime) -> None:
    """Its row says that it was cancelled, and keeps what is there of the text."""
    end_without(connection, item, owner, _("Cancelled before it was complete."), now)
