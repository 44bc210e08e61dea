"""One attempt at one item: begin, save, fail. Each is one transaction; a late attempt changes nothing.

What ends or interrupts an attempt from outside (a lost worker, a person, a shutdown) is in withdrawals.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.actions import breaker, costs
from backend.actions.breaker import Flow
from backend.actions.kinds import FAMILIES, family_of, is_marked_when_planned
from backend.actions.settling import fail as settle_and_declare_failed
from backend.actions.settling import save_error, settle, settle_failed
from backend.actions.work import LockedOwner, Stored
from backend.clock import utc_now
from backend.content.checks import check
from backend.content.detector import judge
from backend.content.errors import ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.problems import KeyState, ProblemKind, Verdict
from backend.content.status import ItemAction, ItemState
from backend.content.written import ChapterBrief, ConceptBrief, CoverBrief, Spent, Written
from backend.redrive import Redrive
from backend.storage import groups, items, leases, task_records
from backend.storage.engine import wait_at_most
from backend.storage.items import StoredItem


@dataclass(frozen=True, slots=True)
class Attempt:
    item: StoredItem
    brief: ConceptBrief | ChapterBrief | CoverBrief
    is_probe: bool = False           # the breaker is open: it finds out whether the model is back
    is_model_troubled: bool = False  # its breaker has counted failures: an answer is worth noting
    stream_id: str = ""              # of a chapter or draft: whose stream its watchers follow


class NotBegun(StrEnum):
    """Why an item needs no writing."""

    TAKEN = "taken"        # another job has it, or it was cancelled
    SKIPPED = "skipped"    # nothing to do any more
    REPAIRED = "repaired"  # it was saved; its status is right now
    FAILED = "failed"      # it cannot be written: its roadmap or concept is gone
    HELD = "held"          # the model's circuit breaker is open: it stays queued
    BRAKED = "braked"      # its operation runs no more at once, its group goes on no further: it is planned again


class _Held(Exception):
    """The model may not be asked now: what was begun is rolled back."""


class _Braked(Exception):
    """This item may not ask the model now: what was begun is rolled back."""


def begin(redrive: Redrive, item_id: int) -> Attempt | tuple[NotBegun, StoredItem | None]:
    """Claim a queued item for this worker, if the detector still finds its key broken and the model may be asked."""
    try:
        return _begin(redrive, item_id, utc_now())
    except _Held:
        return NotBegun.HELD, None
    except _Braked:
        with redrive.engine.begin() as connection:
            items.put_back(connection, [item_id])
        return NotBegun.BRAKED, None


def _begin(redrive: Redrive, item_id: int, now: datetime) -> Attempt | tuple[NotBegun, StoredItem | None]:
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        if item is None or item.state is not ItemState.QUEUED:
            return NotBegun.TAKEN, item
        model = breaker.current(redrive, connection, item.key.kind)
        flow = breaker.flow(redrive, model, now)
        if item.action is not ItemAction.REPAIR and flow is Flow.HELD:
            return NotBegun.HELD, None
        begun = _begin_held(redrive, connection, item, now)
        if not isinstance(begun, Attempt):
            return begun
        if flow is not Flow.FREE and not breaker.begin_probe(redrive, connection, now, item.key.kind):
            raise _Held
        if not groups.may_call(connection, item.item_id) or not _may_paint(redrive, connection, item):
            raise _Braked
        return replace(begun, is_probe=flow is Flow.PROBE, is_model_troubled=not model.is_untroubled)


def _may_paint(redrive: Redrive, connection: Connection, item: StoredItem) -> bool:
    """Within the limits of calls; what is over them is planned again and goes on when there is room."""
    if item.key.kind is not ContentKind.COVER or not (calls := redrive.cover_calls).is_limited:
        return True
    return calls.take(items.actor_of(connection, item.operation_id))


def _begin_held(
    redrive: Redrive, connection: Connection, item: StoredItem, now: datetime,
) -> Attempt | tuple[NotBegun, StoredItem]:
    family = family_of(item)
    verdict = _judge_again(redrive, connection, item.key, now)  # before the lock: items of one roadmap wait for each other
    owner = family.lock(connection, item.key.owner_id)
    started = _start(connection, item, family.declared(connection, item.key, owner), now)
    if started is None:
        return NotBegun.TAKEN, item
    if owner is not None and verdict is not None and item.action is not ItemAction.DRAFT:
        ended = _end_needless(connection, started, verdict, owner, now)
        if ended is not None:
            return ended, started
    work = family.begin(connection, started, owner, verdict, now)
    if isinstance(work, ItemError):
        settle_and_declare_failed(connection, started, work, now)
        return NotBegun.FAILED, started
    return Attempt(started, work.brief, stream_id=work.stream_id)


def _start(connection: Connection, item: StoredItem, declared: str | None, now: datetime) -> StoredItem | None:
    started = leases.start(connection, item, now, declared)
    if started is not None and started.task_id:
        task_records.begin_task(connection, started.task_id, now)
    return started


def _end_needless(
    connection: Connection, item: StoredItem, verdict: Verdict, owner: LockedOwner, now: datetime,
) -> NotBegun | None:
    """What needs no writing ends here. None: it is broken, and is to be written."""
    if verdict.problem and verdict.problem.kind is ProblemKind.DRIFTED:
        family_of(item).repair(connection, item, owner)
        settle(connection, item, ItemState.SUCCEEDED, now, calls=0)
        return NotBegun.REPAIRED
    if verdict.state is KeyState.PROBLEM and item.action is not ItemAction.REPAIR:
        return None
    rule = {KeyState.HEALTHY: ExclusionRule.NOT_BROKEN, KeyState.PROBLEM: ExclusionRule.CHANGED}.get(
        verdict.state, ExclusionRule.ALREADY_RUNNING)
    settle(connection, item, ItemState.SKIPPED, now, skip_rule=rule)
    return NotBegun.SKIPPED


def refuse(redrive: Redrive, item_id: int, error: ItemError) -> bool:
    """A queued item that cannot even be begun fails by name; sent again it would fail for ever. False: it is not queued.

    What was marked for it, when it was planned or begun before, says so too, unless that is what cannot be read.
    """
    now = utc_now()
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        if item is None or item.state is not ItemState.QUEUED:
            return False
        if item.attempt == 1 and not is_marked_when_planned(item):
            return settle_failed(connection, item, error, now, before=ItemState.QUEUED)
        try:
            with connection.begin_nested():
                return settle_and_declare_failed(connection, item, error, now, before=ItemState.QUEUED)
        except DBAPIError:
            return settle_failed(connection, item, error, now, before=ItemState.QUEUED)


def _judge_again(redrive: Redrive, connection: Connection, key: ContentKey, now: datetime) -> Verdict | None:
    """The same rule as everywhere, leaving this very item out of what is live. None: nothing says that it should exist.

    An item that a lost worker left behind finds its own mark "generating"; that is no life.
    """
    found = FAMILIES[key.kind].load(connection, key)
    if found is None:
        return None
    # The item exists because the key was broken: grace and silence of a young owner are over for it.
    key_facts = replace(found[0], expected_since=datetime.min.replace(tzinfo=UTC))
    return judge(key_facts, replace(found[1], live_keys=found[1].live_keys - {key}), now, redrive.limits)


def save(redrive: Redrive, attempt: Attempt, written: Written) -> bool:
    """Content row, framework_data, outcome and task in one transaction. False: the attempt came too late; nothing changed.

    Raises ItemError with the reason when the content does not pass its check or is not taken.
    """
    return save_item(redrive, attempt.item, written)


def save_item(
    redrive: Redrive, item: StoredItem, written: Written, *, before: ItemState = ItemState.RUNNING, wait_seconds: float = 0.0,
) -> bool:
    """As `save`. With `before` PLANNED or QUEUED a text that was spilled settles the item that waits to be written again.

    With `wait_seconds` it gives up on a row that somebody else holds for longer.
    """
    check(written.content)
    family = family_of(item)
    stored = family.keep(redrive.objects, item, written)  # the object first: a row never names what is not there
    try:
        with redrive.engine.begin() as connection:
            if wait_seconds:
                wait_at_most(connection, wait_seconds)
            owner = family.lock(connection, item.key.owner_id)
            now = utc_now()
            held = item if before is ItemState.RUNNING else leases.hold_for_text(connection, item, now)
            return held is not None and _save(redrive, connection, held, written, owner, stored, now)
    except (DBAPIError, PoolTimeout) as exc:
        raise save_error(exc) from exc


def _save(
    redrive: Redrive, connection: Connection, item: StoredItem, written: Written, owner: LockedOwner | None, stored: Stored,
    now: datetime,
) -> bool:
    if not costs.settle_written(redrive, connection, item, written, now):
        return False
    family_of(item).finish(connection, item, owner, written, stored, now)
    if item.task_id:
        task_records.record_progress(connection, item.task_id, now)
    return True


def fail(redrive: Redrive, attempt: Attempt, error: ItemError, spent: Spent | None = None) -> bool:
    """Outcome, framework_data and task say failed, why, and what it cost. False: the attempt came too late; nothing changed."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        is_ours = settle_and_declare_failed(connection, attempt.item, error, now)
        if is_ours and spent:
            costs.add(redrive, connection, attempt.item, spent, is_turned_away=error.kind in costs.TURNED_AWAY)
        return is_ours
