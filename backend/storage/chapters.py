"""Rows of chapters and their options: begun, kept while they are written, finished, failed, swapped.

Whoever changes a chapter holds its novel: two clicks are one generation.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, DateTime, func, insert, select, text, update

from backend.content.chapters import ChapterOption, DraftKind, DraftState, version_of
from backend.content.keys import ContentKey
from backend.content.status import ChapterStatus
from backend.content.written import Chapter, ChapterBrief, EarlierChapter
from backend.storage import drafts
from backend.storage.platform_tables import chapters, novels, options, readable_time, user_choices


@dataclass(frozen=True, slots=True)
class LockedNovel:
    novel_id: str
    user_id: str
    title: str
    setting: str
    language: str


@dataclass(frozen=True, slots=True)
class ChapterRow:
    chapter_id: str
    novel_id: str
    chapter_number: int
    title: str
    content: str
    status: str
    error_message: str
    created_at: datetime | None
    completed_at: datetime | None

    @property
    def version(self) -> str:
        return version_of(self.title, self.content)


def lock_novel(connection: Connection, novel_id: str) -> LockedNovel | None:
    """The novel, held until the transaction ends. None: gone."""
    return _novel(connection, novel_id, is_locked=True)


def find_novel(connection: Connection, novel_id: str) -> LockedNovel | None:
    return _novel(connection, novel_id, is_locked=False)


def _novel(connection: Connection, novel_id: str, *, is_locked: bool) -> LockedNovel | None:
    query = select(*(novels.c[name] for name in ("id", "user_id", "title", "setting", "language"))).where(novels.c.id == novel_id)
    row = connection.execute(query.with_for_update(key_share=True) if is_locked else query).one_or_none()
    return LockedNovel(row.id, row.user_id, row.title, row.setting or "", row.language or "") if row else None


def find_chapter(connection: Connection, novel_id: str, chapter_number: int) -> ChapterRow | None:
    return _row(connection, chapters.c.novel_id == novel_id, chapters.c.chapter_number == chapter_number)


def chapter_by_id(connection: Connection, chapter_id: str) -> ChapterRow | None:
    return _row(connection, chapters.c.id == chapter_id)


def latest_number(connection: Connection, novel_id: str) -> int:
    """0: there is none yet."""
    return connection.scalar(select(func.coalesce(func.max(chapters.c.chapter_number), 0)).where(chapters.c.novel_id == novel_id)) or 0


def _row(connection: Connection, *conditions, is_locked: bool = False) -> ChapterRow | None:
    times = (readable_time(chapters.c[name]).label(name) for name in ("created_at", "generation_completed_at"))
    query = select(*(column for column in chapters.c if not isinstance(column.type, DateTime)), *times).where(*conditions)
    row = connection.execute(query.with_for_update() if is_locked else query).one_or_none()
    return ChapterRow(
        row.id, row.novel_id, row.chapter_number, row.title or "", row.content or "", row.status, row.error_message or "",
        row.created_at, row.generation_completed_at) if row else None


def options_of(connection: Connection, chapter_id: str) -> tuple[ChapterOption, ...]:
    rows = connection.execute(select(options.c.option_text, options.c.impact_description).where(options.c.chapter_id == chapter_id)
                              .order_by(options.c.option_order, options.c.id))
    return tuple(ChapterOption(row.option_text, row.impact_description or "") for row in rows)


def chosen_positions(connection: Connection, chapter_id: str) -> tuple[int, ...]:
    """Positions, from 0, of the options that readers chose."""
    rows = connection.scalars(text(
        "select o.at from (select id, row_number() over (order by option_order, id) - 1 as at from public.options "
        "  where chapter_id = :chapter_id) o "
        "where exists (select 1 from public.user_choices u where u.option_id = o.id) order by o.at"), {"chapter_id": chapter_id})
    return tuple(rows)


def choice_before(connection: Connection, novel_id: str, chapter_number: int) -> ChapterOption | None:
    """What was chosen in the chapter before: by the novel's own reader, else by whoever chose last."""
    row = connection.execute(text(
        "select o.option_text, o.impact_description from public.user_choices u join public.chapters c on c.id = u.chapter_id "
        "join public.options o on o.id = u.option_id join public.novels n on n.id = c.novel_id "
        "where c.novel_id = :novel_id and c.chapter_number = :number "
        "order by u.user_id = n.user_id desc, u.created_at desc, u.id limit 1"),
        {"novel_id": novel_id, "number": chapter_number - 1}).one_or_none()
    return ChapterOption(row.option_text, row.impact_description or "") if row else None


def has_choices(connection: Connection, chapter_id: str) -> bool:
    return bool(connection.scalar(select(select(user_choices.c.id).where(user_choices.c.chapter_id == chapter_id).exists())))


def begin(connection: Connection, novel_id: str, chapter_number: int, now: datetime) -> str:
    """The row of a new try, `generating`: its chapter_id. The novel must be locked.

    What was there of an earlier try goes to ops.drafts, with its error. A row that readers chose an option of stays, with its
    options: deleting it would delete their choices, without which the next chapter cannot be written.
    """
    row = find_chapter(connection, novel_id, chapter_number)
    if row is None:
        return _insert(connection, novel_id, chapter_number, now)
    if row.content or row.status == ChapterStatus.FAILED:
        drafts.archive(connection, row, DraftKind.FAILED_TRY, DraftState.FAILED, options_of(connection, row.chapter_id), now)
    if row.status != ChapterStatus.GENERATING and not has_choices(connection, row.chapter_id):
        connection.execute(options.delete().where(options.c.chapter_id == row.chapter_id))
        connection.execute(chapters.delete().where(chapters.c.id == row.chapter_id))
        return _insert(connection, novel_id, chapter_number, now)
    connection.execute(update(chapters).where(chapters.c.id == row.chapter_id).values(
        status=ChapterStatus.GENERATING, content="", error_message=None, created_at=now, generation_completed_at=None))
    return row.chapter_id


def _insert(connection: Connection, novel_id: str, chapter_number: int, now: datetime) -> str:
    chapter_id = str(uuid4())
    connection.execute(insert(chapters).values(
        id=chapter_id, novel_id=novel_id, chapter_number=chapter_number, content="", status=ChapterStatus.GENERATING, created_at=now))
    return chapter_id


def keep_partial(connection: Connection, chapter_id: str, title: str, content: str) -> None:
    """What is there of a text that is being written: it outlives a worker that is killed."""
    connection.execute(update(chapters).where(chapters.c.id == chapter_id, chapters.c.status == ChapterStatus.GENERATING)
                       .values(title=title or chapters.c.title, content=content))


def finish(connection: Connection, item_id: int, key: ContentKey, written: Chapter, now: datetime) -> bool:
    """Text, options and status. Options that readers chose from stay. False: there is no such row any more.

    Another program may have published a whole chapter meanwhile: readers keep what they see, and ours is a draft beside it. What it
    published without options makes way, and is kept as a version.
    """
    row = _row(connection, chapters.c.novel_id == key.owner_id, chapters.c.chapter_number == key.chapter_number, is_locked=True)
    if row is None:
        return False
    if row.status == ChapterStatus.COMPLETED and row.content.strip() and row.version != version_of(written.title, written.content):
        found = options_of(connection, row.chapter_id)
        if found:
            drafts.insert_ready(connection, row, item_id, written, now)
            return True
        drafts.archive(connection, row, DraftKind.VERSION, DraftState.ARCHIVED, found, now)
    connection.execute(update(chapters).where(chapters.c.id == row.chapter_id).values(
        title=written.title, content=written.content, status=ChapterStatus.COMPLETED, error_message=None, generation_completed_at=now))
    replace_options(connection, row.chapter_id, tuple(ChapterOption(option.text, option.impact) for option in written.options))
    return True


def replace_options(connection: Connection, chapter_id: str, found: tuple[ChapterOption, ...]) -> bool:
    """False: readers chose one of the old ones, so those stay."""
    if has_choices(connection, chapter_id):
        return False
    connection.execute(options.delete().where(options.c.chapter_id == chapter_id))
    if found:
        connection.execute(insert(options), [
            {"id": str(uuid4()), "chapter_id": chapter_id, "option_order": place, "option_text": option.text,
             "impact_description": option.impact or None} for place, option in enumerate(found, start=1)])
    return True


def mark_failed(connection: Connection, key: ContentKey, message: str) -> None:
    """generating -> failed, with what is there of its text."""
    connection.execute(update(chapters).where(
        chapters.c.novel_id == key.owner_id, chapters.c.chapter_number == key.chapter_number, chapters.c.status == ChapterStatus.GENERATING,
    ).values(status=ChapterStatus.FAILED, error_message=message))


def swap(connection: Connection, row: ChapterRow, title: str, content: str, found: tuple[ChapterOption, ...], now: datetime) -> bool:
    """Publish another text and keep the one before as a version. True: the old options stay, readers chose from them."""
    drafts.archive(connection, row, DraftKind.VERSION, DraftState.ARCHIVED, options_of(connection, row.chapter_id), now)
    connection.execute(update(chapters).where(chapters.c.id == row.chapter_id).values(
        title=title, content=content, generation_completed_at=now))
    return not replace_options(connection, row.chapter_id, found)


def later_completed(connection: Connection, novel_id: str, chapter_number: int) -> tuple[int, ...]:
    return tuple(connection.scalars(select(chapters.c.chapter_number).where(
        chapters.c.novel_id == novel_id, chapters.c.chapter_number > chapter_number, chapters.c.status == ChapterStatus.COMPLETED,
    ).order_by(chapters.c.chapter_number)))


def load_brief(connection: Connection, novel: LockedNovel, chapter_number: int, note: str = "") -> ChapterBrief:
    """What the writer is told: the chapters before with their choices, the last one in full."""
    rows = connection.execute(text(
        "select c.chapter_number, c.title, c.content, (select o.option_text from public.user_choices u "
        "  join public.options o on o.id = u.option_id where u.chapter_id = c.id "
        "  order by u.user_id = :user_id desc, u.created_at desc, u.id limit 1) as chosen "
        "from public.chapters c where c.novel_id = :novel_id and c.chapter_number < :number order by c.chapter_number"),
        {"novel_id": novel.novel_id, "user_id": novel.user_id, "number": chapter_number}).all()
    earlier = tuple(EarlierChapter(row.chapter_number, row.title or "", row.content or "", row.chosen or "") for row in rows)
    choice = choice_before(connection, novel.novel_id, chapter_number) if chapter_number > 1 else None
    return ChapterBrief(
        novel.novel_id, novel.title, novel.setting, novel.language, chapter_number, earlier,
        choice.text if choice else "", choice.impact if choice else "", note)
