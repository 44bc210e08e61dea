"""ops.problems: the detector's answers, kept. Written only by the drain of ops.dirty."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from backend.content.causes import Cause, cause_of
from backend.content.detector import judge_owner
from backend.content.facts import Limits, OwnerFacts
from backend.content.keys import ContentKind, Owner, OwnerKind
from backend.content.problems import Problem
from backend.storage import cause_records
from backend.storage.cause_records import Merged
from backend.storage.facts import load_facts, unreadable_facts
from backend.storage.ops_tables import dirty, problems, rechecks
from backend.storage.recorded import FAULTS, in_one_line, is_of_the_data

log = structlog.get_logger(__name__)

DRAIN_LOCK = 7_203_002
LANES = 3  # threads of a full rebuild, and connections: PostgreSQL reads while Python judges. With two, one of two cores often waited
MARKS_AHEAD = 20_000  # of ops.dirty that are looked through for the same owners: 5 ms
DRAIN_OWNERS = 1000  # the batch of a full rebuild: memory stays flat, and the planner hashes instead of looping
_NAMES = [column.name for column in problems.c]
_CHANGING = [name for name in _NAMES if name not in ("kind", "owner_id", "part", "first_seen_at")]
# One JSON document for all rows: half the time of a statement for each row, on both sides. `not in` is looked up in a hash table
# whatever the planner thinks of the numbers; it may have made its plan for one owner, or for a table that was empty.
_KEEP_PROBLEMS = text(
    f"with found as materialized (select {', '.join(_NAMES)} from json_populate_recordset(null::ops.problems, cast(:rows as json))), "
    "gone as (delete from ops.problems where (owner_id = any(:roadmap_ids) and kind <> 'chapter' "
    "  or owner_id = any(:novel_ids) and kind = 'chapter') "
    "  and (kind, owner_id, part) not in (select kind, owner_id, part from found)) "
    f"insert into ops.problems as p ({', '.join(_NAMES)}) select {', '.join(_NAMES)} from found "
    "order by owner_id, kind, part "
    f"on conflict (kind, owner_id, part) do update set {', '.join(f'{name} = excluded.{name}' for name in _CHANGING)} "
    f"where ({', '.join(f'p.{name}' for name in _CHANGING)}) is distinct from ({', '.join(f'excluded.{name}' for name in _CHANGING)})")
# Until the transaction ends. A plan that is kept from drains of one owner takes 3.6 s for a batch, not 0.1 s, where the tables were
# never analysed; and PostgreSQL believes a batch to be so expensive that it would compile its queries each time.
_PLAN_ANEW = text("select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)")


@dataclass(frozen=True, slots=True)
class Drained:
    owners: int = 0
    problems: int = 0

    def __add__(self, other: "Drained") -> "Drained":
        return Drained(self.owners + other.owners, self.problems + other.problems)


@dataclass(frozen=True, slots=True)
class _Found:
    problem: Problem
    cause: Cause
    facts: OwnerFacts


def drain(engine: Engine, clock: Callable[[], datetime], limits: Limits, *, batch_owners: int = DRAIN_OWNERS) -> Drained:
    """Look again at every owner that is dirty or due, until none is left. Cost follows what changed."""
    if not _is_backlog(engine, batch_owners):
        return _drain_lane(engine, clock, limits, batch_owners)
    with ThreadPoolExecutor(LANES, thread_name_prefix="drain") as lanes:
        drained = [lanes.submit(_drain_lane, engine, clock, limits, batch_owners) for _lane in range(LANES)]
        return sum((lane.result() for lane in drained), Drained())


def _drain_lane(engine: Engine, clock: Callable[[], datetime], limits: Limits, batch_owners: int) -> Drained:
    drained = Drained()
    while batch := drain_batch(engine, clock, limits, batch_owners=batch_owners):
        drained += batch
    return drained


def _is_backlog(engine: Engine, batch_owners: int) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(select(select(dirty.c.dirty_id).offset(batch_owners).exists())))


def drain_batch(
    engine: Engine, clock: Callable[[], datetime], limits: Limits, *, batch_owners: int = DRAIN_OWNERS,
) -> Drained | None:
    """Look again at some of the owners that are dirty or due, in one transaction. None: there are none."""
    with engine.begin() as connection:  # its own: rows of rechecks held while waiting for an owner were a deadlock
        _mark_due_dirty(connection, clock(), batch_owners)
    with engine.begin() as connection:
        owners = _take_dirty(connection, batch_owners)
        if not owners:
            return None
        return Drained(len(owners), refresh(connection, owners, clock(), limits))


def is_anything_dirty(connection: Connection, now: datetime) -> bool:
    return bool(connection.scalar(select(
        select(dirty.c.dirty_id).exists() | select(rechecks.c.owner_id).where(rechecks.c.due_at <= now).exists())))


def mark_all_dirty(engine: Engine) -> None:
    """Full rebuild: every owner that exists, and every owner that is listed though it may be gone."""
    with engine.begin() as connection:
        connection.execute(text(
            "insert into ops.dirty (owner_kind, owner_id) "
            "select 'roadmap', roadmap_id from public.roadmap_metadata union all select 'novel', id from public.novels union "
            "select distinct case when kind = 'chapter' then 'novel' else 'roadmap' end, owner_id from ops.problems "
            "order by 1, 2"))  # neighbours in one batch: a third less time than in any order


def refresh(connection: Connection, owners: Sequence[Owner], now: datetime, limits: Limits) -> int:
    """Judge these owners again and keep the answer. Returns how many problems they have.

    At most DRAIN_OWNERS of them: each holds an advisory lock until the transaction ends.
    """
    connection.execute(_PLAN_ANEW)
    _lock_owners(connection, owners)
    merged = cause_records.hold_merged(connection)
    found = _answer(connection, owners, merged, now, limits)
    # Last: all drains share these rows.
    cause_records.keep(connection, {each.cause.cause_id: each.cause for each in found}, merged, now)
    return len(found)


def _answer(
    connection: Connection, owners: Sequence[Owner], merged: Merged, now: datetime, limits: Limits,
) -> list[_Found]:
    """The problems of these owners, kept. An owner whose data the database will not take is set aside and stops no other."""
    try:
        with connection.begin_nested():
            return _judge_and_keep(connection, owners, load_facts(connection, owners), merged, now, limits)
    except FAULTS as fault:
        if not is_of_the_data(fault):
            raise
        if len(owners) == 1:
            return _set_aside(connection, owners[0], fault, merged, now, limits)
        half = len(owners) // 2
        return _answer(connection, owners[:half], merged, now, limits) + _answer(connection, owners[half:], merged, now, limits)


def _set_aside(
    connection: Connection, owner: Owner, fault: BaseException, merged: Merged, now: datetime, limits: Limits,
) -> list[_Found]:
    """List the owner as unreadable, with the reason, so that it is seen."""
    log.error("owner_set_aside", owner_kind=owner.kind.value, owner_id=owner.owner_id, fault=in_one_line(fault))
    try:
        with connection.begin_nested():
            return _judge_and_keep(connection, [owner], unreadable_facts(connection, owner, fault), merged, now, limits)
    except FAULTS as worse:
        if not is_of_the_data(worse):
            raise
        log.error("owner_cannot_be_listed", owner_kind=owner.kind.value, owner_id=owner.owner_id, fault=in_one_line(worse))
        return []


def _judge_and_keep(
    connection: Connection, owners: Sequence[Owner], facts: dict[Owner, OwnerFacts], merged: Merged, now: datetime, limits: Limits,
) -> list[_Found]:
    found: list[_Found] = []
    due: dict[Owner, datetime] = {}
    for owner, owner_facts in facts.items():
        for verdict in judge_owner(owner_facts, now, limits):
            if verdict.problem:
                found.append(_Found(verdict.problem, cause_of(verdict.problem), owner_facts))
            if verdict.look_again_at:
                due[owner] = min(verdict.look_again_at, due.get(owner, verdict.look_again_at))
    _keep_problems(connection, owners, found, merged, now)
    _keep_rechecks(connection, due)
    return found


def _mark_due_dirty(connection: Connection, now: datetime, batch_owners: int) -> None:
    connection.execute(text(
        "with due as (delete from ops.rechecks where (owner_kind, owner_id) in ("
        "  select owner_kind, owner_id from ops.rechecks where due_at <= :now order by due_at limit :batch for update skip locked)"
        "  returning owner_kind, owner_id) "
        "insert into ops.dirty (owner_kind, owner_id) select owner_kind, owner_id from due"), {"now": now, "batch": batch_owners})


# With the later marks of the same owners: while a large retry is handed out each of them is marked again and again. `not in` is looked
# up in a hash table whatever the planner thinks of the numbers.
_TAKE_DIRTY = text("""
    with first as materialized (select * from ops.dirty order by dirty_id limit :batch for update skip locked),
    again as materialized (
      select dirty_id from ops.dirty where dirty_id <= (select max(dirty_id) from first) + :ahead
      and ((owner_kind, owner_id) not in (select owner_kind, owner_id from first)) is false for update skip locked),
    taken as (delete from ops.dirty where dirty_id in (select dirty_id from again))
    select distinct owner_kind, owner_id from first order by 1, 2""")


def _take_dirty(connection: Connection, batch_owners: int) -> list[Owner]:
    rows = connection.execute(_TAKE_DIRTY, {"batch": batch_owners, "ahead": MARKS_AHEAD})
    return [Owner(OwnerKind(row.owner_kind), row.owner_id) for row in rows]


def _lock_owners(connection: Connection, owners: Sequence[Owner]) -> None:
    """One drain at a time judges an owner, and it reads after it holds the lock: a later answer never loses to an older one.

    The order is the same for everybody, so that two drains cannot wait for each other.
    """
    names = sorted({f"{owner.kind}:{owner.owner_id}" for owner in owners})
    connection.execute(text(
        "select pg_advisory_xact_lock(:space, key) from "
        "(select distinct hashtext(name) as key from unnest(cast(:names as text[])) as name order by 1) k"),
        {"space": DRAIN_LOCK, "names": names})


def _keep_problems(
    connection: Connection, owners: Sequence[Owner], found: Sequence[_Found], merged: Merged, now: datetime,
) -> None:
    """What was found is listed; what else was listed of these owners is gone."""
    attempts = _attempts(connection, {each.problem.key.owner_id for each in found}) if found else {}
    seen_at = now.isoformat()
    ids = {kind: [owner.owner_id for owner in owners if owner.kind is kind] for kind in OwnerKind}
    rows = [_row(each, merged, attempts, seen_at) for each in found]
    _mark_first_of_owners(rows)
    connection.execute(_KEEP_PROBLEMS, {
        "rows": json.dumps(rows, default=datetime.isoformat),
        "roadmap_ids": ids[OwnerKind.ROADMAP], "novel_ids": ids[OwnerKind.NOVEL]})


def _row(found: _Found, merged: Merged, attempts: dict[tuple[str, str, str], int], seen_at: str) -> dict[str, object]:
    problem, facts, key, fingerprint = found.problem, found.facts, found.problem.key, found.cause.cause_id
    title = problem.title or facts.title
    return {
        "kind": key.kind, "owner_id": key.owner_id, "part": key.part, "problem_kind": problem.kind,
        "cause_id": merged.get(fingerprint, fingerprint), "fingerprint": fingerprint, "declared": problem.declared,
        "detail": problem.detail,
        "error_kind": problem.error_kind, "error_message": problem.error_message, "title": title, "owner_title": facts.title,
        "attempts": attempts.get((key.kind, key.owner_id, key.part), 0),
        "since_at": problem.since_at or facts.created_at, "first_seen_at": seen_at,
        "search_text": " ".join((title, facts.title, key.owner_id, key.part, problem.detail, problem.error_message)).lower(),
    }


def _mark_first_of_owners(rows: Sequence[dict[str, object]]) -> None:
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        owner = row["owner_id"], row["kind"] == ContentKind.CHAPTER, row["cause_id"]
        row["is_first_of_owner"] = owner not in seen
        seen.add(owner)


def _attempts(connection: Connection, owner_ids: set[str]) -> dict[tuple[str, str, str], int]:
    """How often Redrive has tried each key of these owners, what was cancelled or skipped after it was begun too."""
    rows = connection.execute(text(
        "select kind, owner_id, part, sum(attempt - returned_count "
        "  - (state = 'skipped' or state = 'cancelled' and started_at is null)::int) as attempts from ops.items "
        "where owner_id = any(:owner_ids) and state not in ('planned', 'queued') and action = 'generate' group by kind, owner_id, part"),
        {"owner_ids": sorted(owner_ids)})
    return {(row.kind, row.owner_id, row.part): int(row.attempts) for row in rows}


def _keep_rechecks(connection: Connection, due: dict[Owner, datetime]) -> None:
    if not due:
        return
    statement = insert(rechecks).values([
        {"owner_kind": owner.kind, "owner_id": owner.owner_id, "due_at": due[owner]} for owner in sorted(due)])
    connection.execute(statement.on_conflict_do_update(
        index_elements=[rechecks.c.owner_kind, rechecks.c.owner_id], set_={"due_at": statement.excluded.due_at}))
