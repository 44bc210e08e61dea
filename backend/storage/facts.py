"""Facts about owners, read with a fixed number of set-based queries per batch. SQL narrows to suspects; it judges nothing.

A suspect is everything that is not plainly healthy. What is judged lives in backend.content.detector.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, text
from sqlalchemy.exc import DataError

from backend.content.errors import ErrorKind
from backend.content.facts import KeyFacts, OwnerFacts, RecordedError, Saved, TaskFacts
from backend.content.framework import Concept, read_framework
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, Owner, OwnerKind
from backend.content.status import ContentStatus, CoverStatus

# framework_data is laid out as expected: one strict walk to every concept. A step that does not fit, wherever it is, makes
# it null; a concept without a proper concept_id makes it true. Four walks, one for each level, take twice as long.
_HAS_ID = '@.concept_id.type() == "string" && @.concept_id != ""'
_ODD_LAYOUT = (
    "coalesce(jsonb_path_exists(framework_data::jsonb, 'strict $.stages[*].modules[*].concepts[*] "
    f"? (!({_HAS_ID}) || ({_HAS_ID}) is unknown)', '{{}}', true), true)")

# Everything that str.strip takes off; PostgreSQL's own class leaves NBSP and, by locale, the Chinese space.
BLANKS = " \\t-\\r\\u001c-\\u001f\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"

_CONCEPTS = """
with owner as materialized (
    select roadmap_id, title, created_at, framework_data::jsonb as fd
    from public.roadmap_metadata where roadmap_id = any(:owner_ids) and deleted_at is null
), concept as materialized (
    select o.roadmap_id, c.value ->> 'concept_id' as concept_id, c.value ->> 'name' as name,
           c.value ->> 'content_status' as tutorial_status,
           c.value ->> 'resources_status' as resources_status,
           c.value ->> 'quiz_status' as quiz_status
    from owner o cross join lateral jsonb_path_query(o.fd, '$.stages[*].modules[*].concepts[*]') as c(value)
    where jsonb_typeof(c.value) = 'object'
)
select c.*,
       t.tutorial_id as tutorial_row, t.content_url as tutorial_url, t.content_status as tutorial_row_status, t.generated_at as tutorial_at,
       t.content_version as tutorial_version,
       r.id as resources_row, r.generated_at as resources_at,
       case when json_typeof(r.resources::json) = 'array' then json_array_length(r.resources::json) else 0 end as resources_length,
       q.quiz_id as quiz_row, q.generated_at as quiz_at,
       case when json_typeof(q.questions::json) = 'array' then json_array_length(q.questions::json) else 0 end as quiz_length
from concept c
left join public.tutorial_metadata t
       on t.roadmap_id = c.roadmap_id and t.concept_id = c.concept_id and t.is_latest and t.roadmap_id = any(:owner_ids)
left join public.resource_recommendation_metadata r
       on r.roadmap_id = c.roadmap_id and r.concept_id = c.concept_id and r.roadmap_id = any(:owner_ids)
left join public.quiz_metadata q
       on q.roadmap_id = c.roadmap_id and q.concept_id = c.concept_id and q.roadmap_id = any(:owner_ids)
"""
_AMONG_THESE = """
where (c.roadmap_id, c.concept_id) in (select * from unnest(cast(:roadmap_ids as text[]), cast(:concept_ids as text[])))
"""
# What the query calls a kind's columns; a look-up, because composing the names took a tenth of a full rebuild.
_ROW, _STATUS, _AT, _LENGTH = ({kind: f"{kind}_{name}" for kind in CONCEPT_KINDS} for name in ("row", "status", "at", "length"))
# Healthy beyond doubt; "[{" is how a list with something in it begins, in json as written and in jsonb as printed.
_NOT_PLAINLY_HEALTHY = f"""
where not coalesce(
    c.tutorial_status = 'completed' and t.content_url ~ '[^{BLANKS}]' and coalesce(t.content_status, 'completed') = 'completed'
    and c.resources_status = 'completed' and left(r.resources::text, 2) = '[{{'
    and c.quiz_status = 'completed' and left(q.questions::text, 2) = '[{{', false)
"""

_ROADMAPS = f"""
select roadmap_id as owner_id, o.title, o.created_at, o.is_suspect,
       case when o.is_suspect then o.fd end as framework_data,
       c.cover_image_url, c.generation_status, c.error_message as cover_error, c.updated_at as cover_updated_at
from (
    select roadmap_id, title, created_at, framework_data::jsonb as fd,
           {_ODD_LAYOUT} or (
               select count(*) > count(distinct v)
               from jsonb_path_query(framework_data::jsonb, '$.stages[*].modules[*].concepts[*].concept_id') v) as is_suspect
    from public.roadmap_metadata where roadmap_id = any(:owner_ids) and deleted_at is null
    offset 0  -- else the planner works out is_suspect twice for each roadmap
) o left join public.roadmap_cover_images c using (roadmap_id)
"""

_CHAPTERS = f"""
select c.novel_id, c.chapter_number, c.title, c.status, c.error_message, c.created_at, c.generation_completed_at,
       coalesce(c.content, '') !~ '[^{BLANKS}]' as is_blank,
       not exists (select 1 from public.options o where o.chapter_id = c.id) as has_no_options
from public.chapters c where c.novel_id = any(:owner_ids) and (:every or not (
    c.status = 'completed' and coalesce(c.content, '') ~ '[^{BLANKS}]'
    and exists (select 1 from public.options o where o.chapter_id = c.id)))
order by c.novel_id, c.chapter_number
"""
_NEXT_CHAPTERS = """
select c.novel_id, c.chapter_number + 1 as chapter_number, min(u.created_at) as chosen_at
from public.user_choices u join public.chapters c on c.id = u.chapter_id
where c.novel_id = any(:owner_ids) and not exists (
    select 1 from public.chapters n where n.novel_id = c.novel_id and n.chapter_number = c.chapter_number + 1)
group by c.novel_id, c.chapter_number
"""
_NOVELS = """
select n.id as owner_id, n.title, n.created_at,
       not exists (select 1 from public.chapters c where c.novel_id = n.id) as has_no_chapter
from public.novels n where n.id = any(:owner_ids)
"""
_TASKS = """
select coalesce(t.{column}, '') as owner_id, t.task_type, t.status, t.concept_id, t.content_type, t.updated_at, t.error_message,
       t.failed_concepts, exists (select 1 from ops.items i where i.task_id = t.task_id) as is_ours
from public.tasks t where t.{column} = any(:owner_ids) order by t.created_at, t.task_id
"""
_LIVE_ITEMS = "select kind, owner_id, part from ops.items where owner_id = any(:owner_ids) and state in ('queued', 'running')"
_TRIED_ITEMS = """
select distinct on (owner_id, kind, part) owner_id, kind, part, state, error_kind, error_message, coalesce(settled_at, created_at) as at
from ops.items where owner_id = any(:owner_ids) and state in ('queued', 'running', 'succeeded', 'failed') and action = 'generate'
order by owner_id, kind, part, item_id desc
"""


@dataclass
class _OwnerRows:
    """What the queries found for one owner, before it becomes facts."""

    keys: list[KeyFacts] = field(default_factory=list)
    live: set[ContentKey] = field(default_factory=set)
    tasks: list[TaskFacts] = field(default_factory=list)
    errors: dict[ContentKey, RecordedError] = field(default_factory=dict)
    retried_at: dict[ContentKey, datetime] = field(default_factory=dict)


_SavedRow = tuple[Saved, str | None, str]  # saved, what the row itself declares, fault


@dataclass(frozen=True, slots=True)
class _ConceptRow:
    """A concept with one combination of its rows of content."""

    found: RowMapping
    saved: dict[ContentKind, _SavedRow]

    @classmethod
    def of(cls, found: RowMapping) -> "_ConceptRow":
        return cls(found, {kind: _saved(kind, found) for kind in CONCEPT_KINDS})


def load_facts(connection: Connection, owners: Iterable[Owner], *, every_key: bool = False) -> dict[Owner, OwnerFacts]:
    """Facts about those of the owners that exist and are not deleted.

    With `every_key` all content keys are in the facts, else only suspects. About 0.5 ms an owner in batches.
    """
    ids: dict[OwnerKind, list[str]] = {kind: [] for kind in OwnerKind}
    for owner in owners:
        ids[owner.kind].append(owner.owner_id)
    found: dict[Owner, OwnerFacts] = {}
    if ids[OwnerKind.ROADMAP]:
        found |= _readable_roadmaps(connection, sorted(set(ids[OwnerKind.ROADMAP])), every_key)
    if ids[OwnerKind.NOVEL]:
        found |= _novels(connection, sorted(set(ids[OwnerKind.NOVEL])), every_key)
    return found


def _readable_roadmaps(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    """Like _roadmaps, but one roadmap that PostgreSQL itself cannot read (\\u0000 in a json column) hides no other."""
    try:
        with connection.begin_nested():
            return _roadmaps(connection, owner_ids, every_key)
    except DataError as exc:
        if len(owner_ids) > 1:
            half = len(owner_ids) // 2
            return (_readable_roadmaps(connection, owner_ids[:half], every_key)
                    | _readable_roadmaps(connection, owner_ids[half:], every_key))
        return _unreadable_roadmap(connection, owner_ids[0], str(exc.orig).splitlines()[0])


def _unreadable_roadmap(connection: Connection, roadmap_id: str, fault: str) -> dict[Owner, OwnerFacts]:
    row = connection.execute(text(
        "select title, created_at from public.roadmap_metadata where roadmap_id = :roadmap_id"), {"roadmap_id": roadmap_id}).one()
    owner = Owner(OwnerKind.ROADMAP, roadmap_id)
    return {owner: OwnerFacts(owner, row.title, (), row.created_at, framework_faults=(f"$: {fault}",))}


def _roadmaps(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    roadmaps = connection.execute(text(_ROADMAPS), {"owner_ids": owner_ids}).all()
    concepts = _concepts(connection, owner_ids, every_key)
    if not every_key:
        _add_rows_beside_bad_ones(connection, concepts)
    suspects = [row.owner_id for row in roadmaps if every_key or row.is_suspect or concepts[row.owner_id] or not _has_good_cover(row)]
    kept = _owner_rows(connection, OwnerKind.ROADMAP, suspects)
    return {
        Owner(OwnerKind.ROADMAP, row.owner_id): _roadmap_facts(row, concepts[row.owner_id], kept[row.owner_id], every_key)
        for row in roadmaps
    }


def _concepts(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[str, list[_ConceptRow]]:
    """roadmap_id -> its suspect concepts, one row for each combination of rows of content."""
    concepts: dict[str, list[_ConceptRow]] = defaultdict(list)
    query = _CONCEPTS if every_key else _CONCEPTS + _NOT_PLAINLY_HEALTHY
    for found in connection.execute(text(query), {"owner_ids": owner_ids}).mappings():
        if found["concept_id"]:
            concepts[found["roadmap_id"]].append(_ConceptRow.of(found))
    return concepts


def _add_rows_beside_bad_ones(connection: Connection, concepts: dict[str, list[_ConceptRow]]) -> None:
    """A good row beside a bad one makes the key healthy, but the query has left it out: look at all rows of these concepts."""
    doubtful = sorted({
        (roadmap_id, row.found["concept_id"]) for roadmap_id, rows in concepts.items() for row in rows if _has_bad_row(row)})
    if not doubtful:
        return
    roadmap_ids, concept_ids = (list(ids) for ids in zip(*doubtful, strict=True))
    parameters = {"owner_ids": sorted(set(roadmap_ids)), "roadmap_ids": roadmap_ids, "concept_ids": concept_ids}
    for found in connection.execute(text(_CONCEPTS + _AMONG_THESE), parameters).mappings():
        concepts[found["roadmap_id"]].append(_ConceptRow.of(found))


def _has_bad_row(concept: _ConceptRow) -> bool:
    return any(concept.saved[kind][0] is not Saved.VALID and concept.found[_ROW[kind]] is not None for kind in CONCEPT_KINDS)


def _roadmap_facts(row: Row[Any], concepts: list[_ConceptRow], rows: _OwnerRows, every_key: bool) -> OwnerFacts:
    # SQL forgives a layout that Python calls a fault: of a suspect roadmap Python says which concepts there are.
    framework = read_framework(row.framework_data) if row.is_suspect else None
    read = {concept.concept_id: concept for concept in framework.concepts} if framework else {}
    keys: dict[ContentKey, KeyFacts] = {}
    ranks: dict[ContentKey, tuple] = {}
    sound: set[tuple[ContentKind, str]] = set()  # two kinds of three of a suspect concept are: no facts are made of them
    for concept in concepts:
        concept_id = concept.found["concept_id"]
        if framework and concept_id not in read:
            continue
        for kind in CONCEPT_KINDS:
            if not (every_key or framework) and _is_sound(kind, concept):
                sound.add((kind, concept_id))
                continue
            facts = _concept_key(kind, concept, row, rows, read.get(concept_id))
            rank = _rank(kind, concept, facts.saved)
            if facts.key not in keys or rank > ranks[facts.key]:
                keys[facts.key], ranks[facts.key] = facts, rank
    keys = {key: facts for key, facts in keys.items() if (key.kind, key.part) not in sound}
    if every_key or not _has_good_cover(row):
        cover = _cover_key(row)
        keys[cover.key] = cover
    return _owner_facts(OwnerKind.ROADMAP, row, tuple(keys.values()), rows, framework.faults if framework else ())


def _is_sound(kind: ContentKind, concept: _ConceptRow) -> bool:
    return concept.saved[kind][0] is Saved.VALID and concept.found[_STATUS[kind]] == ContentStatus.COMPLETED


def _rank(kind: ContentKind, concept: _ConceptRow, saved: Saved) -> tuple:
    """Of several rows for one key a valid one counts, else the newest; always the same one."""
    found = concept.found
    version = found["tutorial_version"] or 0 if kind is ContentKind.TUTORIAL else 0
    at = found[_AT[kind]]
    return saved is Saved.VALID, version, at is not None, at or 0, found[_ROW[kind]] or ""


def _concept_key(
    kind: ContentKind, concept: _ConceptRow, roadmap: Row[Any], rows: _OwnerRows, read: Concept | None,
) -> KeyFacts:
    """Facts from one row of the query. `read`: the concept as Python reads it, where that is not the same."""
    found = concept.found
    key = ContentKey(kind, roadmap.owner_id, found["concept_id"])
    saved, row_declares, fault = concept.saved[kind]
    declared = read.declared(kind) if read else found[_STATUS[kind]]
    return KeyFacts(
        key, saved, declared or row_declares, roadmap.created_at, saved_at=found[_AT[kind]], fault=fault,
        error=rows.errors.get(key), title=(read.name if read else found["name"]) or key.part)


def _saved(kind: ContentKind, found: RowMapping) -> _SavedRow:
    if found[_ROW[kind]] is None:
        return Saved.NONE, None, ""
    if kind is ContentKind.TUTORIAL:
        return _saved_tutorial(found)
    if found[_LENGTH[kind]] > 0:
        return Saved.VALID, None, ""
    return Saved.BROKEN, None, {ContentKind.RESOURCES: "no resources", ContentKind.QUIZ: "no questions"}[kind]


def _saved_tutorial(found: RowMapping) -> _SavedRow:
    status = found["tutorial_row_status"] or ContentStatus.COMPLETED
    if status == ContentStatus.FAILED:
        return Saved.FAILED, status, ""
    if status != ContentStatus.COMPLETED:
        return Saved.NONE, status, ""
    if not (found["tutorial_url"] or "").strip():
        return Saved.BROKEN, status, "no text"
    return Saved.VALID, None, ""


def _has_good_cover(row: Row[Any]) -> bool:
    return row.generation_status == CoverStatus.SUCCESS and bool((row.cover_image_url or "").strip())


def _cover_key(row: Row[Any]) -> KeyFacts:
    key = ContentKey(ContentKind.COVER, row.owner_id)
    saved = {
        CoverStatus.SUCCESS: Saved.VALID if _has_good_cover(row) else Saved.BROKEN,
        CoverStatus.FAILED: Saved.FAILED,
    }.get(row.generation_status, Saved.NONE)
    declared = ContentStatus.COMPLETED.value if row.generation_status == CoverStatus.SUCCESS else row.generation_status
    error = RecordedError(row.cover_error, row.cover_updated_at) if row.cover_error and saved is Saved.FAILED else None
    return KeyFacts(
        key, saved, declared, row.cover_updated_at or row.created_at, saved_at=row.cover_updated_at,
        fault="no picture" if saved is Saved.BROKEN else "", error=error, title=row.title)


def _novels(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    novels = connection.execute(text(_NOVELS), {"owner_ids": owner_ids}).all()
    keys: dict[str, list[KeyFacts]] = defaultdict(list)
    for chapter in connection.execute(text(_CHAPTERS), {"owner_ids": owner_ids, "every": every_key}):
        keys[chapter.novel_id].append(_chapter_key(chapter))
    for chosen in connection.execute(text(_NEXT_CHAPTERS), {"owner_ids": owner_ids}):
        keys[chosen.novel_id].append(_unwritten_chapter(chosen.novel_id, chosen.chapter_number, chosen.chosen_at))
    for novel in novels:
        if novel.has_no_chapter:
            keys[novel.owner_id].append(_unwritten_chapter(novel.owner_id, 1, novel.created_at))
    kept = _owner_rows(connection, OwnerKind.NOVEL, sorted(keys))
    return {
        Owner(OwnerKind.NOVEL, novel.owner_id):
            _owner_facts(OwnerKind.NOVEL, novel, tuple(keys[novel.owner_id]), kept[novel.owner_id], ())
        for novel in novels
    }


def _unwritten_chapter(novel_id: str, chapter_number: int, expected_since: datetime) -> KeyFacts:
    key = ContentKey(ContentKind.CHAPTER, novel_id, str(chapter_number))
    return KeyFacts(key, Saved.NONE, None, expected_since)


def _chapter_key(chapter: Row[Any]) -> KeyFacts:
    key = ContentKey(ContentKind.CHAPTER, chapter.novel_id, str(chapter.chapter_number))
    fault = "no text" if chapter.is_blank else "no options" if chapter.has_no_options else ""
    saved = {
        ContentStatus.COMPLETED: Saved.BROKEN if fault else Saved.VALID,
        ContentStatus.FAILED: Saved.FAILED,
    }.get(chapter.status, Saved.NONE)
    at = chapter.generation_completed_at or chapter.created_at
    error = RecordedError(chapter.error_message, at) if chapter.error_message and saved is Saved.FAILED else None
    return KeyFacts(
        key, saved, chapter.status, chapter.created_at, saved_at=at,
        fault=fault if saved is Saved.BROKEN else "", error=error, title=chapter.title or "")


def _owner_facts(kind: OwnerKind, row: Row[Any], keys: tuple[KeyFacts, ...], rows: _OwnerRows, faults: tuple[str, ...]) -> OwnerFacts:
    return OwnerFacts(
        Owner(kind, row.owner_id), row.title, keys, row.created_at, tuple(rows.tasks),
        frozenset(rows.live), rows.retried_at, faults)


def _owner_rows(connection: Connection, kind: OwnerKind, owner_ids: Sequence[str]) -> dict[str, _OwnerRows]:
    """Live items, tasks and recorded errors of owners that have something suspect."""
    kept: dict[str, _OwnerRows] = defaultdict(_OwnerRows)
    if not owner_ids:
        return kept
    parameters = {"owner_ids": owner_ids}
    column = {OwnerKind.ROADMAP: "roadmap_id", OwnerKind.NOVEL: "novel_id"}[kind]
    for row in connection.execute(text(_TASKS.format(column=column)), parameters):
        rows = kept[row.owner_id]
        if not row.is_ours:
            rows.tasks.append(TaskFacts(
                row.task_type, row.status, row.concept_id, row.content_type, row.updated_at, row.error_message or ""))
        if kind is OwnerKind.ROADMAP and isinstance(row.failed_concepts, dict):
            rows.errors.update(_failed_concepts(row.owner_id, row.failed_concepts, row.updated_at))
    for row in connection.execute(text(_LIVE_ITEMS), parameters):
        kept[row.owner_id].live.add(ContentKey(ContentKind(row.kind), row.owner_id, row.part))
    for row in connection.execute(text(_TRIED_ITEMS), parameters):
        key = ContentKey(ContentKind(row.kind), row.owner_id, row.part)
        kept[row.owner_id].retried_at[key] = row.at
        if row.error_message:
            kept[row.owner_id].errors[key] = RecordedError(row.error_message, row.at, ErrorKind(row.error_kind))
    return kept


def _failed_concepts(roadmap_id: str, failed: dict[str, Any], task_updated_at: datetime) -> dict[ContentKey, RecordedError]:
    """What a task's failed_concepts says, by key. An entry without a content type is of the tutorial."""
    errors = {}
    for concept_id, entry in failed.items():
        entry = entry if isinstance(entry, dict) else {"reason": entry}
        at = _timestamp(entry.get("timestamp")) or task_updated_at
        for kind in str(entry.get("content_type") or ContentKind.TUTORIAL).split(","):
            if kind.strip() in CONCEPT_KINDS and entry.get("reason"):
                errors[ContentKey(ContentKind(kind.strip()), roadmap_id, concept_id)] = RecordedError(str(entry["reason"]), at)
    return errors


def _timestamp(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo else None
