"""Keys of concepts with their rows of content, read with one set-based query per batch. SQL narrows to suspects; it judges nothing."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from backend.content.facts import Saved
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.status import ContentStatus
from backend.storage.owner_rows import rows_of_owners
from backend.storage.platform_tables import IS_FILLED

KeyRow = Row[Any]  # a key of a concept with one of its rows of content, or with none
_SavedRow = tuple[Saved, str | None, str]  # saved, what the row itself declares, fault

_TABLES = {
    ContentKind.TUTORIAL: "tutorial_metadata",
    ContentKind.RESOURCES: "resource_recommendation_metadata",
    ContentKind.QUIZ: "quiz_metadata",
}
_LENGTH = "case when json_typeof({0}::json) = 'array' then json_array_length({0}::json) else 0 end"
_COLUMNS = {
    ContentKind.TUTORIAL: "f.tutorial_id as row_id, f.generated_at, f.content_version, f.content_status, f.content_url, 0 as length",
    ContentKind.RESOURCES: f"f.id, f.generated_at, 0, null, null, {_LENGTH.format('f.resources')}",
    ContentKind.QUIZ: f"f.quiz_id, f.generated_at, 0, null, null, {_LENGTH.format('f.questions')}",
}
_NAMES = "f(row_id, generated_at, content_version, content_status, content_url, length)"
_ROWS = {
    kind: f"select {_COLUMNS[kind]} from public.{table} f where f.roadmap_id = c.roadmap_id and f.concept_id = c.concept_id"
          + (" and f.is_latest" if kind is ContentKind.TUTORIAL else "")
    for kind, table in _TABLES.items()
}
# offset 0: what is read out of a concept is not read again for each place that uses it.
_CONCEPTS = """
select o.roadmap_id, c.value ->> 'concept_id' as concept_id, c.value ->> 'name' as name,
       c.value ->> 'content_status' as tutorial_status,
       c.value ->> 'resources_status' as resources_status,
       c.value ->> 'quiz_status' as quiz_status
from public.roadmap_metadata o
cross join lateral jsonb_path_query(o.framework_data::jsonb, '$.stages[*].modules[*].concepts[*]') as c(value)
where o.roadmap_id = any(:owner_ids) and o.deleted_at is null and jsonb_typeof(c.value) = 'object' and c.value ->> 'concept_id' <> ''
offset 0
"""
# exists: whether PostgreSQL probes an index for each concept or fills a hash table once, it never compares all with all.
_IS_SUSPECT = {
    kind: f"({kind}_status = 'completed' and exists (select 1 from public.{table} f where f.roadmap_id = any(:owner_ids)"
          f" and f.roadmap_id = c.roadmap_id and f.concept_id = c.concept_id and {IS_FILLED[table]})) is not true"
    for kind, table in _TABLES.items()
}


def _keys(is_suspect: dict[ContentKind, str]) -> str:
    flags = ", ".join(f"{condition} as is_{kind}_suspect" for kind, condition in is_suspect.items())
    kinds = ", ".join(f"('{kind}', c.{kind}_status, c.is_{kind}_suspect)" for kind in CONCEPT_KINDS)
    rows = " union all ".join(f"{rows} and k.kind = '{kind}'" for kind, rows in _ROWS.items())
    return f"""
        with c as materialized (
            select * from (select c.*, {flags} from ({_CONCEPTS}) c offset 0) c
            where {" or ".join(f"is_{kind}_suspect" for kind in CONCEPT_KINDS)})
        select c.roadmap_id, c.concept_id, c.name, k.kind, k.declared, f.*
        from c cross join lateral (values {kinds}) as k(kind, declared, is_suspect) left join lateral ({rows}) {_NAMES} on true
        where k.is_suspect"""


_SUSPECT_KEYS = _keys(_IS_SUSPECT)
_EVERY_KEY = _keys(dict.fromkeys(CONCEPT_KINDS, "true"))
_ONE_KEY = {
    kind: f"""
        select c.roadmap_id, c.concept_id, c.name, '{kind}' as kind, c.{kind}_status as declared, f.*
        from ({_CONCEPTS}) c left join lateral ({rows}) {_NAMES} on true where c.concept_id = :concept_id"""
    for kind, rows in _ROWS.items()
}


def load_keys(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[str, list[KeyRow]]:
    """roadmap_id -> its suspect keys (with `every_key` all), once for each row of content, or once when there is none."""
    keys: dict[str, list[KeyRow]] = defaultdict(list)
    for found in rows_of_owners(connection, _EVERY_KEY if every_key else _SUSPECT_KEYS, owner_ids):
        keys[found[0]].append(found)
    return keys


def load_key(connection: Connection, key: ContentKey) -> Sequence[KeyRow]:
    """The same of one key. Empty: the roadmap is gone, or holds no such concept."""
    return rows_of_owners(connection, _ONE_KEY[key.kind], [key.owner_id], is_one=True, concept_id=key.part)


def saved_of(kind: ContentKind, found: KeyRow) -> _SavedRow:
    if found.row_id is None:
        return Saved.NONE, None, ""
    if kind is ContentKind.TUTORIAL:
        return _saved_tutorial(found)
    if found.length > 0:
        return Saved.VALID, None, ""
    return Saved.BROKEN, None, {ContentKind.RESOURCES: "no resources", ContentKind.QUIZ: "no questions"}[kind]


def _saved_tutorial(found: KeyRow) -> _SavedRow:
    status = found.content_status or ContentStatus.COMPLETED
    if status == ContentStatus.FAILED:
        return Saved.FAILED, status, ""
    if status != ContentStatus.COMPLETED:
        return Saved.NONE, status, ""
    if not (found.content_url or "").strip():
        return Saved.BROKEN, status, "no text"
    return Saved.VALID, None, ""


def rank(saved: Saved, found: KeyRow) -> tuple:
    """Of several rows for one key a valid one counts, else the newest; always the same one."""
    at = found.generated_at
    return saved is Saved.VALID, found.content_version or 0, at is not None, at or 0, found.row_id or ""
