"""Grouping everything anew when the rule of fingerprints has changed: kept causes are those that the code would give today.

What people decided stays: a cause that was worked on, or merged, keeps its id, and its new fingerprint becomes an alias of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from backend.clock import utc_now
from backend.content.causes import FINGERPRINT_VERSION, Cause, cause_id_of, cause_of, normalise
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import Problem, ProblemKind
from backend.storage import cause_records
from backend.storage.ops_tables import kept_versions

log = structlog.get_logger(__name__)

NAME = "fingerprint"
BATCH_ROWS = 2000
BY = "redrive"
_PROBLEMS = ("select kind, owner_id, part, problem_kind, declared, detail, error_kind, error_message, fingerprint, cause_id "
             "from ops.problems order by kind, owner_id, part")
_WORKED_ON = """
    select c.cause_id, c.error_kind, c.sample, coalesce(a.cause_id, c.cause_id) as belongs_to
    from ops.causes c left join ops.cause_aliases a on a.fingerprint = c.cause_id
    where a.fingerprint is not null or c.state <> 'open' or c.assignee is not null
      or exists (select 1 from ops.cause_events e where e.cause_id = c.cause_id)
      or exists (select 1 from ops.cause_aliases m where m.cause_id = c.cause_id) order by c.cause_id"""


def is_due(connection: Connection) -> bool:
    """What is kept was grouped by another version of the rule."""
    return connection.scalar(select(kept_versions.c.version).where(kept_versions.c.name == NAME)) != FINGERPRINT_VERSION


def regroup(engine: Engine) -> int:
    """Give every kept problem and item the cause of today's rule. Returns how many changed; broken off, it begins again."""
    with engine.begin() as connection:
        _keep_decisions(connection)
    changed = _regroup_rows(engine, _PROBLEMS, _regroup_problems)
    with engine.begin() as connection:
        cause_records.hold_alone(connection)
        cause_records.mark_first_of_owners(connection)
    changed += _regroup_rows(
        engine, "select item_id, error_kind, error_message, cause_id from ops.items "
        "where cause_id is not null and error_kind is not null order by item_id", _regroup_items)
    with engine.begin() as connection:
        statement = insert(kept_versions).values(name=NAME, version=FINGERPRINT_VERSION)
        connection.execute(statement.on_conflict_do_update(index_elements=[kept_versions.c.name], set_={"version": FINGERPRINT_VERSION}))
    log.info("causes_regrouped", version=FINGERPRINT_VERSION, changed=changed)
    return changed


def _keep_decisions(connection: Connection) -> None:
    """New fingerprints of causes that people worked on belong to those."""
    cause_records.hold_alone(connection)
    worked_on = connection.execute(text(_WORKED_ON)).all()
    for row in worked_on:
        fingerprint = _fingerprint_today(connection, row)
        if fingerprint is not None and all(fingerprint != other.cause_id for other in worked_on):
            connection.execute(text(
                "insert into ops.cause_aliases (fingerprint, cause_id, merged_by, merged_at) "
                "values (:fingerprint, :cause_id, :by, :now) on conflict do nothing"),
                {"fingerprint": fingerprint, "cause_id": row.belongs_to, "by": BY, "now": utc_now()})


def _fingerprint_today(connection: Connection, row: Any) -> str | None:
    if row.error_kind != ErrorKind.NO_MESSAGE:
        return cause_id_of(ErrorKind(row.error_kind), row.sample)
    problem = connection.execute(text(
        _PROBLEMS.replace("order by", "where fingerprint in ('', :cause_id) and cause_id = :cause_id order by") + " limit 1"),
        {"cause_id": row.cause_id}).one_or_none()
    return cause_of(_problem(problem)).cause_id if problem else None


def _regroup_rows(engine: Engine, query: str, regroup_batch: Callable[[Connection, Sequence[Any]], int]) -> int:
    """Read in one go, written in batches: a batch holds no lock for long."""
    with engine.connect() as reading:
        rows = reading.execution_options(stream_results=True, yield_per=BATCH_ROWS).execute(text(query))
        changed = 0
        for batch in rows.partitions():
            with engine.begin() as connection:
                changed += regroup_batch(connection, batch)
        return changed


def _problem(row: Any) -> Problem:
    return Problem(ContentKey(ContentKind(row.kind), row.owner_id, row.part), ProblemKind(row.problem_kind), row.declared, None,
                   row.detail, ErrorKind(row.error_kind), row.error_message)


def _regroup_problems(connection: Connection, rows: Sequence[Any]) -> int:
    merged, found, changed = cause_records.hold_merged(connection), {}, []
    for row in rows:
        cause = cause_of(_problem(row))
        if cause.cause_id != row.fingerprint:
            found[cause.cause_id] = cause
            changed.append((row, cause.cause_id, merged.get(cause.cause_id, cause.cause_id)))
    cause_records.keep(connection, found, merged, utc_now())
    names = ("kind", "owner_id", "part", "fingerprint")
    return connection.execute(text(  # one that the drain has judged in the meantime is right already
        "update ops.problems p set fingerprint = n.new_fingerprint, cause_id = n.new_cause_id from unnest("
        + ", ".join(f"cast(:{name} as text[])" for name in (*names, "new_fingerprint", "new_cause_id"))
        + f") as n({', '.join(names)}, new_fingerprint, new_cause_id) where {' and '.join(f'p.{name} = n.{name}' for name in names)}"),
        {**{name: [getattr(row, name) for row, _new, _into in changed] for name in names},
         "new_fingerprint": [new for _row, new, _into in changed], "new_cause_id": [into for _row, _new, into in changed]}).rowcount


def _regroup_items(connection: Connection, rows: Sequence[Any]) -> int:
    found, changed = {}, []
    for row in rows:
        kind, message = ErrorKind(row.error_kind), row.error_message or ""
        cause_id = cause_id_of(kind, message)
        if cause_id != row.cause_id:
            found[cause_id] = Cause(cause_id, kind, normalise(message), message)
            changed.append((row.item_id, row.cause_id, cause_id))
    cause_records.keep(connection, found, {}, utc_now())
    return connection.execute(text(
        "update ops.items i set cause_id = n.new from unnest(cast(:ids as bigint[]), cast(:old as text[]), cast(:new as text[])) "
        "as n(item_id, old, new) where i.item_id = n.item_id and i.cause_id = n.old"),
        {"ids": [item_id for item_id, _old, _new in changed], "old": [old for _id, old, _new in changed],
         "new": [new for _id, _old, new in changed]}).rowcount
