"""One attempt at a chapter or at a draft of one: what it begins with, what is kept of it on its way, and what it saves.

All but `keep_partial` happen in the transaction of the attempt, see attempts.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey
from backend.content.status import ChapterStatus, ItemAction
from backend.content.written import Chapter, ChapterBrief
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import chapters, drafts, leases
from backend.storage.chapters import LockedNovel
from backend.storage.items import StoredItem


@dataclass(frozen=True, slots=True)
class ChapterWork:
    brief: ChapterBrief
    stream_id: str  # chapter_id or draft_id: whose stream its watchers follow


def begin(connection: Connection, item: StoredItem, novel: LockedNovel, now: datetime) -> ChapterWork | ItemError | None:
    """What is to be written. None: there is nothing to do any more. The novel is locked and the item claimed.

    An error says what must be there before this chapter can be written.
    """
    if item.action is ItemAction.DRAFT:
        return _begin_draft(connection, item, novel)
    number = int(item.key.part)
    if number > 1 and chapters.choice_before(connection, novel.novel_id, number) is None:
        return ItemError(ErrorKind.PLATFORM_ERROR, _(
            "Chapter {number} needs the reader's choice at the end of chapter {before}, and there is none.").format(
                number=number, before=number - 1))
    row = chapters.find_chapter(connection, novel.novel_id, number)
    is_begun = row is not None and row.status == ChapterStatus.GENERATING and not row.content
    chapter_id = row.chapter_id if row and is_begun else chapters.begin(connection, novel.novel_id, number, now)
    return ChapterWork(chapters.load_brief(connection, novel, number), chapter_id)


def _begin_draft(connection: Connection, item: StoredItem, novel: LockedNovel) -> ChapterWork | None:
    draft = drafts.of_item(connection, item.item_id)
    if draft is None:
        return None
    brief = chapters.load_brief(connection, novel, draft.chapter_number, draft.note)
    return ChapterWork(replace(brief, model=draft.model, temperature=draft.temperature), draft.draft_id)


def declared(connection: Connection, key: ContentKey) -> str | None:
    row = chapters.find_chapter(connection, key.owner_id, int(key.part))
    return row.status if row else None


def keep_partial(redrive: Redrive, item: StoredItem, stream_id: str, title: str, content: str) -> None:
    """What is there so far: it outlives the worker. Nothing when the attempt holds its item no more."""
    with redrive.engine.begin() as connection:
        if leases.holds(connection, item):
            keep = drafts.keep_partial if item.action is ItemAction.DRAFT else chapters.keep_partial
            keep(connection, stream_id, title.replace("\x00", ""), content.replace("\x00", ""))


def finish(connection: Connection, item: StoredItem, written: Chapter, now: datetime) -> None:
    """Raises ItemError when what it is for is gone."""
    if item.action is ItemAction.DRAFT:
        is_there = drafts.finish(connection, item.item_id, written, now)
    else:
        is_there = chapters.finish(connection, item.key.owner_id, int(item.key.part), written, now)
    if not is_there:
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The chapter was deleted while it was being written."))


def end_without(connection: Connection, item: StoredItem, message: str, now: datetime) -> None:
    """It failed, or was cancelled: its row says so, and keeps what is there of the text."""
    if item.action is ItemAction.DRAFT:
        drafts.mark_failed(connection, item.item_id, message, now)
    else:
        chapters.mark_failed(connection, item.key, message)
