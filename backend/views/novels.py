"""Novels with their chapters as a strip of states, judged at this moment by the detector's rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, any_, cast, exists, func, or_, select, union

from backend.clock import utc_now
from backend.content import wording
from backend.content.chapters import StripState
from backend.content.detector import judge_owner
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import KeyState, Problem, ProblemKind, Verdict
from backend.content.secrets import without_secrets
from backend.content.status import ChapterStatus, ItemAction, ItemState
from backend.redrive import Redrive
from backend.storage.facts import load_facts
from backend.storage.ops_tables import items, problems
from backend.storage.platform_tables import chapters, novels
from backend.views.listing import as_of

_OF_PROBLEM = {
    ProblemKind.FAILED: StripState.FAILED, ProblemKind.MISSING: StripState.MISSING, ProblemKind.STALE: StripState.STALE,
    ProblemKind.INVALID: StripState.INVALID, ProblemKind.DRIFTED: StripState.INVALID, ProblemKind.CANCELLED: StripState.MISSING,
    ProblemKind.UNREADABLE: StripState.INVALID,
}
_OF_KEY = {KeyState.HEALTHY: StripState.COMPLETED, KeyState.IN_PROGRESS: StripState.GENERATING, KeyState.WAITING: StripState.MISSING}
_OF_STATUS = {ChapterStatus.COMPLETED: StripState.COMPLETED, ChapterStatus.GENERATING: StripState.GENERATING}
PROBLEMS_OF = {state: tuple(kind for kind in ProblemKind if _OF_PROBLEM[kind] is state) for state in dict.fromkeys(_OF_PROBLEM.values())}
_IS_CHAPTER_PROBLEM = problems.c.kind == ContentKind.CHAPTER


@dataclass(frozen=True, slots=True)
class StripCell:
    chapter_number: int
    state: StripState
    chapter_id: str  # "": no row
    title: str = ""
    broken: "Broken | None" = None


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with a chapter."""

    key: ContentKey
    kind: ProblemKind
    reason: str           # in words, with the recorded error
    attempts: int         # of Redrive
    character_count: int  # of its text, as far as it is there


@dataclass(frozen=True, slots=True)
class NovelRow:
    novel_id: str
    title: str
    language: str
    problem_count: int
    strip: tuple[StripCell, ...]  # by number
    fault: str = ""               # why the novel as a whole cannot be read; its strip is empty then


@dataclass(frozen=True, slots=True)
class NovelPage:
    as_of: datetime
    rows: tuple[NovelRow, ...]
    total: int                     # novels that match
    counts: dict[StripState, int]  # chapters by state, in all novels that match search and language


@dataclass(frozen=True, slots=True)
class _Notes:
    """What is known of the chapters of some novels beside the facts that are judged, by (novel_id, number)."""

    rows: dict[tuple[str, int], Any] = field(default_factory=dict)
    attempts: dict[tuple[str, int], int] = field(default_factory=dict)


def strip_state(verdict: Verdict | None, status: str | None) -> StripState:
    """How a chapter stands. Without a verdict: as its row says, or missing."""
    if verdict is None:
        return _OF_STATUS.get(status, StripState.FAILED if status else StripState.MISSING)
    return _OF_PROBLEM[verdict.problem.kind] if verdict.problem else _OF_KEY[verdict.state]


def novel_page(
    redrive: Redrive, *, search: str = "", states: Sequence[StripState] = (), language: str = "", page: int = 1, page_size: int = 25,
) -> NovelPage:
    """Novels, those with most problems first. `search` in titles and texts; `states`: with a chapter in at least one of them."""
    broken = select(problems.c.owner_id, func.count().label("count")).where(_IS_CHAPTER_PROBLEM).group_by(problems.c.owner_id).subquery()
    with redrive.engine.connect() as connection:
        found, narrowed = _found(connection, search.strip(), language), _in_states(states)
        query = (
            select(novels.c.id).outerjoin(broken, broken.c.owner_id == novels.c.id).where(*found, *narrowed)
            .order_by(func.coalesce(broken.c.count, 0).desc(), novels.c.created_at.desc(), novels.c.id)
            .limit(page_size).offset((page - 1) * page_size))
        total = connection.scalar(select(func.count()).select_from(novels).where(*found, *narrowed)) or 0
        rows = _rows(redrive, connection, list(connection.scalars(query)))
        return NovelPage(as_of(connection), rows, total, _counts(connection, found))


def broken_keys(
    redrive: Redrive, *, search: str = "", states: Sequence[StripState] = (), language: str = "",
) -> tuple[ContentKey, ...]:
    """Every broken chapter of the novels that match, on all pages; with `states` those chapters alone."""
    with redrive.engine.connect() as connection:
        found = select(novels.c.id).where(*_found(connection, search.strip(), language))
        query = select(problems.c.owner_id, problems.c.part).where(_IS_CHAPTER_PROBLEM, problems.c.owner_id.in_(found))
        if states:
            query = query.where(problems.c.problem_kind.in_(problem_kinds(states)))
        rows = connection.execute(query.order_by(problems.c.since_at, problems.c.owner_id, problems.c.part))
        return tuple(ContentKey(ContentKind.CHAPTER, row.owner_id, row.part) for row in rows)


def problem_kinds(states: Sequence[StripState]) -> tuple[ProblemKind, ...]:
    """Of those states that are problems."""
    return tuple(kind for state in states for kind in PROBLEMS_OF.get(state, ()))


def novel_row(redrive: Redrive, novel_id: str) -> NovelRow | None:
    with redrive.engine.connect() as connection:
        return next(iter(_rows(redrive, connection, [novel_id])), None)


def languages(redrive: Redrive) -> tuple[str, ...]:
    """Languages of novels, for the filter."""
    with redrive.engine.connect() as connection:
        return tuple(connection.scalars(select(novels.c.language).distinct().where(novels.c.language > "").order_by(novels.c.language)))


def _found(connection: Connection, search: str, language: str) -> list[ColumnElement[bool]]:
    """Conditions on novels. Texts are searched once, here; several queries follow."""
    conditions: list[ColumnElement[bool]] = []
    if search:
        ids = connection.scalars(union(
            select(novels.c.id).where(_contains(novels.c.title, search)),
            *(select(chapters.c.novel_id).where(_contains(column, search)) for column in (chapters.c.title, chapters.c.content)))).all()
        conditions.append(novels.c.id == any_(cast(list(ids), ARRAY(Text))))
    if language:
        conditions.append(novels.c.language == language)
    return conditions


def _contains(column: ColumnElement[str], search: str) -> ColumnElement[bool]:
    """Two Chinese characters are too few for the trigram index: without letters that have a case, the plain comparison is what is fast."""
    has_case = search.lower() != search.upper()
    return column.icontains(search, autoescape=True) if has_case else column.contains(search, autoescape=True)


def _in_states(states: Sequence[StripState]) -> list[ColumnElement[bool]]:
    if not states:
        return []
    with_problem = select(problems.c.owner_id).where(_IS_CHAPTER_PROBLEM, problems.c.problem_kind.in_(problem_kinds(states)))
    ways = [novels.c.id.in_(with_problem)]
    ways += [novels.c.id.in_(select(chapters.c.novel_id).where(_calm(), chapters.c.status == state.value))
             for state in states if state not in PROBLEMS_OF]
    if StripState.GENERATING in states:
        ways.append(novels.c.id.in_(select(items.c.owner_id).where(*_LIVE)))
    return [or_(*ways)]


_LIVE = (items.c.kind == ContentKind.CHAPTER, items.c.state.in_((ItemState.QUEUED, ItemState.RUNNING)), items.c.action != ItemAction.DRAFT)


def _calm() -> ColumnElement[bool]:
    """Of a chapter's row: it is no problem, and no item of Redrive is at it."""
    part = cast(chapters.c.chapter_number, Text)
    return ~(exists().where(_IS_CHAPTER_PROBLEM, problems.c.owner_id == chapters.c.novel_id, problems.c.part == part)
             | exists().where(*_LIVE, items.c.owner_id == chapters.c.novel_id, items.c.part == part))


def _counts(connection: Connection, found: list[ColumnElement[bool]]) -> dict[StripState, int]:
    def of_found(owner: ColumnElement[str]) -> list[ColumnElement[bool]]:
        return [owner.in_(select(novels.c.id).where(*found))] if found else []

    counted: Counter[StripState] = Counter()
    for kind, count in connection.execute(select(problems.c.problem_kind, func.count()).where(
            _IS_CHAPTER_PROBLEM, *of_found(problems.c.owner_id)).group_by(problems.c.problem_kind)):
        counted[_OF_PROBLEM[ProblemKind(kind)]] += count
    for status, count in connection.execute(select(chapters.c.status, func.count()).where(
            _calm(), *of_found(chapters.c.novel_id)).group_by(chapters.c.status)):
        if status in _OF_STATUS:  # another that is no problem yet is counted as soon as it is one
            counted[_OF_STATUS[ChapterStatus(status)]] += count
    counted[StripState.GENERATING] += connection.scalar(
        select(func.count()).select_from(items).where(*_LIVE, *of_found(items.c.owner_id))) or 0
    return {state: counted[state] for state in StripState}


def _rows(redrive: Redrive, connection: Connection, novel_ids: list[str]) -> tuple[NovelRow, ...]:
    """In the order of the ids."""
    if not novel_ids:
        return ()
    found = {row.id: row for row in connection.execute(
        select(novels.c.id, novels.c.title, novels.c.language).where(novels.c.id.in_(novel_ids)))}
    facts = load_facts(connection, [Owner(OwnerKind.NOVEL, novel_id) for novel_id in found], every_key=True)
    notes, now = _notes(connection, novel_ids), utc_now()
    rows = []
    for novel_id in filter(found.__contains__, novel_ids):
        owner = facts.get(Owner(OwnerKind.NOVEL, novel_id))
        judged = judge_owner(owner, now, redrive.limits) if owner else ()
        novel = found[novel_id]
        rows.append(NovelRow(
            novel_id, novel.title, novel.language or "", sum(verdict.problem is not None for verdict in judged),
            tuple(sorted((_cell(verdict, notes) for verdict in judged if verdict.key.part), key=lambda cell: cell.chapter_number)),
            "".join(_why(verdict.problem) for verdict in judged if verdict.problem and not verdict.key.part)))
    return tuple(rows)


def _notes(connection: Connection, novel_ids: list[str]) -> _Notes:
    rows = connection.execute(select(
        chapters.c.id, chapters.c.novel_id, chapters.c.chapter_number, chapters.c.title,
        func.char_length(chapters.c.content).label("character_count"),
    ).where(chapters.c.novel_id.in_(novel_ids)))
    tried = connection.execute(select(problems.c.owner_id, problems.c.part, problems.c.attempts).where(
        _IS_CHAPTER_PROBLEM, problems.c.owner_id.in_(novel_ids), problems.c.part > ""))
    return _Notes({(row.novel_id, row.chapter_number): row for row in rows},
                  {(row.owner_id, int(row.part)): row.attempts for row in tried})


def _why(problem: Problem) -> str:
    return without_secrets(wording.reason(problem.kind, problem.declared, problem.detail, problem.error_message))


def _cell(verdict: Verdict, notes: _Notes) -> StripCell:
    number, problem = verdict.key.chapter_number, verdict.problem
    name = verdict.key.owner_id, number
    row = notes.rows.get(name)
    broken = Broken(
        verdict.key, problem.kind, _why(problem),
        notes.attempts.get(name, 0), (row.character_count or 0) if row else 0) if problem else None
    return StripCell(number, strip_state(verdict, None), row.id if row else "", (row.title or "") if row else "", broken)
