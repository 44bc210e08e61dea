"""Operations and their items as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, text

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits, Spent
from backend.content.plans import STOP_RULES, ExclusionRule
from backend.content.secrets import without_secrets
from backend.content.status import ACTIVE_OPERATION_STATES, ItemAction, ItemState, OperationState, begun_attempts
from backend.content.stopping import CancelScope
from backend.redrive import Redrive
from backend.storage import stopping
from backend.storage.items import keys_in_work
from backend.storage.ops_tables import items, operations

RATE_WINDOW = timedelta(seconds=30)
SHOWN_AFTER_END = timedelta(minutes=10)  # a finished operation stays in sight for so long
_LEAVES_ITEMS = (OperationState.CANCELLED, OperationState.STOPPED)  # ended, while some of its items may still have to stop


@dataclass(frozen=True, slots=True)
class NamedCause:
    """What is broken at the end of an operation."""

    cause_id: str
    words: str  # without secrets
    count: int


@dataclass(frozen=True, slots=True)
class Progress:
    operation_id: str
    name: str
    state: OperationState
    actor_id: str
    reason: str
    created_at: datetime
    settled_at: datetime | None
    counts: dict[ItemState, int]         # every state is there
    items_per_minute: float | None       # over the last half minute; None: nothing settled in it
    seconds_left: float | None           # None: cannot tell yet
    outcome_healthy: int | None          # of the verification; None: not verified yet
    outcome_problems: dict[str, int]     # ProblemKind -> count
    outcome_in_progress: int             # keys that somebody else works on
    outcome_gone: int                    # keys whose roadmap or concept is gone
    cancelling: dict[ItemState, int] = field(default_factory=dict)  # of the unsettled ones: told to stop, and not yet confirmed
    state_by: str = ""                   # who paused, resumed or cancelled it
    state_reason: str = ""
    starts_at: datetime | None = None    # of an armed one: until then it can be undone
    outcome_waiting: int = 0             # keys that are not there and not due yet
    outcome_untouched: int = 0           # keys that were never begun and are broken as before
    outcome_causes: tuple[NamedCause, ...] = ()  # of the problems, the most frequent first; not all of very many
    outcome_cause_count: int = 0         # all of them
    not_started: int = 0                 # of the skipped ones: their group was stopped
    limits: OperationLimits = field(default_factory=OperationLimits)
    spent: Spent = field(default_factory=Spent)
    waiting_covers: int = 0              # of those planned or queued: they wait for painters, the others for the model
    unwritten: int = 0                   # keys of a large plan that are not items yet

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.unwritten

    @property
    def settled(self) -> int:
        return sum(count for state, count in self.counts.items() if state.is_settled)

    @property
    def cancelling_count(self) -> int:
        return sum(self.cancelling.values())

    @property
    def tried(self) -> int:
        """Items that were written or repaired, or failed: not those that were skipped or cancelled."""
        return self.counts[ItemState.SUCCEEDED] + self.counts[ItemState.FAILED]

    @property
    def ratio(self) -> float:
        """0.0 to 1.0."""
        return self.settled / self.total if self.total else 1.0

    @property
    def skipped(self) -> int:
        """Items that needed nothing any more."""
        return self.counts[ItemState.SKIPPED] - self.not_started

    @property
    def is_active(self) -> bool:
        """It works, waits, or was cancelled and has items that are still stopping."""
        return self.state in ACTIVE_OPERATION_STATES or (self.state in _LEAVES_ITEMS and self.settled < self.total)


@dataclass(frozen=True, slots=True)
class ItemRow:
    item_id: int
    operation_id: str
    key: ContentKey
    title: str
    action: ItemAction
    state: ItemState
    attempt: int
    error_kind: ErrorKind | None
    error_message: str
    skip_rule: ExclusionRule | None
    generator: str
    is_sample: bool
    created_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    queued_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancelled_by: str = ""
    cancel_reason: str = ""
    job_id: str = ""
    worker_host: str = ""  # the machine that runs it, or ran it last

    @property
    def begun_attempts(self) -> int:
        return begun_attempts(self.attempt, self.state, self.started_at)

    @property
    def is_cancelling(self) -> bool:
        """Told to stop, and not confirmed yet: by its worker, or, of one that was begun before and waits again, by the reconciler."""
        return not self.state.is_settled and self.cancel_requested_at is not None

    @property
    def is_not_started(self) -> bool:
        """Left untouched because its group was stopped."""
        return self.state is ItemState.SKIPPED and self.skip_rule in STOP_RULES


def active_operations(redrive: Redrive, *, limit: int = 10) -> tuple[Progress, ...]:
    """Operations that work, wait or are still stopping, then those that ended in the last minutes; the newest of each first."""
    are_stopping = select(items.c.operation_id).where(
        text("state in ('planned', 'queued', 'running') and cancel_requested_at is not null"))  # as its index says it
    is_at_work = operations.c.state.in_(ACTIVE_OPERATION_STATES) | operations.c.operation_id.in_(are_stopping)
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(operations).where(is_at_work | (operations.c.settled_at > utc_now() - SHOWN_AFTER_END))
            .order_by(is_at_work.desc(), operations.c.created_at.desc()).limit(limit)).all()
        return tuple(_progress(connection, row) for row in rows)


def progress(redrive: Redrive, operation_id: str) -> Progress | None:
    """How far one operation is. None: there is no such operation."""
    with redrive.engine.connect() as connection:
        row = connection.execute(select(operations).where(operations.c.operation_id == operation_id)).one_or_none()
        return _progress(connection, row) if row else None


def progress_of(redrive: Redrive, operation_ids: Sequence[str]) -> tuple[Progress, ...]:
    """How far each of them is, in this order; those that are not there are left out. Without rates: for lists."""
    with redrive.engine.connect() as connection:
        rows = {row.operation_id: row for row in connection.execute(select(operations).where(operations.c.operation_id.in_(operation_ids)))}
        counted: dict[str, list[Any]] = {operation_id: [] for operation_id in rows}
        for found in connection.execute(_COUNTS.add_columns(items.c.operation_id).group_by(items.c.operation_id)
                                        .where(items.c.operation_id.in_(operation_ids))):
            counted[found.operation_id].append(found)
    return tuple(_as_progress(rows[operation_id], counted[operation_id]) for operation_id in operation_ids if operation_id in rows)


def item_rows(
    redrive: Redrive, operation_id: str, *, limit: int = 200, states: Sequence[ItemState] = (),
) -> tuple[ItemRow, ...]:
    """Items of an operation in the order of the plan; with `states` only those."""
    query = select(items).where(items.c.operation_id == operation_id).order_by(items.c.item_id).limit(limit)
    if states:
        query = query.where(items.c.state.in_(states))
    with redrive.engine.connect() as connection:
        return tuple(map(as_item_row, connection.execute(query)))


def in_work(redrive: Redrive, keys: Sequence[ContentKey]) -> frozenset[ContentKey]:
    """Those of the keys that an item holds which is planned, queued or running."""
    if not keys:
        return frozenset()
    with redrive.engine.connect() as connection:
        return frozenset(keys_in_work(connection, keys))


@dataclass(frozen=True, slots=True)
class Working:
    """What a cancel of a scope would stop now."""

    count: int
    starter_ids: frozenset[str]


def working(redrive: Redrive, scope: CancelScope) -> Working:
    with redrive.engine.connect() as connection:
        return Working(*stopping.count_working(connection, scope))


def starters_of(redrive: Redrive, keys: Sequence[ContentKey]) -> tuple[str, ...]:
    """Who started what works on these keys now."""
    if not keys:
        return ()
    with redrive.engine.connect() as connection:
        found = stopping.unsettled_items(connection, CancelScope.of(*keys))
        return tuple(sorted(stopping.starters_of(connection, [item.item_id for item in found])))


def history(redrive: Redrive, key: ContentKey, *, limit: int = 20) -> tuple[ItemRow, ...]:
    """What was tried on one content key, newest first."""
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(items).where(items.c.owner_id == key.owner_id, items.c.kind == key.kind, items.c.part == key.part)
            .order_by(items.c.item_id.desc()).limit(limit))
        return tuple(map(as_item_row, rows))


def as_item_row(row: Any) -> ItemRow:
    return ItemRow(
        row.item_id, row.operation_id, ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.title or row.part,
        ItemAction(row.action), ItemState(row.state), row.attempt, ErrorKind(row.error_kind) if row.error_kind else None,
        without_secrets(row.error_message or ""), ExclusionRule(row.skip_rule) if row.skip_rule else None, row.generator or "",
        bool(row.is_sample), row.created_at, row.started_at, row.settled_at, row.queued_at, row.cancel_requested_at,
        row.cancelled_by or "", row.cancel_reason or "", row.job_id or "", (row.worker_host or "").partition("/")[0])


_COUNTS = select(
    items.c.state, func.count().label("count"), func.count(items.c.cancel_requested_at).label("told"),
    func.count().filter(items.c.skip_rule.in_(STOP_RULES)).label("stopped"),
    func.count().filter(items.c.kind == ContentKind.COVER).label("covers")).group_by(items.c.state)


def _progress(connection: Connection, row: Any) -> Progress:
    found = _as_progress(row, connection.execute(_COUNTS.where(items.c.operation_id == row.operation_id)).all())
    left = found.total - found.settled
    rate = _items_per_minute(connection, row.operation_id, row.created_at) if left else None
    return replace(found, items_per_minute=rate, seconds_left=left / rate * 60 if rate else None)


def _as_progress(row: Any, counted: Sequence[Any]) -> Progress:
    counts = dict.fromkeys(ItemState, 0) | {ItemState(found.state): found.count for found in counted}
    unwritten = row.planned_count - sum(counts.values()) if row.state == OperationState.ARMED and row.starts_at is None else 0
    cancelling = {ItemState(found.state): found.told for found in counted if found.told and not ItemState(found.state).is_settled}
    outcome = row.outcome or {}
    return Progress(
        row.operation_id, row.name, OperationState(row.state), row.actor_id, row.reason, row.created_at, row.settled_at, counts,
        None, None, outcome.get("healthy"), outcome.get("problems", {}), outcome.get("in_progress", 0), outcome.get("gone", 0),
        cancelling, row.state_by or "", row.state_reason or "", row.starts_at, outcome.get("waiting", 0), outcome.get("untouched", 0),
        tuple(NamedCause(found["cause_id"], without_secrets(found["words"]), found["count"]) for found in outcome.get("causes", ())),
        outcome.get("cause_count", len(outcome.get("causes", ()))),
        sum(found.stopped for found in counted if found.state == ItemState.SKIPPED), OperationLimits.from_json(row.limits),
        Spent(row.spent_calls, row.spent_tokens, row.spent_cost, row.spent_items, row.spent_unpriced_calls), unwritten=unwritten,
        waiting_covers=sum(found.covers for found in counted if found.state in (ItemState.PLANNED, ItemState.QUEUED)))


def _items_per_minute(connection: Connection, operation_id: str, created_at: datetime) -> float | None:
    now = utc_now()
    settled = connection.scalar(text(
        "select count(*) from ops.items where operation_id = :operation_id and settled_at > :since"),
        {"operation_id": operation_id, "since": now - RATE_WINDOW})
    seconds = min(RATE_WINDOW.total_seconds(), max(1.0, (now - created_at).total_seconds()))
    return settled * 60 / seconds if settled else None
