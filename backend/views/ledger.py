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
from backend.content.limits import QuietHours
from backend.content.plans import STOP_RULES, ExclusionRule
from backend.content.problems import ProblemKind
from backend.content.secrets import without_secrets
from backend.content.status import GroupState, ItemState, OperationState, begun_attempts
from backend.i18n import _
from backend.redrive import Redrive
from backend.views import spreadsheets

PAGE_ROWS = 200
EXPORT_ROWS = 2000  # at a time: memory stays flat whatever the operation's size


class Outcome(StrEnum):
    """What became of a key. Each has exactly one."""

    WAITING = "waiting"      # planned or queued
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_STARTED = "not_started"  # its group was stopped
    CANCELLED = "cancelled"
    LEFT_OUT = "left_out"    # of the plan already, or begun by somebody else before it was confirmed


# Of an item; one that was skipped because its group was stopped is NOT_STARTED, and LEFT_OUT is what became no item.
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
    cause_id: str                     # that a failure belongs to now, whatever was merged since
    cause: str                        # its title
    tries: int                        # begun, and not given back unused
    calls: int | None
    tokens: int | None
    cost: float | None                # by the prices of its time; None: no price was set, or no tokens told
    seconds: float | None             # from its beginning to its end
    generator: str
    is_sample: bool
    settled_at: datetime | None
    problem_now: ProblemKind | None   # what the detector lists for the key, or of its owner where that cannot be read; None: nothing


@dataclass(frozen=True, slots=True)
class LedgerPage:
    as_of: datetime
    rows: tuple[LedgerRow, ...]
    counts: dict[Outcome, int]        # of the whole operation; they add up to all keys of its plan
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


_STOPPED = ", ".join(f"'{rule}'" for rule in STOP_RULES)
_ITEM_OUTCOME = "case when state = 'skipped' and skip_rule in (" + _STOPPED + ") then 'not_started' when state in ('planned', 'queued') " \
                "then 'waiting' else state end"
# Keys of a large plan that are no items yet wait too.
_COUNTS = text(f"""
    select {_ITEM_OUTCOME} as outcome, count(*) as count from ops.items where operation_id = :operation_id group by 1
    union all select 'left_out', count(*) from ops.left_out where operation_id = :operation_id
    union all select 'waiting', planned_count - (select count(*) from ops.items where operation_id = :operation_id)
      from ops.operations where operation_id = :operation_id and state = 'armed' and starts_at is null""")
_COLUMNS = ("item_id, kind, owner_id, part, title, error_message, cause_id, attempt, returned_count, calls, prompt_tokens, "
            "completion_tokens, cost, started_at, settled_at, generator, is_sample, cancel_reason, cancelled_by")
# Of what the detector cannot read it lists no keys: nobody can tell how they are. Covers it judges all the same.
_UNREADABLE = """
    left join (select distinct owner_id, kind = 'chapter' as is_of_novel from ops.problems where problem_kind = 'unreadable') u
      on u.owner_id = {of}.owner_id and u.is_of_novel = ({of}.kind = 'chapter') and {of}.kind <> 'cover' """
# Items and what was left out have their ids from one sequence: together they are in one order, that of the plan.
_ROWS = text(f"""
    select r.*, coalesce(p.problem_kind, case when u.owner_id is not null then 'unreadable' end) as problem_kind, g.stop_words,
        c.cause_id as belongs_to, c.title as cause_title, c.error_kind as cause_kind, o.state as operation_state,
        o.limits ->> 'quiet_hours' as quiet_hours, g.state as group_state, g.canary_round as group_round from (
      select {_COLUMNS}, {_ITEM_OUTCOME} as outcome, state, skip_rule, group_id, canary_round from ops.items
      where operation_id = :operation_id and item_id > :after
        and (cardinality(cast(:outcomes as text[])) = 0 or {_ITEM_OUTCOME} = any(:outcomes))
        and (:words = '' or strpos(lower(concat_ws(' ', title, owner_id, part, error_message)), :words) > 0)
      union all
      select item_id, kind, owner_id, part, title, null, null, 1, 0, null, null, null, null, null, null, null, null, null, null,
        'left_out', null, rule, null, null from ops.left_out
      where operation_id = :operation_id and item_id > :after
        and (cardinality(cast(:outcomes as text[])) = 0 or 'left_out' = any(:outcomes))
        and (:words = '' or strpos(lower(concat_ws(' ', title, owner_id, part)), :words) > 0)
      order by item_id limit :limit) r
    join ops.operations o on o.operation_id = :operation_id
    left join ops.groups g on g.group_id = r.group_id
    left join ops.cause_aliases a on a.fingerprint = r.cause_id
    left join ops.causes c on c.cause_id = coalesce(a.cause_id, r.cause_id)
    left join ops.problems p on p.kind = r.kind and p.owner_id = r.owner_id and p.part = r.part
    {_UNREADABLE.format(of="r")}
    order by r.item_id""")


def ledger_page(
    redrive: Redrive, operation_id: str, *, outcomes: Sequence[Outcome] = (), words: str = "", after: int = 0, limit: int = PAGE_ROWS,
) -> LedgerPage:
    """Rows in the order of the plan, from behind the item `after` on; narrowed by outcome and by words of title, key or error."""
    with redrive.engine.connect() as connection:
        counts = dict.fromkeys(Outcome, 0)
        for row in connection.execute(_COUNTS, {"operation_id": operation_id}):
            counts[Outcome(row.outcome)] += row.count
        rows = connection.execute(_ROWS, _parameters(operation_id, outcomes, words, after, limit + 1)).all()
    found = tuple(_ledger_row(redrive, row) for row in rows[:limit])
    return LedgerPage(utc_now(), found, counts, found[-1].item_id if len(rows) > limit else None)


def ledger_rows(redrive: Redrive, operation_id: str) -> Iterator[LedgerRow]:
    """Every row of the ledger, read in pages."""
    after = 0
    while True:
        with redrive.engine.connect() as connection:
            rows = connection.execute(_ROWS, _parameters(operation_id, (), "", after, EXPORT_ROWS)).all()
        if not rows:
            return
        yield from (_ledger_row(redrive, row) for row in rows)
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
    """What failed, by the cause that it belongs to now, the largest first. What is at work again is not healthy yet."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select coalesce(a.cause_id, i.cause_id) as cause_id, coalesce(c.error_kind, min(i.error_kind)) as error_kind, "
            "  coalesce(c.title, min(i.error_message)) as title, count(*) as count, "
            "  count(*) filter (where p.kind is null and u.owner_id is null and not exists (select 1 from ops.items w "
            "    where w.owner_id = i.owner_id and w.kind = i.kind and w.part = i.part "
            "      and w.state in ('planned', 'queued', 'running'))) as healthy_now "
            "from ops.items i left join ops.cause_aliases a on a.fingerprint = i.cause_id "
            "left join ops.causes c on c.cause_id = coalesce(a.cause_id, i.cause_id) "
            "left join ops.problems p on p.kind = i.kind and p.owner_id = i.owner_id and p.part = i.part "
            + _UNREADABLE.format(of="i") +
            "where i.operation_id = :operation_id and i.state = 'failed' "
            "group by 1, c.error_kind, c.title order by count(*) desc, 1 limit :limit"),
            {"operation_id": operation_id, "limit": limit})
        return tuple(GroupRow(
            without_secrets(wording.cause_title(ErrorKind(row.error_kind), row.title or "")), row.count, row.healthy_now)
            for row in rows)


_BUCKETS = text(f"""
    with ended as (
      select settled_at, {_ITEM_OUTCOME} as outcome from ops.items where operation_id = :operation_id and settled_at is not null),
    frame as (select date_trunc('second', min(settled_at)) as first_at,
                     greatest(1, ceil(extract(epoch from max(settled_at) - min(settled_at)) / :buckets))::int as seconds from ended)
    select date_bin(make_interval(secs => frame.seconds), settled_at, frame.first_at) as begins_at, frame.seconds, outcome,
      count(*) as count
    from ended, frame group by 1, 2, 3 order by 1, 3""")


def outcomes_over_time(redrive: Redrive, operation_id: str, *, buckets: int = 60) -> tuple[OutcomeBucket, ...]:
    """When its items ended and how, in about so many spans of whole seconds; the earliest first."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(_BUCKETS, {"operation_id": operation_id, "buckets": buckets})
        return tuple(OutcomeBucket(row.begins_at, row.seconds, Outcome(row.outcome), row.count) for row in rows)


def owner_titles(redrive: Redrive, operation_id: str) -> dict[str, str]:
    """owner_id -> title of the roadmaps and novels that it touches; those that are gone are left out."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "with touched as (select distinct owner_id from ops.items where operation_id = :operation_id) "
            "select r.roadmap_id as owner_id, r.title from roadmap_metadata r join touched on touched.owner_id = r.roadmap_id "
            "union all select n.id, n.title from novels n join touched on touched.owner_id = n.id"), {"operation_id": operation_id})
        return {row.owner_id: row.title or row.owner_id for row in rows}


def first_chapters(redrive: Redrive, operation_id: str) -> dict[str, int | None]:
    """novel_id -> number of its first chapter that it touches; None: it is about the novel as a whole."""
    with redrive.engine.connect() as connection:
        return {row.owner_id: row.number for row in connection.execute(text(
            "select owner_id, min(nullif(part, '')::int) as number from ops.items "
            "where operation_id = :operation_id and kind = 'chapter' group by 1"),
            {"operation_id": operation_id})}


def _parameters(operation_id: str, outcomes: Sequence[Outcome], words: str, after: int, limit: int) -> dict[str, Any]:
    return {"operation_id": operation_id, "outcomes": [outcome.value for outcome in outcomes],
            "words": words.strip().lower(), "after": after, "limit": limit}


def _ledger_row(redrive: Redrive, row: Any) -> LedgerRow:
    outcome = Outcome(row.outcome)
    tokens = None if row.prompt_tokens is None and row.completion_tokens is None else (
        (row.prompt_tokens or 0) + (row.completion_tokens or 0))
    seconds = (row.settled_at - row.started_at).total_seconds() if row.settled_at and row.started_at else None
    return LedgerRow(
        row.item_id, ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.title or row.part, outcome,
        _reason(redrive, row, outcome), *(_cause(row) if outcome is Outcome.FAILED else ("", "")), _tries(row, outcome), row.calls,
        tokens, row.cost, seconds, row.generator or "", bool(row.is_sample), row.settled_at,
        ProblemKind(row.problem_kind) if row.problem_kind else None)


def _cause(row: Any) -> tuple[str, str]:
    if row.belongs_to is None:  # nothing was listed by it yet
        return row.cause_id or "", ""
    return row.belongs_to, without_secrets(wording.cause_title(ErrorKind(row.cause_kind), row.cause_title))


def _tries(row: Any, outcome: Outcome) -> int:
    """What was begun, but not what was given back."""
    state = ItemState.SKIPPED if outcome is Outcome.LEFT_OUT else ItemState(row.state)
    return begun_attempts(row.attempt, state, row.started_at) - row.returned_count


def _reason(redrive: Redrive, row: Any, outcome: Outcome) -> str:
    if outcome is Outcome.FAILED:
        return without_secrets(row.error_message or "")
    if outcome is Outcome.NOT_STARTED:
        return " ".join(filter(None, (wording.EXCLUSION_RULES[ExclusionRule(row.skip_rule)], without_secrets(row.stop_words or ""))))
    if outcome in (Outcome.SKIPPED, Outcome.LEFT_OUT) and row.skip_rule:
        return wording.EXCLUSION_RULES[ExclusionRule(row.skip_rule)]
    if outcome is Outcome.WAITING:
        return _why_it_waits(redrive, row)
    if outcome is Outcome.CANCELLED:
        return _("{reason} ({by})").format(reason=row.cancel_reason or "", by=row.cancelled_by or "")
    return ""


def _why_it_waits(redrive: Redrive, row: Any) -> str:
    """Why a planned item has not been handed out; "" when its turn has only not come."""
    if row.state != ItemState.PLANNED:
        return ""
    if row.operation_state == OperationState.ARMED:
        return _("Not started: it can still be undone.")
    if row.operation_state == OperationState.PAUSED:
        return _("Not started: the operation is paused.")
    if row.quiet_hours and QuietHours.parse(row.quiet_hours).cover(utc_now(), redrive.zone):
        return _("Not started: quiet hours {hours}.").format(hours=row.quiet_hours)
    if row.group_state == GroupState.CANARY and row.canary_round != row.group_round:
        return _("Not started: the first items of its group go ahead.")
    return ""


_NAMES = ("kind", "owner_id", "part", *(field.name for field in fields(LedgerRow) if field.name not in ("item_id", "key")))


def _flat(row: LedgerRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in _NAMES[3:]}
    values["settled_at"] = row.settled_at.isoformat() if row.settled_at else None
    return {"kind": row.key.kind.value, "owner_id": row.key.owner_id, "part": row.key.part, **values}
