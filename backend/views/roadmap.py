"""One roadmap: the coverage matrix of concepts and kinds of content, and what is saved for a concept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from backend.clock import utc_now
from backend.content import wording
from backend.content.detector import judge_owner
from backend.content.framework import Concept, read_framework
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import KeyState, Problem, Verdict
from backend.content.status import ItemState
from backend.redrive import Redrive
from backend.storage.contents import saved_row
from backend.storage.facts import load_facts
from backend.storage.ops_tables import items, problems
from backend.storage.platform_tables import as_jsonb, roadmap_metadata


@dataclass(frozen=True, slots=True)
class Cell:
    key: ContentKey
    state: KeyState
    problem: Problem | None
    reason: str                 # in words, "" when nothing is wrong
    item_state: ItemState | None  # of the item that works on it now
    cancel_requested_at: datetime | None = None  # of that item


@dataclass(frozen=True, slots=True)
class ConceptRow:
    concept_id: str
    name: str
    stage_name: str
    module_name: str
    cells: dict[ContentKind, Cell]


@dataclass(frozen=True, slots=True)
class RoadmapView:
    as_of: datetime
    roadmap_id: str
    title: str
    concepts: tuple[ConceptRow, ...]
    faults: tuple[str, ...]        # where framework_data cannot be read
    cover: Cell
    state_counts: dict[KeyState, int]

    @property
    def ratio_healthy(self) -> float:
        """Share of the concepts' content that is healthy, 0.0 to 1.0."""
        total = sum(self.state_counts.values())
        return self.state_counts[KeyState.HEALTHY] / total if total else 1.0


@dataclass(frozen=True, slots=True)
class RoadmapChoice:
    roadmap_id: str
    title: str
    problem_count: int


@dataclass(frozen=True, slots=True)
class SavedContent:
    """What is stored for one content key. `text` None: the text is there but cannot be read, and `unreadable` says why."""

    saved_at: datetime | None
    title: str
    text: str | None
    entries: tuple[dict[str, Any], ...]  # resources or questions as they are stored
    version: int | None
    unreadable: str = ""


def roadmap_choices(redrive: Redrive, *, search: str = "", limit: int = 200) -> tuple[RoadmapChoice, ...]:
    """Roadmaps to pick from, those with most problems first."""
    counted = select(problems.c.owner_id, func.count().label("problem_count")).where(
        problems.c.kind != ContentKind.CHAPTER).group_by(problems.c.owner_id).subquery()
    count = func.coalesce(counted.c.problem_count, 0)
    query = (
        select(roadmap_metadata.c.roadmap_id, roadmap_metadata.c.title, count.label("problem_count"))
        .select_from(roadmap_metadata.outerjoin(counted, counted.c.owner_id == roadmap_metadata.c.roadmap_id))
        .where(roadmap_metadata.c.deleted_at.is_(None)).order_by(count.desc(), roadmap_metadata.c.title).limit(limit))
    if search:
        query = query.where(roadmap_metadata.c.title.icontains(search, autoescape=True)
                            | roadmap_metadata.c.roadmap_id.icontains(search, autoescape=True))
    with redrive.engine.connect() as connection:
        return tuple(RoadmapChoice(row.roadmap_id, row.title, row.problem_count) for row in connection.execute(query))


def roadmap(redrive: Redrive, roadmap_id: str) -> RoadmapView | None:
    """The whole matrix, judged at this moment by the detector's rule. None: no such roadmap, or deleted."""
    owner = Owner(OwnerKind.ROADMAP, roadmap_id)
    now = utc_now()
    with redrive.engine.connect() as connection:
        facts = load_facts(connection, [owner], every_key=True).get(owner)
        if facts is None:
            return None
        concepts = read_framework(_framework_data(connection, roadmap_id)).concepts if not _is_beyond_reading(facts) else ()
        working = _working_items(connection, roadmap_id)
    verdicts = {verdict.key: verdict for verdict in judge_owner(facts, now, redrive.limits)}
    rows = tuple(_concept_row(concept, roadmap_id, verdicts, working) for concept in concepts)
    cover_key = ContentKey(ContentKind.COVER, roadmap_id)
    states = [cell.state for row in rows for cell in row.cells.values()]
    return RoadmapView(
        now, roadmap_id, facts.title, rows, facts.framework_faults, _cell(cover_key, verdicts, working),
        {state: states.count(state) for state in KeyState})


def _is_beyond_reading(facts) -> bool:
    return not facts.keys and bool(facts.framework_faults)


def _framework_data(connection: Connection, roadmap_id: str) -> Any:
    return connection.scalar(
        select(as_jsonb(roadmap_metadata.c.framework_data)).where(roadmap_metadata.c.roadmap_id == roadmap_id))


_Working = tuple[ItemState, datetime | None]  # of an unsettled item: its state, and since when it is told to stop


def _working_items(connection: Connection, roadmap_id: str) -> dict[ContentKey, _Working]:
    rows = connection.execute(select(items.c.kind, items.c.part, items.c.state, items.c.cancel_requested_at).where(
        items.c.owner_id == roadmap_id, items.c.state.in_((ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING))))
    return {ContentKey(ContentKind(row.kind), roadmap_id, row.part): (ItemState(row.state), row.cancel_requested_at) for row in rows}


def _concept_row(
    concept: Concept, roadmap_id: str, verdicts: dict[ContentKey, Verdict], working: dict[ContentKey, _Working],
) -> ConceptRow:
    cells = {kind: _cell(ContentKey(kind, roadmap_id, concept.concept_id), verdicts, working) for kind in CONCEPT_KINDS}
    return ConceptRow(concept.concept_id, concept.name, concept.stage_name, concept.module_name, cells)


def _cell(key: ContentKey, verdicts: dict[ContentKey, Verdict], working: dict[ContentKey, _Working]) -> Cell:
    verdict = verdicts.get(key) or Verdict(key, KeyState.WAITING)
    problem = verdict.problem
    words = wording.reason(problem.kind, problem.declared, problem.detail, problem.error_message) if problem else ""
    item_state, cancel_requested_at = working.get(key, (None, None))
    state = KeyState.IN_PROGRESS if item_state else verdict.state
    return Cell(key, state, problem, words, item_state, cancel_requested_at)


def saved_content(redrive: Redrive, key: ContentKey) -> SavedContent | None:
    """What is saved for a concept's tutorial, resources or quiz, from the row that the detector judges. None: no row."""
    with redrive.engine.connect() as connection:
        row = saved_row(connection, key)
    if row is None:
        return None
    entries = tuple(entry for entry in row.entries if isinstance(entry, dict)) if isinstance(row.entries, list) else ()
    words, unreadable = _stored_text(redrive, row.content_url)
    return SavedContent(row.saved_at, row.title or "", words, entries, row.version, unreadable)


def _stored_text(redrive: Redrive, content_url: str | None) -> tuple[str | None, str]:
    """(text, why it cannot be read)."""
    if not content_url:
        return None, ""
    try:
        return redrive.objects.get_text(content_url), ""
    except (OSError, ValueError) as exc:
        return None, (str(exc).splitlines() or [type(exc).__name__])[0]
