"""ops.causes and what people decided about them: state, assignee, notes, merging. Each change of state is one guarded UPDATE."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from backend.content.causes import Cause
from backend.content.triage import CauseEventKind, CauseState
from backend.storage.ops_tables import cause_aliases, cause_events, causes, problems

MERGE_LOCK = 7_203_005
KEPT_SAMPLE_DAYS = 30
Merged = Mapping[str, str]  # fingerprint -> the cause that it was merged into

_NAMES = ("cause_id", "error_kind", "origin", "title", "sample", "first_seen_at", "last_seen_at")
_KEEP = text(  # one document: a bound parameter for each value runs out at 65,535 of them
    f"insert into ops.causes as c ({', '.join(_NAMES)}) select {', '.join(_NAMES)} from json_populate_recordset("
    "  null::ops.causes, cast(:rows as json)) "
    "on conflict (cause_id) do update set last_seen_at = excluded.last_seen_at where c.last_seen_at < now() - interval '1 minute'")


def hold_merged(connection: Connection) -> Merged:
    """What is merged; nobody merges or parts anything until this transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock_shared(:lock)"), {"lock": MERGE_LOCK})
    return {row.fingerprint: row.cause_id for row in connection.execute(select(cause_aliases.c.fingerprint, cause_aliases.c.cause_id))}


def keep(connection: Connection, found: Mapping[str, Cause], merged: Merged, now: datetime) -> None:
    """Remember these causes, and that they were seen. A merged one keeps its own row: it may be parted again."""
    if not found:
        return
    connection.execute(_KEEP, {"rows": json.dumps([
        {"cause_id": cause_id, "error_kind": cause.error_kind, "origin": cause.error_kind.origin, "title": cause.title,
         "sample": cause.sample, "first_seen_at": now, "last_seen_at": now}
        for cause_id, cause in sorted(found.items())], default=datetime.isoformat)})
    into = sorted({merged[cause_id] for cause_id in found if cause_id in merged})
    if into:
        connection.execute(update(causes).where(
            causes.c.cause_id.in_(into), causes.c.last_seen_at < now - timedelta(minutes=1)).values(last_seen_at=now))


def belongs_to(connection: Connection, cause_id: str) -> str:
    """The cause that this one was merged into, or itself."""
    return connection.scalar(select(cause_aliases.c.cause_id).where(cause_aliases.c.fingerprint == cause_id)) or cause_id


def fingerprints_of(connection: Connection, cause_id: str) -> list[str]:
    """The fingerprints that belong to a cause: its own, and those that were merged into it."""
    return [cause_id, *connection.scalars(
        select(cause_aliases.c.fingerprint).where(cause_aliases.c.cause_id == cause_id).order_by(cause_aliases.c.fingerprint))]


def count_retries(connection: Connection, cause_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """cause id -> (succeeded, failed) of the items that were planned for it, or for what was merged into it. Without those never tried."""
    rows = connection.execute(text(
        "select w.cause_id, count(*) filter (where i.state = 'succeeded') as succeeded, "
        "  count(*) filter (where i.state = 'failed') as failed "
        "from (select u as cause_id, u as member from unnest(cast(:ids as text[])) u union all "
        "  select cause_id, fingerprint from ops.cause_aliases where cause_id = any(:ids)) w "
        "join ops.items i on i.planned_cause_id = w.member and i.state in ('succeeded', 'failed') group by w.cause_id"),
        {"ids": list(cause_ids)})
    return {row.cause_id: (row.succeeded, row.failed) for row in rows}


def find_cause(connection: Connection, cause_id: str) -> Any | None:
    return connection.execute(select(causes).where(causes.c.cause_id == cause_id)).one_or_none()


def change_state(
    connection: Connection, cause_id: str, before: Sequence[CauseState], after: CauseState, *, by: str, reason: str, now: datetime,
    ignored_until_at: datetime | None = None, ignored_until_count: int | None = None,
) -> bool:
    """One of `before` -> `after`. False: it is in another state, or there is no such cause."""
    return connection.execute(
        update(causes).where(causes.c.cause_id == cause_id, causes.c.state.in_(before))
        .values(state=after, state_by=by, state_reason=reason, state_at=now, ignored_until_at=ignored_until_at,
                ignored_until_count=ignored_until_count)).rowcount == 1


def assign(connection: Connection, cause_id: str, assignee: str | None) -> bool:
    """False: it was assigned so already, or there is no such cause."""
    return connection.execute(update(causes).where(
        causes.c.cause_id == cause_id, causes.c.assignee.is_distinct_from(assignee)).values(assignee=assignee)).rowcount == 1


def write_event(connection: Connection, cause_id: str, kind: CauseEventKind, *, by: str, now: datetime, words: str = "") -> None:
    connection.execute(insert(cause_events).values(cause_id=cause_id, kind=kind, actor_id=by, at=now, words=words))


def merge(connection: Connection, cause_id: str, into: str, *, by: str, now: datetime) -> int:
    """Everything of a cause belongs to another from now on, and whatever comes again too. Returns how many problems moved.

    The caller holds `hold_alone`: drains at work have ended, and the next ones know it.
    """
    connection.execute(update(cause_aliases).where(cause_aliases.c.cause_id == cause_id).values(cause_id=into))
    connection.execute(insert(cause_aliases).values(fingerprint=cause_id, cause_id=into, merged_by=by, merged_at=now))
    moved = connection.execute(update(problems).where(problems.c.cause_id == cause_id).values(cause_id=into)).rowcount
    mark_first_of_owners(connection, [into])
    return moved


def part(connection: Connection, fingerprint: str) -> int | None:
    """A cause that was merged stands for itself again. Returns how many problems moved back; None: it was not merged.

    The caller holds `hold_alone`.
    """
    into = connection.scalar(delete(cause_aliases).where(cause_aliases.c.fingerprint == fingerprint).returning(cause_aliases.c.cause_id))
    if into is None:
        return None
    moved = connection.execute(update(problems).where(
        problems.c.cause_id == into, problems.c.fingerprint == fingerprint).values(cause_id=fingerprint)).rowcount
    mark_first_of_owners(connection, [into, fingerprint])
    return moved


def mark_first_of_owners(connection: Connection, cause_ids: Sequence[str] | None = None) -> None:
    """Anew for these causes, or for all of them, after problems were given another one. The caller holds `hold_alone`."""
    connection.execute(text(
        "update ops.problems p set is_first_of_owner = n.is_first from ("
        "  select kind, owner_id, part, row_number() over ("
        "    partition by cause_id, owner_id, kind = 'chapter' order by kind, part) = 1 as is_first "
        "  from ops.problems where cast(:cause_ids as text[]) is null or cause_id = any(:cause_ids)) n "
        "where (p.kind, p.owner_id, p.part) = (n.kind, n.owner_id, n.part) and p.is_first_of_owner <> n.is_first"),
        {"cause_ids": cause_ids})


def hold_alone(connection: Connection) -> None:
    """Before any row of a cause is locked: a drain locks those last."""
    connection.execute(select(func.pg_advisory_xact_lock(MERGE_LOCK)))


# A fault that began or was first seen, or an item that failed, after it was called resolved: a row that another program deletes tells no
# time of its own. What was worked on, and so not listed meanwhile, is as old as it was before: ops.gone_problems remembers it until it
# is good. What was cancelled since is declared what it was before, and looks young only because its task was written. In one UPDATE:
# who looks second changes nothing.
_REGRESS = text("""
    update ops.causes c set state = 'regressed', state_at = :now, state_by = :by, state_reason = ''
    where state = 'resolved' and (
      exists (select 1 from ops.problems p left join ops.gone_problems g using (owner_id, kind, part) where p.cause_id = c.cause_id
        and greatest(p.since_at, least(p.first_seen_at, g.first_seen_at)) > c.state_at and not exists (
        select 1 from ops.items x where x.owner_id = p.owner_id and x.kind = p.kind and x.part = p.part
          and x.state = 'cancelled' and x.settled_at >= c.state_at))
      or exists (select 1 from ops.items i where i.settled_at > c.state_at and i.cause_id in (
        select c.cause_id union all select a.fingerprint from ops.cause_aliases a where a.cause_id = c.cause_id)))
    returning cause_id""")
_WAKE = text("""
    update ops.causes c set state = 'open', state_at = :now, state_by = :by, state_reason = '', ignored_until_at = null,
      ignored_until_count = null
    where state = 'ignored' and (ignored_until_at <= :now or ignored_until_count <= (
      select count(*) from ops.problems p where p.cause_id = c.cause_id))
    returning cause_id""")


def regress(connection: Connection, *, by: str, now: datetime) -> list[str]:
    """resolved -> regressed, of all that came back. Returns them."""
    return sorted(connection.scalars(_REGRESS, {"by": by, "now": now}))


def wake(connection: Connection, *, by: str, now: datetime) -> list[str]:
    """ignored -> open, of all whose time or number has come. Returns them."""
    return sorted(connection.scalars(_WAKE, {"by": by, "now": now}))


_SAMPLE = text("""
    with counted as (select cause_id, count(*)::int as problem_count from ops.problems group by cause_id),
    last as (select distinct on (cause_id) cause_id, problem_count from ops.cause_samples order by cause_id, sampled_at desc)
    insert into ops.cause_samples (cause_id, sampled_at, problem_count)
    select coalesce(counted.cause_id, last.cause_id), :now, coalesce(counted.problem_count, 0)
    from counted full join last using (cause_id)
    where coalesce(counted.problem_count, 0) is distinct from last.problem_count
    on conflict do nothing""")


def sample(connection: Connection, now: datetime) -> None:
    """Write down how many problems each cause has, where the number has changed. The last sample of a cause is kept for ever."""
    connection.execute(_SAMPLE, {"now": now})
    connection.execute(text(
        "delete from ops.cause_samples s where sampled_at < :kept_since and exists ("
        "  select 1 from ops.cause_samples l where l.cause_id = s.cause_id and l.sampled_at > s.sampled_at)"),
        {"kept_since": now - timedelta(days=KEPT_SAMPLE_DAYS)})
