"""Watches what runs: opens groups whose canary passed, stops those that it is pointless to go on with, leaves their rest untouched.

Runs in the maintenance process about twice a second. Cost follows the number of groups that go on, not of items.
"""

from collections.abc import Iterable
from datetime import datetime

import structlog
from sqlalchemy import Connection

from backend.actions import breaker, settling
from backend.actions.kinds import family_of, is_marked_when_planned
from backend.clock import utc_now
from backend.content import wording
from backend.content.causes import normalise
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.limits import is_budget_spent
from backend.content.plans import ExclusionRule
from backend.content.problems import ProblemKind
from backend.content.secrets import without_secrets
from backend.content.status import BreakerState, ItemState
from backend.content.stops import (
    CanaryVerdict,
    Told,
    commonest_failure,
    groups_of_cause,
    judge_canary,
    returning_cause,
)
from backend.i18n import _, ngettext
from backend.redrive import Redrive
from backend.storage import audit, dispatching, groups, items, spendings, task_records
from backend.storage.breakers import Breaker
from backend.storage.dispatching import Standing
from backend.storage.items import StoredItem, as_item

log = structlog.get_logger()
SKIPPED_AT_ONCE = 1000


def supervise(redrive: Redrive) -> bool:
    """One look at every operation that runs or is paused. True: more of what was stopped is to be put aside, look again at once."""
    while _add_up(redrive) == spendings.ADDED_AT_ONCE:
        pass
    with redrive.engine.begin() as connection:
        dispatching.prefer_indexes(connection)
        going = dispatching.going(connection)
        models = breaker.by_kinds(redrive, connection) if going else {}
    more_waits = False
    for found in going:
        _judge_canaries(redrive, found)
        _stop_returning(redrive, found)
        _stop_spent(redrive, found)
        for kinds, model in models.items():
            _stop_without_model(redrive, found, kinds, model)
        more_waits = _leave_untouched(redrive, found.operation_id) == SKIPPED_AT_ONCE or more_waits
    return more_waits


def _add_up(redrive: Redrive) -> int:
    with redrive.engine.begin() as connection:
        return spendings.add_up(connection)


def _judge_canaries(redrive: Redrive, found: Standing) -> None:
    with redrive.engine.begin() as connection:
        for canary in groups.canaries(connection, found.operation_id):
            wanted = max(1, found.limits.canary_items)
            verdict = judge_canary(
                canary.told, unsettled_count=canary.unsettled_count, canary_items=wanted, has_more=True)
            if verdict is CanaryVerdict.MORE and not groups.send_ahead(
                    connection, found.operation_id, canary.group_id, wanted - len(canary.told)):
                verdict = judge_canary(canary.told, unsettled_count=0, canary_items=wanted, has_more=False)
            if verdict is CanaryVerdict.PASSED:
                groups.open_group(connection, canary.group_id, canary.round)
            elif verdict is CanaryVerdict.FAILED:
                worst = commonest_failure(canary.told)
                words = _("The first {items} failed: {cause}").format(items=wording.items(len(canary.told)), cause=_cause_words(worst))
                _stop(connection, found, [canary.group_id], ExclusionRule.CANARY_FAILED, words)


def _stop_returning(redrive: Redrive, found: Standing) -> None:
    """Of each group by its own last items; of several at once by those of the whole operation: an outage meets all of them."""
    window, percent = found.limits.same_cause_window, found.limits.same_cause_percent
    if not window or not found.load.same_cause_count:
        return
    with redrive.engine.begin() as connection:
        for group_id, told in groups.last_told_by_group(connection, found.operation_id, window).items():
            cause_id = returning_cause(told, window=window, percent=percent)
            if cause_id:
                _stop_by_cause(connection, found, [group_id], told, cause_id)
        together = groups.last_told(connection, found.operation_id, found.window_since, window)
        cause_id = returning_cause(together, window=window, percent=percent)
        if cause_id:
            _stop_by_cause(connection, found, sorted(groups_of_cause(together, cause_id, percent=percent)), together, cause_id)


def _stop_by_cause(connection: Connection, found: Standing, group_ids: list[int], told: list[Told], cause_id: str) -> None:
    """The other groups prove themselves again, unless they have written something since the cause began to return."""
    failures = [item for item in told if item.cause_id == cause_id]
    words = _("{count} of the last {items} failed by one cause: {cause}").format(
        count=len(failures), items=wording.items(len(told)), cause=_cause_words(failures[0]))
    _stop(connection, found, group_ids, ExclusionRule.SAME_CAUSE, words)
    # Also when these were stopped before, and what they still had running has failed now: nothing could begin until the window is new.
    groups.send_back(connection, found.operation_id, failures[-1].settled_at, utc_now())


def _stop_spent(redrive: Redrive, found: Standing) -> None:
    if not is_budget_spent(found.limits, found.load):
        return
    with redrive.engine.begin() as connection:
        # A row that was appended since is no reason against it: what is spent only grows.
        going = groups.groups_going(connection, found.operation_id)
        _stop(connection, found, going, ExclusionRule.BUDGET_SPENT, _("The budget is spent: {spent}").format(
            spent=wording.spent(found.load.spent, redrive.settings.currency)))


def _stop_without_model(redrive: Redrive, found: Standing, kinds: tuple[ContentKind, ...], model: Breaker) -> None:
    """A model whose outage has wasted a window of calls, and as many probes as a canary has: what waited for it since then stops.

    A group that waits for another provider too goes on until only these kinds are left of it.
    """
    window = found.limits.same_cause_window
    if not window or model.state is BreakerState.CLOSED:
        return
    if model.failed_calls < window or model.failed_probes < max(1, found.limits.canary_items):
        return
    if found.started_at is None or model.opened_at is None or found.started_at > model.opened_at:
        return
    cause = wording.cause_title(model.error_kind or ErrorKind.MODEL_UNREACHABLE, normalise(model.error_message))
    sentence = _("No painter has answered {count} times in a row: {cause}") if model.is_of_covers else _(
        "The model has not answered {count} times in a row: {cause}")
    words = sentence.format(count=model.failed_calls, cause=without_secrets(cause))
    with redrive.engine.begin() as connection:
        waiting = groups.groups_waiting_for(connection, found.operation_id, kinds)
        _stop(connection, found, waiting, ExclusionRule.SAME_CAUSE, words)


def _stop(connection: Connection, found: Standing, group_ids: list[int], rule: ExclusionRule, words: str) -> None:
    stopped = groups.stop_groups(connection, group_ids, rule, words, utc_now()) if group_ids else []
    if stopped:
        log.warning("groups_stopped", operation_id=found.operation_id, count=len(stopped), rule=rule.value, reason=words)
        audit.record(
            connection, audit.MACHINE, action="stop", reason=words, operation_id=found.operation_id,
            scope=_("operation {operation_id}").format(operation_id=found.operation_id[:8]),
            result=ngettext("{count} group stopped", "{count} groups stopped", len(stopped)).format(count=len(stopped)))


def _leave_untouched(redrive: Redrive, operation_id: str) -> int:
    """planned | queued -> skipped, of groups that were stopped. What was begun before gets its mark put back. Returns how many."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        dispatching.prefer_indexes(connection)
        rest = groups.rest_of_stopped(connection, operation_id, SKIPPED_AT_ONCE)
        tasks: set[str] = set()
        by_rule: dict[ExclusionRule, list[int]] = {}
        for row in rest:
            if row.attempt == 1:
                by_rule.setdefault(ExclusionRule(row.stop_rule), []).append(row.item_id)
                tasks.update([row.task_id] if row.task_id else [])
        for rule, item_ids in by_rule.items():
            items.skip(connection, item_ids, rule, now)
        _end_marks(connection, [as_item(row) for row in rest if row.attempt == 1 and row.problem_kind != ProblemKind.STALE], now)
        task_records.record_progress_of_many(connection, sorted(tasks), now)
    for row in rest:
        if row.attempt > 1:
            with redrive.engine.begin() as connection:
                settling.skip(connection, as_item(row), ExclusionRule(row.stop_rule), now, before=ItemState(row.state))
    return len(rest)


def _end_marks(connection: Connection, unbegun: Iterable[StoredItem], now: datetime) -> None:
    """What was marked as being written when it was planned. What was found so, by another program's mark, is not among them."""
    for item in filter(is_marked_when_planned, unbegun):
        family_of(item).end_without(connection, item, None, _("It was never begun: its operation was stopped."), now)


def _cause_words(failure: Told | None) -> str:
    if failure is None:
        return ""
    return without_secrets(wording.cause_title(failure.error_kind, normalise(failure.error_message)))
