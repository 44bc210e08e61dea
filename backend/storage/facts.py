"""Facts about owners, read with a fixed number of set-based queries per batch. SQL narrows to suspects; it judges nothing.

A suspect is everything that is not plainly healthy. What is judged lives in backend.content.detector.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from backend.content.facts import KeyFacts, OwnerFacts, RecordedError, Saved
from backend.content.framework import Concept, read_framework
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.status import ContentStatus, CoverStatus
from backend.storage.concept_rows import KeyRow, load_key, load_keys, rank, saved_of
from backend.storage.owner_rows import OwnerRows, load_cover_rows, load_owner_rows, load_work, rows_of_owners
from backend.storage.platform_tables import BLANKS
from backend.storage.recorded import FAULTS, aware, in_one_line, is_of_the_data, storable

# framework_data is laid out as expected: one strict walk to every concept_id. A step that does not fit, wherever it is, makes
# it null; an id that is no proper text makes it true. Four walks, one for each level, take twice as long.
_ODD_LAYOUT = (
    "coalesce(jsonb_path_exists(framework_data::jsonb, 'strict $.stages[*].modules[*].concepts[*].concept_id "
    "? (@.type() != \"string\" || @ == \"\")', '{}', true), true)")

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
from public.chapters c where c.novel_id = any(:owner_ids) {{condition}} and (:every or not (
    c.status = 'completed' and coalesce(c.content, '') ~ '[^{BLANKS}]'
    and exists (select 1 from public.options o where o.chapter_id = c.id)))
order by c.novel_id, c.chapter_number
"""
_NEXT_CHAPTERS = """
select c.novel_id, c.chapter_number + 1 as chapter_number, min(u.created_at) as chosen_at
from public.user_choices u join public.chapters c on c.id = u.chapter_id
where c.novel_id = any(:owner_ids) {condition} and not exists (
    select 1 from public.chapters n where n.novel_id = c.novel_id and n.chapter_number = c.chapter_number + 1)
group by c.novel_id, c.chapter_number
"""
_NOVELS = """
select n.id as owner_id, n.title, n.created_at,
       not exists (select 1 from public.chapters c where c.novel_id = n.id) as has_no_chapter
from public.novels n where n.id = any(:owner_ids)
"""
# Of an owner that cannot be read. No calendar of Python holds infinity, nor the year 10000.
_NAME = ("select title, case when created_at between '1970-01-01' and '9999-12-30' then created_at else '1970-01-01' end as created_at "
         "from public.{table} where {condition}")
_NAME_OF = {
    OwnerKind.ROADMAP: _NAME.format(table="roadmap_metadata", condition="roadmap_id = :owner_id and deleted_at is null"),
    OwnerKind.NOVEL: _NAME.format(table="novels", condition="id = :owner_id"),
}


def load_facts(connection: Connection, owners: Iterable[Owner], *, every_key: bool = False) -> dict[Owner, OwnerFacts]:
    """Facts about those of the owners that exist and are not deleted.

    With `every_key` all content keys are in the facts, else only suspects. About 0.5 ms an owner in batches.
    """
    ids: dict[OwnerKind, list[str]] = {kind: [] for kind in OwnerKind}
    for owner in owners:
        ids[owner.kind].append(owner.owner_id)
    found: dict[Owner, OwnerFacts] = {}
    for kind, owner_ids in ids.items():
        if owner_ids:
            found |= _readable(connection, kind, sorted(set(owner_ids)), every_key)
    return found


def load_key_facts(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    """Facts about one key of a concept, as load_facts has them, and what belongs to its owner: tasks, and the items of this key.

    None: the roadmap is gone or cannot be read, or it holds no such concept. Odd rows of its neighbours are not looked at.
    """
    try:
        with connection.begin_nested():
            return _one_key(connection, key)
    except FAULTS as fault:
        if not is_of_the_data(fault):
            raise
        return None


def _one_key(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    kind, owner_ids = OwnerKind.ROADMAP, [key.owner_id]
    work = load_work(connection, kind, owner_ids, key)
    roadmaps = rows_of_owners(connection, _ROADMAPS, owner_ids, is_one=True)
    keys = load_key(connection, key)
    if not roadmaps or not keys:
        return None
    rows = load_owner_rows(connection, kind, owner_ids, work, key)[key.owner_id]
    facts = _roadmap_facts(roadmaps[0], rows, keys)
    return (facts.keys[0], facts) if facts.keys else None


def load_cover_facts(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    """The same about the cover of a roadmap, whatever is in its framework_data. None: the roadmap is gone, or cannot be read."""
    try:
        with connection.begin_nested():
            found = load_cover_rows(connection, key)
            if found is None:
                return None
            facts = _roadmap_facts(*found, with_cover=True)
            return facts.keys[0], facts
    except FAULTS as fault:
        if not is_of_the_data(fault):
            raise
        return None


def load_chapter_facts(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    """The same about one chapter. None: neither it nor a choice that leads to it is there, or it cannot be read."""
    try:
        with connection.begin_nested():
            return _one_chapter(connection, key)
    except FAULTS as fault:
        if not is_of_the_data(fault):
            raise
        return None


def _one_chapter(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    kind, owner_ids, number = OwnerKind.NOVEL, [key.owner_id], key.chapter_number
    work = load_work(connection, kind, owner_ids, key)
    novels = rows_of_owners(connection, _NOVELS, owner_ids, is_one=True)
    if not novels:
        return None
    found = [_chapter_key(row) for row in rows_of_owners(
        connection, _CHAPTERS.format(condition="and c.chapter_number = :number"), owner_ids, is_one=True, number=number, every=True)]
    found += [_unwritten_chapter(row.novel_id, row.chapter_number, row.chosen_at) for row in rows_of_owners(
        connection, _NEXT_CHAPTERS.format(condition="and c.chapter_number = :number - 1"), owner_ids, is_one=True, number=number)]
    if novels[0].has_no_chapter and number == 1:
        found.append(_unwritten_chapter(key.owner_id, 1, novels[0].created_at))
    if not found:
        return None
    rows = load_owner_rows(connection, kind, owner_ids, work, key)[key.owner_id]
    return found[0], _owner_facts(kind, novels[0], tuple(found), rows, ())


def _readable(connection: Connection, kind: OwnerKind, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    """Facts of these; one owner that cannot be read (\\u0000 in a json column) hides no other."""
    load = {OwnerKind.ROADMAP: _roadmaps, OwnerKind.NOVEL: _novels}[kind]
    try:
        with connection.begin_nested():
            return load(connection, owner_ids, every_key)
    except FAULTS as fault:
        if not is_of_the_data(fault):
            raise
        if len(owner_ids) == 1:
            return unreadable_facts(connection, Owner(kind, owner_ids[0]), fault)
        half = len(owner_ids) // 2
        return _readable(connection, kind, owner_ids[:half], every_key) | _readable(connection, kind, owner_ids[half:], every_key)


def unreadable_facts(connection: Connection, owner: Owner, fault: BaseException) -> dict[Owner, OwnerFacts]:
    """What is left to say of an owner whose data raised `fault`. Empty when the owner is not there."""
    row = connection.execute(text(_NAME_OF[owner.kind]), {"owner_id": owner.owner_id}).one_or_none()
    if row is None:
        return {}
    return {owner: OwnerFacts(owner, row.title, (), aware(row.created_at), framework_faults=(f"$: {in_one_line(fault)}",))}


def _roadmaps(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    work = load_work(connection, OwnerKind.ROADMAP, owner_ids)
    roadmaps = connection.execute(text(_ROADMAPS), {"owner_ids": owner_ids}).all()
    keys = load_keys(connection, owner_ids, every_key)
    with_cover = {row.owner_id for row in roadmaps if every_key or not _has_good_cover(row)}
    suspects = [row.owner_id for row in roadmaps if row.is_suspect or row.owner_id in keys or row.owner_id in with_cover]
    kept = load_owner_rows(connection, OwnerKind.ROADMAP, suspects, work)
    return {
        Owner(OwnerKind.ROADMAP, row.owner_id):
            _roadmap_facts(row, kept[row.owner_id], keys[row.owner_id], with_cover=row.owner_id in with_cover)
        for row in roadmaps
    }


def _roadmap_facts(roadmap: Row[Any], rows: OwnerRows, found_keys: Iterable[KeyRow] = (), *, with_cover: bool = False) -> OwnerFacts:
    # SQL forgives a layout that Python calls a fault: of a suspect roadmap Python says which concepts there are.
    framework = read_framework(roadmap.framework_data) if roadmap.is_suspect else None
    read = {concept.concept_id: concept for concept in framework.concepts} if framework else {}
    created_at = aware(roadmap.created_at)
    keys: dict[tuple[str, str], tuple[KeyFacts, KeyRow]] = {}
    for found in found_keys:
        concept = read.get(found.concept_id)
        if framework and concept is None:
            continue
        facts = _concept_key(found, created_at, rows, concept)
        name = found.kind, found.concept_id
        if name not in keys or rank(facts.saved, found) > rank(keys[name][0].saved, keys[name][1]):
            keys[name] = facts, found
    judged = [facts for facts, _found in keys.values()]
    if with_cover:
        judged.append(_cover_key(roadmap))
    return _owner_facts(OwnerKind.ROADMAP, roadmap, tuple(judged), rows, framework.faults if framework else ())


def _concept_key(found: KeyRow, created_at: datetime, rows: OwnerRows, read: Concept | None) -> KeyFacts:
    """Facts from one row of the query. `read`: the concept as Python reads it, where that is not the same."""
    kind = ContentKind(found.kind)
    key = ContentKey(kind, found.roadmap_id, found.concept_id)
    saved, row_declares, fault = saved_of(kind, found)
    declared, name = (read.declared(kind), read.name) if read else (found.declared, found.name)
    return KeyFacts(
        key, saved, declared or row_declares, created_at, saved_at=aware(found.generated_at), fault=fault,
        error=rows.errors.get(key), title=name or key.part)


def _has_good_cover(row: Row[Any]) -> bool:
    return row.generation_status == CoverStatus.SUCCESS and bool((row.cover_image_url or "").strip())


def _cover_key(row: Row[Any]) -> KeyFacts:
    key = ContentKey(ContentKind.COVER, row.owner_id)
    saved = {
        CoverStatus.SUCCESS: Saved.VALID if _has_good_cover(row) else Saved.BROKEN,
        CoverStatus.FAILED: Saved.FAILED,
    }.get(row.generation_status, Saved.NONE)
    declared = ContentStatus.COMPLETED.value if row.generation_status == CoverStatus.SUCCESS else row.generation_status
    updated_at = aware(row.cover_updated_at)
    error = RecordedError(storable(row.cover_error), updated_at) if row.cover_error and saved is Saved.FAILED else None
    return KeyFacts(
        key, saved, declared, updated_at or aware(row.created_at), saved_at=updated_at,
        fault="no picture" if saved is Saved.BROKEN else "", error=error, title=row.title)


def _novels(connection: Connection, owner_ids: Sequence[str], every_key: bool) -> dict[Owner, OwnerFacts]:
    work = load_work(connection, OwnerKind.NOVEL, owner_ids)
    novels = connection.execute(text(_NOVELS), {"owner_ids": owner_ids}).all()
    keys: dict[str, list[KeyFacts]] = defaultdict(list)
    for chapter in connection.execute(text(_CHAPTERS.format(condition="")), {"owner_ids": owner_ids, "every": every_key}):
        keys[chapter.novel_id].append(_chapter_key(chapter))
    for chosen in connection.execute(text(_NEXT_CHAPTERS.format(condition="")), {"owner_ids": owner_ids}):
        keys[chosen.novel_id].append(_unwritten_chapter(chosen.novel_id, chosen.chapter_number, chosen.chosen_at))
    for novel in novels:
        if novel.has_no_chapter:
            keys[novel.owner_id].append(_unwritten_chapter(novel.owner_id, 1, novel.created_at))
    kept = load_owner_rows(connection, OwnerKind.NOVEL, sorted(keys), work)
    return {
        Owner(OwnerKind.NOVEL, novel.owner_id):
            _owner_facts(OwnerKind.NOVEL, novel, tuple(keys[novel.owner_id]), kept[novel.owner_id], ())
        for novel in novels
    }


def _unwritten_chapter(novel_id: str, chapter_number: int, expected_since: datetime) -> KeyFacts:
    key = ContentKey(ContentKind.CHAPTER, novel_id, str(chapter_number))
    return KeyFacts(key, Saved.NONE, None, aware(expected_since))


def _chapter_key(chapter: Row[Any]) -> KeyFacts:
    key = ContentKey(ContentKind.CHAPTER, chapter.novel_id, str(chapter.chapter_number))
    fault = "no text" if chapter.is_blank else "no options" if chapter.has_no_options else ""
    saved = {
        ContentStatus.COMPLETED: Saved.BROKEN if fault else Saved.VALID,
        ContentStatus.FAILED: Saved.FAILED,
    }.get(chapter.status, Saved.NONE)
    at = aware(chapter.generation_completed_at or chapter.created_at)
    error = RecordedError(storable(chapter.error_message), at) if chapter.error_message and saved is Saved.FAILED else None
    return KeyFacts(
        key, saved, chapter.status, aware(chapter.created_at), saved_at=at,
        fault=fault if saved is Saved.BROKEN else "", error=error, title=chapter.title or "")


def _owner_facts(kind: OwnerKind, row: Row[Any], keys: tuple[KeyFacts, ...], rows: OwnerRows, faults: tuple[str, ...]) -> OwnerFacts:
    return OwnerFacts(
        Owner(kind, row.owner_id), row.title, keys, aware(row.created_at), tuple(rows.tasks),
        frozenset(rows.live), rows.retried_at, faults, rows.succeeded_at)
