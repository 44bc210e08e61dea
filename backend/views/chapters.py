"""One chapter: what readers see, how it came about, its drafts and versions; and the comparison of two texts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from backend.clock import utc_now
from backend.content import wording
from backend.content.chapters import ChapterOption, Draft, DraftKind, StripState
from backend.content.comparing import Piece, PieceKind, Statistics, pieces_of, statistics
from backend.content.detector import judge_owner
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import Verdict
from backend.content.status import ItemAction, ItemState, begun_attempts
from backend.redrive import Redrive
from backend.storage import chapters, drafts
from backend.storage.chapters import ChapterRow, LockedNovel
from backend.storage.facts import load_facts
from backend.storage.ops_tables import items
from backend.views.novels import strip_state

UNSETTLED = (ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING)
MOST_TRIES = 50


@dataclass(frozen=True, slots=True)
class TryRow:
    item_id: int
    operation_id: str
    state: ItemState
    begun_attempts: int
    error_message: str
    generator: str
    started_at: datetime | None
    settled_at: datetime | None
    is_draft: bool = False  # of a draft beside the published text


@dataclass(frozen=True, slots=True)
class Choice:
    """That of the readers which led here."""

    chapter_number: int
    text: str
    impact: str


@dataclass(frozen=True, slots=True)
class ChapterView:
    as_of: datetime
    novel_id: str
    novel_title: str
    language: str
    chapter_id: str       # "": no row
    chapter_number: int
    state: StripState
    reason: str           # in words, "" when nothing is wrong
    title: str
    content: str          # of a failed one: what was there of it
    version: str
    options: tuple[ChapterOption, ...]
    chosen: tuple[int, ...]       # positions of options that readers chose, from 0
    choice: Choice | None
    is_choice_missing: bool       # chapter n > 1 without a choice in n - 1
    error_message: str
    operation_id: str             # that works on it now, "" if none
    item_id: int | None           # to cancel it
    tries: tuple[TryRow, ...]     # newest first
    failed_tries: tuple[Draft, ...]
    drafts: tuple[Draft, ...]     # newest first
    versions: tuple[Draft, ...]   # newest first
    older_text: tuple[int, ...]   # chapters before it whose text was changed after this one was written
    last_chapter_number: int
    created_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    published_title: str
    published: str
    draft: Draft
    title_pieces: tuple[Piece, ...]
    pieces: tuple[Piece, ...]  # inline: removed and added words in the order of reading
    published_options: tuple[ChapterOption, ...]
    option_pieces: tuple[tuple[Piece, ...], ...]
    published_statistics: Statistics
    draft_statistics: Statistics
    version: str               # of the published text, for accept
    chosen: tuple[int, ...]    # published options that readers chose: they stay


def chapter(redrive: Redrive, novel_id: str, chapter_number: int) -> ChapterView | None:
    """None: no such novel, or neither a chapter nor anything that should become one."""
    now = utc_now()
    with redrive.engine.connect() as connection:
        novel = chapters.find_novel(connection, novel_id)
        owner = Owner(OwnerKind.NOVEL, novel_id)
        facts = load_facts(connection, [owner], every_key=True).get(owner)
        if novel is None or facts is None:
            return None
        key = ContentKey(ContentKind.CHAPTER, novel_id, str(chapter_number))
        verdict = next((found for found in judge_owner(facts, now, redrive.limits) if found.key == key), None)
        row = chapters.find_chapter(connection, novel_id, chapter_number)
        is_next = 1 < chapter_number <= chapters.latest_number(connection, novel_id) + 1  # its choice may be missing
        if row is None and verdict is None and not is_next:
            return None
        return _view(connection, now, novel, chapter_number, row, verdict)


def _view(
    connection: Connection, now: datetime, novel: LockedNovel, number: int, row: ChapterRow | None, verdict: Verdict | None,
) -> ChapterView:
    choice = chapters.choice_before(connection, novel.novel_id, number) if number > 1 else None
    tries = _tries(connection, novel.novel_id, number)
    working = next((found for found in tries if found.state in UNSETTLED), None)
    version = row.version if row else ""
    told = drafts.of_chapter(connection, novel.novel_id, number)
    by_kind = {kind: tuple(draft for draft in told if draft.kind is kind) for kind in DraftKind}
    problem = verdict.problem if verdict else None
    return ChapterView(
        as_of=now, novel_id=novel.novel_id, novel_title=novel.title, language=novel.language, chapter_id=row.chapter_id if row else "",
        chapter_number=number, state=strip_state(verdict, row.status if row else None),
        reason=wording.reason(problem.kind, problem.declared, problem.detail, problem.error_message) if problem else "",
        title=row.title if row else "", content=row.content if row else "", version=version,
        options=chapters.options_of(connection, row.chapter_id) if row else (),
        chosen=chapters.chosen_positions(connection, row.chapter_id) if row else (),
        choice=Choice(number - 1, choice.text, choice.impact) if choice else None,
        is_choice_missing=number > 1 and choice is None, error_message=row.error_message if row else "",
        operation_id=working.operation_id if working else "", item_id=working.item_id if working else None, tries=tries,
        failed_tries=by_kind[DraftKind.FAILED_TRY], drafts=by_kind[DraftKind.DRAFT], versions=by_kind[DraftKind.VERSION],
        older_text=drafts.swapped_since(connection, novel.novel_id, number, row.completed_at) if row and row.completed_at else (),
        last_chapter_number=chapters.latest_number(connection, novel.novel_id), created_at=row.created_at if row else None,
        completed_at=row.completed_at if row else None)


def _tries(connection: Connection, novel_id: str, chapter_number: int) -> tuple[TryRow, ...]:
    rows = connection.execute(select(items).where(
        items.c.kind == ContentKind.CHAPTER, items.c.owner_id == novel_id, items.c.part == str(chapter_number))
        .order_by(items.c.item_id.desc()).limit(MOST_TRIES))
    return tuple(TryRow(
        row.item_id, row.operation_id, ItemState(row.state),
        begun_attempts(row.attempt, ItemState(row.state), row.started_at), row.error_message or "", row.generator or "", row.started_at,
        row.settled_at, row.action == ItemAction.DRAFT) for row in rows)


def chapter_number_of(redrive: Redrive, chapter_id: str) -> tuple[str, int] | None:
    """(novel_id, chapter_number) of a row, or of a draft."""
    with redrive.engine.connect() as connection:
        row = chapters.chapter_by_id(connection, chapter_id) or drafts.find(connection, chapter_id)
        return (row.novel_id, row.chapter_number) if row else None


def compare(redrive: Redrive, draft_id: str) -> Comparison | None:
    """A draft or version against what is published now. None: no such draft or chapter."""
    with redrive.engine.connect() as connection:
        found = drafts.find(connection, draft_id)
        row = chapters.find_chapter(connection, found.novel_id, found.chapter_number) if found else None
        if found is None or row is None:
            return None
        options = chapters.options_of(connection, row.chapter_id)
        chosen = chapters.chosen_positions(connection, row.chapter_id)
    pieces = pieces_of(row.content, found.content)
    return Comparison(
        row.title, row.content, found, pieces_of(row.title, found.title), pieces, options,
        _option_pieces(options, found.options), statistics(row.content, pieces), statistics(found.content, pieces), row.version, chosen)


def _option_pieces(old: tuple[ChapterOption, ...], new: tuple[ChapterOption, ...]) -> tuple[tuple[Piece, ...], ...]:
    """One entry for each place: an option, with its impact on a line of its own."""
    def words(options: tuple[ChapterOption, ...], at: int) -> str:
        return f"{options[at].text}\n{options[at].impact}".rstrip() if at < len(options) else ""
    return tuple(pieces_of(words(old, at), words(new, at)) for at in range(max(len(old), len(new))))


__all__ = ["ChapterView", "Choice", "Comparison", "Draft", "Piece", "PieceKind", "Statistics", "TryRow", "chapter", "chapter_number_of",
           "compare"]
