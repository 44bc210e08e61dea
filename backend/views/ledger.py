"""The ledger of an operation: every key of its scope with exactly one outcome, what it took, and how the key stands now."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.problems import ProblemKind
from backend.content.secrets import without_secrets
from backend.content.status import ItemState, OperationState
from backend.i18n import _
from backend.redrive import Redrive
from backend.views import spreadsheets
from backend.views.operations import Progress, progress_of

PAGE_ROWS = 200
EXPORT_ROWS = 2000  # at a time: memory stays flat whatever the operation's size


class Outcome(StrEnum):
    """What became of a key. Each item has exactly one."""

    WAITING = "waiting"      # planned or queued
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


OUTCOME_OF = {
    ItemState.PLANNED: Outcome.WAITING, ItemState.QUEUED: Outcome.WAITING, ItemState.RUNNING: Outcome.RUNNING,
    ItemState.SUCCEEDED: Outcome.SUCCEEDED, ItemState.FAILED: Outcome.FAILED, ItemState.SKIPPED: Outcome.SKIPPED,
    ItemState.CANCELLED: Outcome.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class LedgerRow:
    item_id: int
    key: ContentKey
    title: str
    outcome: Outcome
    reason: str                       # why it failed, was skipped or was cancelled; without secrets
    cause_id: str                     # of a failure
    tries: int
    calls: int | None
    tokens: int | None
    seconds: float | None             # from its beginning to its end
    generator: str
    is_sample: bool
    settled_at: datetime | None
    problem_now: ProblemKind | None   # what the detector lists for the key; None: nothing


@dataclass(frozen=True, slots=True)
class LedgerPage:
    as_of: datetime
    rows: tuple[LedgerRow, ...]
    counts: dict[Outcome, int]        # of the whole operation; they add up to its scope
    next_item_id: int | None          # where the next page begins; None: this is the last


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The items of one operation that failed by the same cause, or did not fail."""

    cause: str
    count: int
    healthy_now: int


@dataclass(frozen=True, slots=True)
class OutcomeBucket:
    """How many items ended so within one span of time."""

    begins_at: datetime
    seconds: int             # length of the span
    outcome: Outcome
    count: int


@dataclass(frozen=True, slots=True)
class OperationRow:
    operation_id: str
    name: str
    state: OperationState
    actor_id: str
    reason: str
    item_count: int
    created_at: datetime
    settled_at: datetime | None
    outcome: dict[str, Any]


_STATES = {outcome: [state.value for state, found in OUTCOME_OF.items() if found is outcome] for outcome in Outcome}
_ROWS = text("""
    select i.*, p.problem_kind from ops.items i
    left join ops.problems p on p.kind = i.kind and p.owner_id = i.owner_id and p.part = i.part
    where i.operation_id = :operation_id and i.item_id > :after and (cardinality(cast(:states as text[])) = 0 or i.state = any(:states))
      and (:words = '' or strpos(lower(concat_ws(' ', i.title, i.owner_id, i.part, i.error_message)), :words) > 0)
    order by i.item_id limit :limit""")


def ledger_page(
    redrive: Redrive, operation_id: str, *, outcomes: Sequence[Outcome] = (), words: str = "", after: int = 0, limit: int = PAGE_ROWS,
) -> LedgerPage:
    """Rows in the order of the plan, from behind the item `after` on; narrowed by outcome and by words of title, key or error."""
    with redrive.engine.connect() as connection:
        counted = connection.execute(text(
            "select state, count(*) as count from ops.items where operation_id = :operation_id group by state"),
            {"operation_id": operation_id})
        counts = dict.fromkeys(Outcome, 0)
        for row in counted:
            counts[OUTCOME_OF[ItemState(row.state)]] += row.count
        rows = connection.execute(_ROWS, _parameters(operation_id, outcomes, words, after, limit + 1)).all()
    found = tuple(map(_ledger_row, rows[:limit]))
    return LedgerPage(utc_now(), found, counts, found[-1].item_id if len(rows) > limit else None)


def ledger_rows(redrive: Redrive, operation_id: str) -> Iterator[LedgerRow]:
    """Every row of the ledger, read in pages."""
    after = 0
    while True:
        with redrive.engine.connect() as connection:
            rows = connection.execute(_ROWS, _parameters(operation_id, (), "", after, EXPORT_ROWS)).all()
        if not rows:
            return
        yield from map(_ledger_row, rows)
        after = rows[-1].item_id


def as_csv(rows: Iterator[LedgerRow]) -> str:
    """The ledger as CSV with a head line. A text that a spreadsheet would take for a formula is quoted."""
    return spreadsheets.as_csv(_NAMES, map(_flat, rows))


def as_json(rows: Iterator[LedgerRow]) -> str:
    return json.dumps([_flat(row) for row in rows], ensure_ascii=False, indent=1)


def failed_keys(redrive: Redrive, operation_id: str) -> tuple[ContentKey, ...]:
    """Keys that failed in this operation and are problems still."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select i.kind, i.owner_id, i.part from ops.items i join ops.problems p using (kind, owner_id, part) "
            "where i.operation_id = :operation_id and i.state = 'failed' order by i.item_id"), {"operation_id": operation_id})
        return tuple(ContentKey(ContentKind(row.kind), row.owner_id, row.part) for row in rows)


def groups(redrive: Redrive, operation_id: str, *, limit: int = 50) -> tuple[GroupRow, ...]:
    """What failed, by cause, the largest first."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select i.cause_id, min(i.error_kind) as error_kind, min(i.error_message) as sample, c.title, count(*) as count, "
            "  count(*) filter (where p.kind is null) as healthy_now "
            "from ops.items i left join ops.causes c using (cause_id) "
            "left join ops.problems p on p.kind = i.kind and p.owner_id = i.owner_id and p.part = i.part "
            "where i.operation_id = :operation_id and i.state = 'failed' "
            "group by i.cause_id, c.title order by count(*) desc, 1 limit :limit"),
            {"operation_id": operation_id, "limit": limit})
        return tuple(GroupRow(
            without_secrets(wording.cause_title(ErrorKind(row.error_kind), row.title or row.sample or "")), row.count, row.healthy_now)
            for row in rows)


_BUCKETS = text("""
    with ended as (select settled_at, state from ops.items where operation_id = :operation_id and settled_at is not null),
    frame as (select date_trunc('second', min(settled_at)) as first_at,
                     greatest(1, ceil(extract(epoch from max(settled_at) - min(settled_at)) / :buckets))::int as seconds from ended)
    select date_bin(make_interval(secs => frame.seconds), settled_at, frame.first_at) as begins_at, frame.seconds, state, count(*) as count
    from ended, frame group by 1, 2, 3 order by 1, 3""")


def outcomes_over_time(redrive: Redrive, operation_id: str, *, buckets: int = 60) -> tuple[OutcomeBucket, ...]:
    """When its items ended and how, in about so many spans of whole seconds; the earliest first."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(_BUCKETS, {"operation_id": operation_id, "buckets": buckets})
        return tuple(OutcomeBucket(row.begins_at, row.seconds, OUTCOME_OF[ItemState(row.state)], row.count) for row in rows)


def owner_titles(redrive: Redrive, operation_id: str) -> dict[str, str]:
    """owner_id -> title of the roadmaps and novels that it touches; those that are gone are left out."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "with touched as (select distinct owner_id from ops.items where operation_id = :operation_id) "
            "select r.roadmap_id as owner_id, r.title from roadmap_metadata r join touched on touched.owner_id = r.roadmap_id "
            "union all select n.id, n.title from novels n join touched on touched.owner_id = n.id"), {"operation_id": operation_id})
        return {row.owner_id: row.title or row.owner_id for row in rows}


def operation_rows(
    redrive: Redrive, *, states: Sequence[OperationState] = (), words: str = "", before: datetime | None = None, limit: int = 50,
) -> tuple[OperationRow, ...]:
    """Operations, the newest first, from before that time on; narrowed by state and by words of scope, person or reason."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select * from ops.operations where (cardinality(cast(:states as text[])) = 0 or state = any(:states)) "
            "and (:words = '' or strpos(lower(concat_ws(' ', name, actor_id, reason, operation_id)), :words) > 0) "
            "and (cast(:before as timestamptz) is null or created_at < :before) order by created_at desc limit :limit"),
            {"states": [state.value for state in states], "words": words.strip().lower(), "before": before, "limit": limit})
        return tuple(OperationRow(
            row.operation_id, row.name, OperationState(row.state), row.actor_id, row.reason, row.planned_count, row.created_at,
            row.settled_at, row.outcome or {}) for row in rows)


@dataclass(frozen=True, slots=True)
class OperationPage:
    as_of: datetime
    rows: tuple[Progress, ...]
    counts: dict[OperationState, int]   # of all operations, whatever the page is narrowed to
    older_than: datetime | None         # where the next page begins; None: this is the last


def operation_page(
    redrive: Redrive, *, states: Sequence[OperationState] = (), words: str = "", before: datetime | None = None, limit: int = 50,
) -> OperationPage:
    """A page of `operation_rows` with how far each is."""
    as_of = utc_now()
    found = operation_rows(redrive, states=states, words=words, before=before, limit=limit + 1)
    with redrive.engine.connect() as connection:
        counted = connection.execute(text("select state, count(*) as count from ops.operations group by state"))
        counts = {OperationState(row.state): row.count for row in counted}
    rows = progress_of(redrive, [row.operation_id for row in found[:limit]])
    return OperationPage(as_of, rows, counts, found[limit - 1].created_at if len(found) > limit else None)


def _parameters(operation_id: str, outcomes: Sequence[Outcome], words: str, after: int, limit: int) -> dict[str, Any]:
    states = [state for outcome in outcomes for state in _STATES[outcome]]
    return {"operation_id": operation_id, "states": states, "words": words.strip().lower(), "after": after, "limit": limit}


def _ledger_row(row: Any) -> LedgerRow:
    outcome = OUTCOME_OF[ItemState(row.state)]
    tokens = None if row.prompt_tokens is None and row.completion_tokens is None else (
        (row.prompt_tokens or 0) + (row.completion_tokens or 0))
    seconds = (row.settled_at - row.started_at).total_seconds() if row.settled_at and row.started_at else None
    return LedgerRow(
        row.item_id, ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.title or row.part, outcome, _reason(row, outcome),
        row.cause_id or "" if outcome is Outcome.FAILED else "", row.attempt - row.returned_count, row.calls, tokens, seconds,
        row.generator or "", bool(row.is_sample), row.settled_at, ProblemKind(row.problem_kind) if row.problem_kind else None)


def _reason(row: Any, outcome: Outcome) -> str:
    if outcome is Outcome.FAILED:
        return without_secrets(row.error_message or "")
    if outcome is Outcome.SKIPPED and row.skip_rule:
        return wording.EXCLUSION_RULES[ExclusionRule(row.skip_rule)]
    if outcome is Outcome.CANCELLED:
        return _("{reason} ({by})").format(reason=row.cancel_reason or "", by=row.cancelled_by or "")
    return ""


_NAMES = ("kind", "owner_id", "part", *(field.name for field in fields(LedgerRow) if field.name not in ("item_id", "key")))


def _flat(row: LedgerRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in _NAMES[3:]}
    values["settled_at"] = row.settled_at.isoformat() if row.settled_at else None
    return {"kind": row.key.kind.value, "owner_id": row.key.owner_id, "part": row.key.part, **values}
