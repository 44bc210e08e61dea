"""Novels with their chapters as a strip of states, judged at this moment by the detector's rule."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from backend.clock import utc_now
from backend.content.chapters import StripState
from backend.content.detector import judge_owner
from backend.content.keys import ContentKind, Owner, OwnerKind
from backend.content.problems import KeyState, ProblemKind, Verdict
from backend.content.status import ChapterStatus
from backend.redrive import Redrive
from backend.storage.facts import load_facts
from backend.storage.ops_tables import problems
from backend.storage.platform_tables import chapters, novels
from backend.views.listing import as_of

_OF_PROBLEM = {
    ProblemKind.FAILED: StripState.FAILED, ProblemKind.MISSING: StripState.MISSING, ProblemKind.STALE: StripState.STALE,
    ProblemKind.INVALID: StripState.INVALID, ProblemKind.DRIFTED: StripState.INVALID, ProblemKind.CANCELLED: StripState.MISSING,
    ProblemKind.UNREADABLE: StripState.INVALID,
}
_OF_KEY = {KeyState.HEALTHY: StripState.COMPLETED, KeyState.IN_PROGRESS: StripState.GENERATING, KeyState.WAITING: StripState.MISSING}
_OF_STATUS = {ChapterStatus.COMPLETED: StripState.COMPLETED, ChapterStatus.GENERATING: StripState.GENERATING}
_PROBLEMS_OF = {
    StripState.FAILED: (ProblemKind.FAILED,), StripState.MISSING: (ProblemKind.MISSING, ProblemKind.CANCELLED),
    StripState.STALE: (ProblemKind.STALE,), StripState.INVALID: (ProblemKind.INVALID, ProblemKind.DRIFTED, ProblemKind.UNREADABLE),
}


@dataclass(frozen=True, slots=True)
class StripCell:
    chapter_number: int
    state: StripState
    chapter_id: str  # "": no row
    title: str = ""


@dataclass(frozen=True, slots=True)
class NovelRow:
    novel_id: str
    title: str
    language: str
    created_at: datetime
    problem_count: int
    strip: tuple[StripCell, ...]  # by number


@dataclass(frozen=True, slots=True)
class NovelPage:
    as_of: datetime
    rows: tuple[NovelRow, ...]
    total: int


def strip_state(verdict: Verdict | None, status: str | None) -> StripState:
    """How a chapter stands. Without a verdict: as its row says, or missing."""
    if verdict is None:
        return _OF_STATUS.get(status, StripState.FAILED if status else StripState.MISSING)
    return _OF_PROBLEM[verdict.problem.kind] if verdict.problem else _OF_KEY[verdict.state]


def novel_page(
    redrive: Redrive, *, search: str = "", state: StripState | None = None, language: str = "", page: int = 1, page_size: int = 25,
) -> NovelPage:
    """Novels, those with most problems first. `search` in titles and texts; `state`: with at least one such chapter."""
    count = func.coalesce(
        select(func.count()).where(problems.c.owner_id == novels.c.id, problems.c.kind == ContentKind.CHAPTER).scalar_subquery(), 0)
    conditions = _conditions(search.strip(), state, language)
    query = (
        select(novels.c.id).where(*conditions).order_by(count.desc(), novels.c.created_at.desc(), novels.c.id)
        .limit(page_size).offset((page - 1) * page_size))
    with redrive.engine.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(novels).where(*conditions)) or 0
        rows = _rows(redrive, connection, list(connection.scalars(query)))
        return NovelPage(as_of(connection), rows, total)


def novel_row(redrive: Redrive, novel_id: str) -> NovelRow | None:
    with redrive.engine.connect() as connection:
        return next(iter(_rows(redrive, connection, [novel_id])), None)


def languages(redrive: Redrive) -> tuple[str, ...]:
    """Languages of novels, for the filter."""
    with redrive.engine.connect() as connection:
        return tuple(connection.scalars(select(novels.c.language).distinct().where(novels.c.language > "").order_by(novels.c.language)))


def _conditions(search: str, state: StripState | None, language: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if search:
        conditions.append(or_(novels.c.title.icontains(search, autoescape=True), exists().where(
            chapters.c.novel_id == novels.c.id,
            or_(chapters.c.title.icontains(search, autoescape=True), chapters.c.content.icontains(search, autoescape=True)))))
    if language:
        conditions.append(novels.c.language == language)
    if state in _PROBLEMS_OF:
        conditions.append(exists().where(
            problems.c.owner_id == novels.c.id, problems.c.kind == ContentKind.CHAPTER, problems.c.problem_kind.in_(_PROBLEMS_OF[state])))
    elif state is not None:
        conditions.append(exists().where(chapters.c.novel_id == novels.c.id, chapters.c.status == state.value))
    return conditions


def _rows(redrive: Redrive, connection: Connection, novel_ids: list[str]) -> tuple[NovelRow, ...]:
    """In the order of the ids."""
    if not novel_ids:
        return ()
    found = {row.id: row for row in connection.execute(select(novels).where(novels.c.id.in_(novel_ids)))}
    facts = load_facts(connection, [Owner(OwnerKind.NOVEL, novel_id) for novel_id in found], every_key=True)
    written = {(row.novel_id, row.chapter_number): row for row in connection.execute(select(
        chapters.c.id, chapters.c.novel_id, chapters.c.chapter_number, chapters.c.title).where(chapters.c.novel_id.in_(novel_ids)))}
    now = utc_now()
    rows = []
    for novel_id in filter(found.__contains__, novel_ids):
        owner = facts.get(Owner(OwnerKind.NOVEL, novel_id))
        verdicts = [verdict for verdict in judge_owner(owner, now, redrive.limits) if verdict.key.part] if owner else []
        cells = [_cell(verdict, written.get((novel_id, int(verdict.key.part)))) for verdict in verdicts]
        novel = found[novel_id]
        rows.append(NovelRow(
            novel_id, novel.title, novel.language or "", novel.created_at, sum(verdict.problem is not None for verdict in verdicts),
            tuple(sorted(cells, key=lambda cell: cell.chapter_number))))
    return tuple(rows)


def _cell(verdict: Verdict, row) -> StripCell:
    return StripCell(int(verdict.key.part), strip_state(verdict, None), row.id if row else "", (row.title or "") if row else "")
