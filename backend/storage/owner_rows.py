"""What belongs to an owner besides its content: live items, tasks of the platform, recorded errors."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from backend.content.errors import ErrorKind
from backend.content.facts import RecordedError, TaskFacts
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, OwnerKind
from backend.storage.recorded import aware, parse_time, storable

_OWNER_COLUMN = {OwnerKind.ROADMAP: "roadmap_id", OwnerKind.NOVEL: "novel_id"}
_TASKS = """
select t.{column} as owner_id, t.task_id, t.task_type, t.status, t.concept_id, t.content_type, t.error_message as task_error,
       t.failed_concepts,
       coalesce(t.updated_at, t.created_at) as updated_at, exists (select 1 from ops.items i where i.task_id = t.task_id) as is_ours,
       t.created_at
from public.tasks t where t.{column} = any(:owner_ids) {condition} order by t.created_at, t.task_id
"""
_UNFINISHED = "and t.status in ('pending', 'processing')"
# A draft is written beside what is published, whose state it does not change.
_LIVE_ITEMS = """
select kind, owner_id, part from ops.items
where owner_id = any(:owner_ids) and state in ('queued', 'running') and action <> 'draft' {condition}
"""
_OF_ONE_KEY = "and kind = :kind and part = :part"
# The newest try of each key; where there was none, the newest repair. And when it last was good.
_TRIED_ITEMS = """
select distinct on (owner_id, kind, part) owner_id, kind, part, action = 'generate' as is_a_try, error_kind, error_message,
       coalesce(settled_at, created_at) as at,
       max(settled_at) filter (where state = 'succeeded') over (partition by owner_id, kind, part) as succeeded_at
from ops.items where owner_id = any(:owner_ids) {condition}
    and (state = 'succeeded' and action <> 'draft' or state in ('queued', 'running', 'failed') and action = 'generate')
order by owner_id, kind, part, action = 'generate' desc, item_id desc
"""
_COVER = text(f"""
select r.roadmap_id as owner_id, r.title, r.created_at, false as is_suspect,
       c.cover_image_url, c.generation_status, c.error_message as cover_error, c.updated_at as cover_updated_at,
       exists ({_LIVE_ITEMS.format(condition=_OF_ONE_KEY)}) as is_live, i.is_a_try, i.error_kind, i.error_message, i.at, i.succeeded_at,
       t.task_id, t.task_type, t.status, t.concept_id, t.content_type, t.task_error, t.updated_at, t.is_ours
from public.roadmap_metadata r left join public.roadmap_cover_images c using (roadmap_id)
left join ({_TRIED_ITEMS.format(condition=_OF_ONE_KEY)}) i on true
left join ({_TASKS.format(column="roadmap_id", condition="")}) t on true
where r.roadmap_id = :owner_id and r.deleted_at is null order by t.created_at, t.task_id
""".replace("any(:owner_ids)", ":owner_id"))


@dataclass
class OwnerRows:
    """What the queries found for one owner, before it becomes facts."""

    live: set[ContentKey] = field(default_factory=set)
    tasks: list[TaskFacts] = field(default_factory=list)
    errors: dict[ContentKey, RecordedError] = field(default_factory=dict)
    retried_at: dict[ContentKey, datetime] = field(default_factory=dict)
    succeeded_at: dict[ContentKey, datetime] = field(default_factory=dict)


@dataclass
class WorkSeen:
    """Who was at work, by owner, before the content was read."""

    keys: dict[str, set[ContentKey]] = field(default_factory=lambda: defaultdict(set))
    tasks: dict[str, dict[str, Row[Any]]] = field(default_factory=lambda: defaultdict(dict))  # task_id -> task


def load_work(
    connection: Connection, kind: OwnerKind, owner_ids: Sequence[str], only_key: ContentKey | None = None,
) -> WorkSeen:
    """Live items and unfinished tasks. To be read before the content: each statement sees the database at its own moment.

    With `only_key` the items of that key alone. A save that commits in between then looks as if it were still going on,
    until its own mark in ops.dirty is looked at. Read after the content, it would look as if nobody had been working on
    what is marked generating.
    """
    work = WorkSeen()
    for row in _items(connection, _LIVE_ITEMS, owner_ids, only_key):
        key = ContentKey(ContentKind(row.kind), row.owner_id, row.part)
        if key.kind.owner_kind is kind:
            work.keys[row.owner_id].add(key)
    for row in _tasks(connection, kind, owner_ids, only_key, _UNFINISHED):
        work.tasks[row.owner_id][row.task_id] = row
    return work


def load_cover_rows(connection: Connection, key: ContentKey) -> tuple[Row[Any], OwnerRows] | None:
    """A roadmap with its cover, and what belongs to it, of the items those of the cover alone. None: it is gone.

    One statement sees it all at one moment, and takes a third of the CPU of five: it is asked for each cover that is begun.
    """
    found = connection.execute(_COVER, {"owner_id": key.owner_id, "kind": key.kind, "part": key.part}).all()
    if not found:
        return None
    rows = OwnerRows(live={key} if found[0].is_live else set())
    for row in found:
        if row.task_id and not row.is_ours:
            rows.tasks.append(_task_facts(row))
    if found[0].is_a_try is not None:
        _add_try(rows, key, found[0])
    return found[0], rows


def _task_facts(row: Row[Any]) -> TaskFacts:
    return TaskFacts(
        row.task_type, row.status, row.concept_id, row.content_type, aware(row.updated_at), storable(row.task_error or ""))


def load_owner_rows(
    connection: Connection, kind: OwnerKind, owner_ids: Sequence[str], work: WorkSeen, only_key: ContentKey | None = None,
) -> dict[str, OwnerRows]:
    """What belongs to those owners, which have something suspect. `work`: as it was seen before the content.

    With `only_key` the items of that key alone.
    """
    kept: dict[str, OwnerRows] = defaultdict(OwnerRows)
    if not owner_ids:
        return kept
    tasks = {row.task_id: row for row in _tasks(connection, kind, owner_ids, only_key)}
    for owner_id in owner_ids:
        kept[owner_id].live = work.keys.get(owner_id, set())
        tasks.update(work.tasks.get(owner_id, {}))
    for row in tasks.values():
        rows = kept[row.owner_id]
        if not row.is_ours:
            rows.tasks.append(_task_facts(row))
        if kind is OwnerKind.ROADMAP and isinstance(row.failed_concepts, dict):
            for key, error in _failed_concepts(row.owner_id, row.failed_concepts, aware(row.updated_at)):
                _keep_newest(rows.errors, key, error)
    _add_tries(connection, kind, kept, only_key)
    return kept


def _tasks(
    connection: Connection, kind: OwnerKind, owner_ids: Sequence[str], only_key: ContentKey | None, condition: str = "",
) -> Sequence[Row[Any]]:
    query = _TASKS.format(column=_OWNER_COLUMN[kind], condition=condition)
    return rows_of_owners(connection, query, owner_ids, is_one=only_key is not None)


def _items(connection: Connection, query: str, owner_ids: Sequence[str], only_key: ContentKey | None) -> Sequence[Row[Any]]:
    if only_key is None:
        return rows_of_owners(connection, query.format(condition=""), owner_ids)
    return rows_of_owners(
        connection, query.format(condition=_OF_ONE_KEY), owner_ids, is_one=True, kind=only_key.kind, part=only_key.part)


def rows_of_owners(
    connection: Connection, query: str, owner_ids: Sequence[str], *, is_one: bool = False, **parameters: object,
) -> Sequence[Row[Any]]:
    """What the query finds. `is_one`: it is asked often for one owner; its plan is kept, that for an array is made anew each time."""
    if is_one:
        return connection.execute(_for_one_owner(query), {"owner_id": owner_ids[0], **parameters}).all()
    return connection.execute(text(query), {"owner_ids": owner_ids, **parameters}).all()


@cache
def _for_one_owner(query: str) -> TextClause:
    return text(query.replace("any(:owner_ids)", ":owner_id"))


def _add_tries(connection: Connection, kind: OwnerKind, kept: dict[str, OwnerRows], only_key: ContentKey | None) -> None:
    """Redrive's own tries. An error from before the last success says nothing about what is wrong now."""
    for row in _items(connection, _TRIED_ITEMS, list(kept), only_key):
        key, rows = ContentKey(ContentKind(row.kind), row.owner_id, row.part), kept[row.owner_id]
        if key.kind.owner_kind is not kind:
            continue
        _add_try(rows, key, row)


def _add_try(rows: OwnerRows, key: ContentKey, row: Row[Any]) -> None:
    if row.is_a_try:
        rows.retried_at[key] = row.at
        if row.error_message:
            _keep_newest(rows.errors, key, RecordedError(row.error_message, row.at, ErrorKind(row.error_kind)))
    if row.succeeded_at:
        rows.succeeded_at[key] = row.succeeded_at
        if key in rows.errors and rows.errors[key].at < row.succeeded_at:
            del rows.errors[key]


def _keep_newest(errors: dict[ContentKey, RecordedError], key: ContentKey, error: RecordedError) -> None:
    """Of two errors of the same time the later given one counts: an item knows its kind, a task only the words."""
    if key not in errors or errors[key].at <= error.at:
        errors[key] = error


def _failed_concepts(
    roadmap_id: str, failed: dict[str, Any], task_updated_at: datetime,
) -> Iterator[tuple[ContentKey, RecordedError]]:
    """What a task's failed_concepts says, by key. An entry without a content type is of the tutorial."""
    for concept_id, entry in failed.items():
        entry = entry if isinstance(entry, dict) else {"reason": entry}
        at = parse_time(entry.get("timestamp")) or task_updated_at
        for kind in str(entry.get("content_type") or ContentKind.TUTORIAL).split(","):
            if kind.strip() in CONCEPT_KINDS and entry.get("reason"):
                yield (ContentKey(ContentKind(kind.strip()), roadmap_id, concept_id),
                       RecordedError(storable(str(entry["reason"])), at))
