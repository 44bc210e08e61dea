"""ops.operations, ops.items and the platform's tasks that go with them. Each change of state is one guarded UPDATE."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, cast, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule, PlannedItem
from backend.content.status import ItemAction, ItemEventKind, ItemState, Priority
from backend.processes import ProcessName
from backend.storage.item_events import chosen_and_noted
from backend.storage.ops_tables import items, operations


@dataclass(frozen=True, slots=True)
class StoredItem:
    item_id: int
    operation_id: str
    task_id: str | None
    key: ContentKey
    title: str
    action: ItemAction
    state: ItemState
    attempt: int
    previous_status: str | None
    job_id: str | None = None
    returned_count: int = 0
    cancel_requested_at: datetime | None = None
    worker: ProcessName | None = None  # who runs it, or ran it last
    started_at: datetime | None = None  # of this attempt

    @property
    def tries(self) -> int:
        """Attempts that counted, this one included: not those that were given back unused."""
        return self.attempt - self.returned_count


# What a StoredItem is made of: all 46 columns of a row cost as much again.
STORED = tuple(items.c[name] for name in (
    "item_id", "operation_id", "task_id", "kind", "owner_id", "part", "title", "action", "state", "attempt", "previous_status", "job_id",
    "returned_count", "cancel_requested_at", "worker_host", "worker_pid", "started_at"))


def as_item(row: Any) -> StoredItem:
    return StoredItem(
        row.item_id, row.operation_id, row.task_id, ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.title,
        ItemAction(row.action), ItemState(row.state), row.attempt, row.previous_status, row.job_id, row.returned_count,
        row.cancel_requested_at, ProcessName(row.worker_host, row.worker_pid) if row.worker_host and row.worker_pid else None,
        row.started_at)


# What items are planned with: each of these columns in the order of the plan. As columns 100,000 become JSON in half the time.
ItemColumns = dict[str, list[Any]]
_ARRAYS = {
    "kind": "text", "owner_id": "text", "part": "text", "title": "text", "action": "text", "problem_kind": "text",
    "planned_cause_id": "text", "group_id": "bigint",
    "canary_round": "smallint",  # 1 for those that go ahead of their group
    "place": "int",              # in the plan, from 1
    "task_id": "text"}


def item_columns(planned: Sequence[PlannedItem], groups: Mapping[str, int], canary_items: int) -> ItemColumns:
    keys = [item.key for item in planned]
    group_ids = [groups[item.cause_id] if item.action is ItemAction.GENERATE else None for item in planned]
    return {
        "kind": [str(key.kind) for key in keys], "owner_id": [key.owner_id for key in keys], "part": [key.part for key in keys],
        "title": [item.title for item in planned], "action": [str(item.action) for item in planned],
        "problem_kind": [str(item.problem_kind) for item in planned], "planned_cause_id": [item.cause_id or None for item in planned],
        "group_id": group_ids, "canary_round": _canary_rounds(group_ids, canary_items), "place": list(range(1, len(planned) + 1))}


def _canary_rounds(group_ids: Sequence[int | None], canary_items: int) -> list[int | None]:
    seen: Counter[int] = Counter()
    rounds: list[int | None] = []
    for group_id in group_ids:
        is_ahead = group_id is not None and seen[group_id] < canary_items
        if is_ahead and group_id is not None:
            seen[group_id] += 1
        rounds.append(1 if is_ahead else None)
    return rounds


def insert_items(connection: Connection, operation_id: str, columns: ItemColumns, task_ids: Mapping[str, str]) -> None:
    """Store items of an operation in state planned. 10,000 take about 0.3 s."""
    given = columns | {"task_id": [task_ids[owner_id] for owner_id in columns["owner_id"]]}
    arrays = ", ".join(f"cast(:{name} as {kind}[])" for name, kind in _ARRAYS.items())
    connection.execute(text(
        f"insert into ops.items (operation_id, state, {', '.join(_ARRAYS)}) "
        f"select :operation_id, 'planned', u.* from unnest({arrays}) as u"), {"operation_id": operation_id, **given})


def insert_operation(connection: Connection, **values: object) -> None:
    connection.execute(insert(operations).values(**values))


def operation_of_request(connection: Connection, request_id: str) -> str | None:
    return connection.scalar(select(operations.c.operation_id).where(operations.c.request_id == request_id))


def planned_count(connection: Connection, operation_id: str) -> int:
    return connection.scalar(select(operations.c.planned_count).where(operations.c.operation_id == operation_id)) or 0


def kinds_to_make(connection: Connection, operation_id: str) -> list[ContentKind]:
    """Kinds of which an operation makes something, of what is written down of it."""
    return [ContentKind(kind) for kind in connection.scalars(select(items.c.kind).distinct().where(
        items.c.operation_id == operation_id, items.c.action == ItemAction.GENERATE))]


def item_ids_of(connection: Connection, operation_id: str) -> list[int]:
    return list(connection.scalars(select(items.c.item_id).where(items.c.operation_id == operation_id).order_by(items.c.item_id)))


def actor_of(connection: Connection, operation_id: str) -> str:
    """Who began the operation."""
    return connection.scalar(_ACTOR, {"operation_id": operation_id}) or ""


_ACTOR = text("select actor_id from ops.operations where operation_id = :operation_id")


def tried_today(connection: Connection, keys: Sequence[ContentKey], now: datetime) -> set[ContentKey]:
    """Those of the keys that an item was planned for in the last 24 hours, however it ended."""
    rows = connection.execute(text(
        "select distinct i.kind, i.owner_id, i.part from ops.items i "
        "join unnest(cast(:k as text[]), cast(:o as text[]), cast(:p as text[])) as c(kind, owner_id, part) using (kind, owner_id, part) "
        "where i.created_at > cast(:now as timestamptz) - interval '24 hours'"),
        {"k": [key.kind.value for key in keys], "o": [key.owner_id for key in keys], "p": [key.part for key in keys], "now": now})
    return {ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in rows}


MANY_KEYS = 5_000  # above this all that is unfinished is read: sending so many keys takes longer


def keys_in_work(connection: Connection, keys: Sequence[ContentKey]) -> dict[ContentKey, str]:
    """Those of the keys that an unfinished item holds already, with its operation."""
    query, parameters = "select i.kind, i.owner_id, i.part, i.operation_id from ops.items i ", {}
    if len(keys) <= MANY_KEYS:
        query += ("join unnest(cast(:k as text[]), cast(:o as text[]), cast(:p as text[])) as c(kind, owner_id, part) "
                  "using (kind, owner_id, part) ")
        parameters = {"k": [key.kind.value for key in keys], "o": [key.owner_id for key in keys], "p": [key.part for key in keys]}
    rows = connection.execute(text(query + "where i.state in ('planned', 'queued', 'running')"), parameters)
    # By name: to make keys of 100,000 rows takes longer than to read them.
    found = {(kind, owner_id, part): operation_id for kind, owner_id, part, operation_id in rows}
    if not found:
        return {}
    return {key: found[name] for key in keys if (name := (str(key.kind), key.owner_id, key.part)) in found}


def queue(connection: Connection, chunks: dict[str, Sequence[int]], now: datetime) -> dict[str, list[int]]:
    """planned -> queued: job id -> the item ids that became its own. An item whose key is live elsewhere stays planned."""
    try:
        with connection.begin_nested():
            return _queue(connection, chunks, now)
    except IntegrityError:  # somebody else queued one of the keys in this very moment
        queued: dict[str, list[int]] = {}
        for job_id, item_ids in chunks.items():
            for item_id in item_ids:
                try:
                    with connection.begin_nested():
                        for found in _queue(connection, {job_id: [item_id]}, now).values():
                            queued.setdefault(job_id, []).extend(found)
                except IntegrityError:
                    continue
        return queued


# Each item is looked up by its id, each key in the unique index. Left to itself the planner goes by how many items it believes to be
# planned, which is none while many are: it asked for the keys of all that is planned, or joined with all that is live. Therefore the
# limits, and a state that no index knows.
_QUEUE = text("""
    with free as materialized (
      select c.item_id, c.job_id from unnest(cast(:item_ids as bigint[]), cast(:job_ids as text[])) as c(item_id, job_id)
      cross join lateral (select * from ops.items p where p.item_id = c.item_id limit 1) p
      where p.state = 'planned' and (select true from ops.items l where (l.kind, l.owner_id, l.part) = (p.kind, p.owner_id, p.part)
        and l.state in ('queued', 'running') limit 1) is null)
    update ops.items i set state = 'queued', job_id = free.job_id, queued_at = :now from free
    where i.item_id = free.item_id and i.state || '' = 'planned' returning i.item_id, i.job_id""")


def _queue(connection: Connection, chunks: dict[str, Sequence[int]], now: datetime) -> dict[str, list[int]]:
    pairs = [(item_id, job_id) for job_id, item_ids in chunks.items() for item_id in item_ids]
    rows = connection.execute(_QUEUE, {
        "now": now, "item_ids": [pair[0] for pair in pairs], "job_ids": [pair[1] for pair in pairs]})
    queued: dict[str, list[int]] = {}
    for row in rows:
        queued.setdefault(row.job_id, []).append(row.item_id)
    return queued


def put_back(connection: Connection, item_ids: Sequence[int]) -> int:
    """queued -> planned: they may not begin yet, and are handed out again. Returns how many changed."""
    return connection.execute(
        update(items).where(items.c.item_id == func.any(cast(list(item_ids), ARRAY(BigInteger))), items.c.state == ItemState.QUEUED)
        .values(state=ItemState.PLANNED, job_id=None, queued_at=None)).rowcount


def skip(connection: Connection, item_ids: Sequence[int], rule: ExclusionRule, now: datetime) -> int:
    """planned | queued | running -> skipped: there is nothing to do any more. Returns how many changed."""
    return connection.execute(
        update(items).where(
            items.c.item_id == func.any(cast(list(item_ids), ARRAY(BigInteger))),
            items.c.state.in_((ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING)))
        .values(state=ItemState.SKIPPED, skip_rule=rule, settled_at=now)).rowcount


_FIND = text(f"select {', '.join(column.name for column in STORED)} from ops.items where item_id = :item_id")


def find_item(connection: Connection, item_id: int) -> StoredItem | None:
    row = connection.execute(_FIND, {"item_id": item_id}).one_or_none()
    return as_item(row) if row else None


def settle(
    connection: Connection, item: StoredItem, state: ItemState, now: datetime, *,
    before: ItemState = ItemState.RUNNING, silent_since: datetime | None = None, **values: object,
) -> bool:
    """`before` -> succeeded | failed | skipped, if this attempt still holds the item. False: a late write, change nothing.

    With `silent_since` only an item that has not beaten since then is settled.
    """
    statement = update(items).where(
        items.c.item_id == item.item_id, items.c.state == before, items.c.attempt == item.attempt)
    if silent_since is not None:
        statement = statement.where(items.c.heartbeat_at < silent_since)
    return connection.execute(statement.values(state=state, settled_at=now, **values)).rowcount == 1


def jobless(
    connection: Connection, queued_before: datetime, standing: Collection[str], *, kinds: Sequence[ContentKind] = tuple(ContentKind),
    may_generate: bool = True,
) -> list[tuple[Priority, list[int]]]:
    """Items of those kinds that stay queued while no standing job is theirs, of running operations: (priority, item ids) by job."""
    rows = connection.execute(text(
        "select o.priority, array_agg(i.item_id order by i.item_id) as item_ids "
        "from ops.items i join ops.operations o using (operation_id) "
        "where i.state = 'queued' and i.cancel_requested_at is null and o.state = 'running' and (i.job_id is null or i.queued_at < :before "
        "  and i.job_id not in (select unnest(cast(:standing as text[])))) "  # a hash table, whatever the plan
        "and i.kind = any(:kinds) and (:may_generate or i.action = 'repair') group by i.job_id, o.priority order by min(i.queued_at)"),
        {"before": queued_before, "standing": list(standing), "may_generate": may_generate,
         "kinds": [kind.value for kind in kinds]})
    return [(Priority(row.priority), list(row.item_ids)) for row in rows]


def jobs_with_items(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Those of the jobs that an item still belongs to which waits or runs."""
    return set(connection.scalars(text(
        "select distinct job_id from ops.items where state in ('queued', 'running') and job_id = any(:job_ids)"),
        {"job_ids": list(job_ids)}))


def reassign(connection: Connection, item_ids: Sequence[int], job_id: str, now: datetime) -> list[int]:
    """Give queued items a new job. Returns those that are still queued."""
    rows = connection.execute(text(
        chosen_and_noted(ItemEventKind.RESENT, "item_id = any(:item_ids) and state = 'queued'")
        + "update ops.items i set job_id = :job_id, queued_at = :now from chosen c where i.item_id = c.item_id returning i.item_id"),
        {"item_ids": list(item_ids), "job_id": job_id, "now": now, "words": ""})
    return sorted(row.item_id for row in rows)


def insert_tasks(connection: Connection, tasks: Sequence[dict[str, Any]], user_request: str) -> None:
    """One task of the platform for each roadmap or novel, for its own user."""
    names = ("task_id", "task_type", "roadmap_id", "novel_id", "concept_id", "content_type")
    arrays = ", ".join(f"cast(:{name} as text[])" for name in names)
    connection.execute(text(
        f"insert into public.tasks ({', '.join(names)}, user_id, status, current_step, user_request, created_at, updated_at) "
        f"select u.*, coalesce(r.user_id, n.user_id), 'pending', 'queued', cast(:user_request as json), now(), now() "
        f"from unnest({arrays}) as u({', '.join(names)}) left join public.roadmap_metadata r using (roadmap_id) "
        "left join public.novels n on n.id = u.novel_id where coalesce(r.user_id, n.user_id) is not null"),
        {"user_request": user_request, **{name: [task[name] for task in tasks] for name in names}})


def settled_operations(connection: Connection) -> list[str]:
    """Operations, running or paused, that have no unsettled item left, oldest first."""
    rows = connection.execute(text(
        "select o.operation_id from ops.operations o where o.state in ('running', 'paused') and not exists ("
        "  select 1 from ops.items i where i.operation_id = o.operation_id and i.state in ('planned', 'queued', 'running')) "
        "order by o.created_at"))
    return [row.operation_id for row in rows]


def lock_operation(connection: Connection, operation_id: str) -> None:
    """Hold it until the transaction ends: who changes its state waits."""
    connection.execute(text("select 1 from ops.operations where operation_id = :operation_id for update"), {"operation_id": operation_id})


def begin_verifying(connection: Connection, operation_id: str) -> bool:
    """running | paused -> verifying, noting up to which change the detector has to look. False: somebody else did."""
    return connection.execute(text(
        "update ops.operations set state = 'verifying', outcome = jsonb_build_object('changes_up_to', "
        "  (select coalesce(max(dirty_id), 0) from ops.dirty)) "
        "where operation_id = :operation_id and state in ('running', 'paused')"), {"operation_id": operation_id}).rowcount == 1


def verified_operations(connection: Connection) -> list[str]:
    """Operations in state verifying whose owners the detector has looked at since their last item settled."""
    rows = connection.execute(text(
        "select o.operation_id from ops.operations o where o.state = 'verifying' and not exists ("
        "  select 1 from ops.dirty d join ops.items i on i.owner_id = d.owner_id and i.operation_id = o.operation_id"
        "  where d.dirty_id <= (o.outcome ->> 'changes_up_to')::bigint) order by o.created_at"))
    return [row.operation_id for row in rows]
