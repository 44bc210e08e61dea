"""ops.drafts: failed tries, drafts of editors and earlier versions of chapters."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from backend.content.chapters import ChapterOption, Draft, DraftKind, DraftState
from backend.content.written import Chapter
from backend.storage.ops_tables import drafts


class Source(Protocol):
    """A chapter's row."""

    chapter_id: str
    novel_id: str
    chapter_number: int
    title: str
    content: str
    error_message: str
    version: str


def _as_draft(row: Any) -> Draft:
    found = tuple(ChapterOption(option.get("text", ""), option.get("impact", "")) for option in row.options)
    return Draft(
        row.draft_id, row.novel_id, row.chapter_id, row.chapter_number, DraftKind(row.kind), DraftState(row.state), row.title, row.content,
        found, row.error_message, row.note, row.model, row.temperature, row.actor_id, row.reason, row.base_version, row.item_id,
        row.created_at, row.settled_at)


def archive(
    connection: Connection, row: Source, kind: DraftKind, state: DraftState, options: tuple[ChapterOption, ...], now: datetime,
) -> str:
    """Keep the text of a chapter's row as it stands."""
    draft_id = str(uuid4())
    connection.execute(insert(drafts).values(
        draft_id=draft_id, novel_id=row.novel_id, chapter_id=row.chapter_id, chapter_number=row.chapter_number, kind=kind, state=state,
        actor_id="", title=row.title, content=row.content, error_message=row.error_message, base_version=row.version,
        options=[asdict(option) for option in options], created_at=now, settled_at=now))
    return draft_id


def insert_draft(
    connection: Connection, row: Source, *, actor_id: str, note: str, model: str, temperature: float | None, item_id: int, now: datetime,
) -> str:
    """A draft that is to be written, beside what is published."""
    draft_id = str(uuid4())
    connection.execute(insert(drafts).values(
        draft_id=draft_id, novel_id=row.novel_id, chapter_id=row.chapter_id, chapter_number=row.chapter_number, kind=DraftKind.DRAFT,
        state=DraftState.GENERATING, actor_id=actor_id, note=note, model=model, temperature=temperature, base_version=row.version,
        item_id=item_id, created_at=now))
    return draft_id


def insert_ready(connection: Connection, row: Source, item_id: int, written: Chapter, now: datetime) -> None:
    """A whole text beside what is published, for people to decide about."""
    connection.execute(insert(drafts).values(
        draft_id=str(uuid4()), novel_id=row.novel_id, chapter_id=row.chapter_id, chapter_number=row.chapter_number, kind=DraftKind.DRAFT,
        state=DraftState.READY, actor_id="", title=written.title, content=written.content, base_version=row.version, item_id=item_id,
        options=_options(written), created_at=now, settled_at=now))


def find(connection: Connection, draft_id: str, *, is_locked: bool = False) -> Draft | None:
    query = select(drafts).where(drafts.c.draft_id == draft_id)
    row = connection.execute(query.with_for_update() if is_locked else query).one_or_none()
    return _as_draft(row) if row else None


def of_item(connection: Connection, item_id: int) -> Draft | None:
    row = connection.execute(select(drafts).where(drafts.c.item_id == item_id)).one_or_none()
    return _as_draft(row) if row else None


def of_chapter(connection: Connection, novel_id: str, chapter_number: int) -> tuple[Draft, ...]:
    """Newest first."""
    rows = connection.execute(select(drafts).where(drafts.c.novel_id == novel_id, drafts.c.chapter_number == chapter_number)
                              .order_by(drafts.c.created_at.desc(), drafts.c.draft_id))
    return tuple(map(_as_draft, rows))


def swapped_since(connection: Connection, novel_id: str, chapter_number: int, since: datetime) -> tuple[int, ...]:
    """Chapters before this one whose text was changed after that time."""
    return tuple(connection.scalars(
        select(drafts.c.chapter_number).distinct().where(
            drafts.c.novel_id == novel_id, drafts.c.chapter_number < chapter_number, drafts.c.kind == DraftKind.VERSION,
            drafts.c.created_at > since).order_by(drafts.c.chapter_number)))


def keep_partial(connection: Connection, draft_id: str, title: str, content: str) -> None:
    connection.execute(update(drafts).where(drafts.c.draft_id == draft_id, drafts.c.state == DraftState.GENERATING)
                       .values(title=title, content=content))


def finish(connection: Connection, item_id: int, written: Chapter, now: datetime) -> bool:
    """generating -> ready. False: it is gone or was decided."""
    return connection.execute(update(drafts).where(drafts.c.item_id == item_id, drafts.c.state == DraftState.GENERATING).values(
        state=DraftState.READY, title=written.title, content=written.content, settled_at=now,
        options=_options(written))).rowcount == 1


def _options(written: Chapter) -> list[dict[str, str]]:
    return [{"text": option.text, "impact": option.impact} for option in written.options]


def mark_failed(connection: Connection, item_id: int, message: str, now: datetime) -> None:
    """generating -> failed, with what is there of its text."""
    connection.execute(update(drafts).where(drafts.c.item_id == item_id, drafts.c.state == DraftState.GENERATING).values(
        state=DraftState.FAILED, error_message=message, settled_at=now))


def decide(connection: Connection, draft_id: str, state: DraftState, reason: str, now: datetime) -> None:
    """The draft must be locked."""
    connection.execute(update(drafts).where(drafts.c.draft_id == draft_id).values(state=state, reason=reason, settled_at=now))
