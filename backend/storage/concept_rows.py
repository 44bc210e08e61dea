"""Concepts with their rows of content, read with set-based queries per batch. SQL narrows to suspects; it judges nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, text

from backend.content.facts import Saved
from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.status import ContentStatus
from backend.storage.owner_rows import rows_of_owners

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
_THIS_ONE = "where c.concept_id = :concept_id"
# What the query calls a kind's columns; a look-up, because composing the names took a tenth of a full rebuild.
ROW, STATUS, AT, LENGTH = ({kind: f"{kind}_{name}" for kind in CONCEPT_KINDS} for name in ("row", "status", "at", "length"))
# Healthy beyond doubt; "[{" is how a list with something in it begins, in json as written and in jsonb as printed.
_NOT_PLAINLY_HEALTHY = f"""
where not coalesce(
    c.tutorial_status = 'completed' and t.content_url ~ '[^{BLANKS}]' and coalesce(t.content_status, 'completed') = 'completed'
    and c.resources_status = 'completed' and left(r.resources::text, 2) = '[{{'
    and c.quiz_status = 'completed' and left(q.questions::text, 2) = '[{{', false)
"""


_SavedRow = tuple[Saved, str | None, str]  # saved, what the row itself declares, fault


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """A concept with one combination of its rows of content."""

    found: RowMapping
    saved: dict[ContentKind, _SavedRow]

    @classmethod
    def of(cls, found: RowMapping) -> "ConceptRow":
        return cls(found, {kind: _saved(kind, found) for kind in CONCEPT_KINDS})

    def is_sound(self, kind: ContentKind) -> bool:
        return self.saved[kind][0] is Saved.VALID and self.found[STATUS[kind]] == ContentStatus.COMPLETED

    def rank(self, kind: ContentKind) -> tuple:
        """Of several rows for one key a valid one counts, else the newest; always the same one."""
        version = self.found["tutorial_version"] or 0 if kind is ContentKind.TUTORIAL else 0
        at = self.found[AT[kind]]
        return self.saved[kind][0] is Saved.VALID, version, at is not None, at or 0, self.found[ROW[kind]] or ""


def load_concepts(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[str, list[ConceptRow]]:
    """roadmap_id -> its suspect concepts (with `every_key` all), one row for each combination of rows of content."""
    concepts: dict[str, list[ConceptRow]] = defaultdict(list)
    query = _CONCEPTS if every_key else _CONCEPTS + _NOT_PLAINLY_HEALTHY
    for found in connection.execute(text(query), {"owner_ids": owner_ids}).mappings():
        if found["concept_id"]:
            concepts[found["roadmap_id"]].append(ConceptRow.of(found))
    if not every_key:
        _add_rows_beside_bad_ones(connection, concepts)
    return concepts


def load_concept(connection: Connection, roadmap_id: str, concept_id: str) -> list[ConceptRow]:
    """One concept, one row for each combination of rows of content. Empty: the roadmap is gone, or holds none of that id."""
    found = rows_of_owners(connection, _CONCEPTS + _THIS_ONE, [roadmap_id], is_one=True, concept_id=concept_id)
    return [ConceptRow.of(row._mapping) for row in found]


def _add_rows_beside_bad_ones(connection: Connection, concepts: dict[str, list[ConceptRow]]) -> None:
    """A good row beside a bad one makes the key healthy, but the query has left it out: look at all rows of these concepts."""
    doubtful = sorted({
        (roadmap_id, row.found["concept_id"]) for roadmap_id, rows in concepts.items() for row in rows if _has_bad_row(row)})
    if not doubtful:
        return
    roadmap_ids, concept_ids = (list(ids) for ids in zip(*doubtful, strict=True))
    parameters = {"owner_ids": sorted(set(roadmap_ids)), "roadmap_ids": roadmap_ids, "concept_ids": concept_ids}
    for found in connection.execute(text(_CONCEPTS + _AMONG_THESE), parameters).mappings():
        concepts[found["roadmap_id"]].append(ConceptRow.of(found))


def _has_bad_row(concept: ConceptRow) -> bool:
    return any(concept.saved[kind][0] is not Saved.VALID and concept.found[ROW[kind]] is not None for kind in CONCEPT_KINDS)


def _saved(kind: ContentKind, found: RowMapping) -> _SavedRow:
    if found[ROW[kind]] is None:
        return Saved.NONE, None, ""
    if kind is ContentKind.TUTORIAL:
        return _saved_tutorial(found)
    if found[LENGTH[kind]] > 0:
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
