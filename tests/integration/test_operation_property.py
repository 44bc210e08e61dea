"""For any random platform and any scope: the ids of the plan are the ids of the ledger, each with exactly one outcome.

Whatever happens between the plan and the end: other people's retries, automatic ones, cancels, content that another program saves,
limits that are changed, canaries that fail, causes that return, budgets that are spent, an undo, a plan that is still being written down.
REDRIVE_PROPERTY_SEED and REDRIVE_PROPERTY_EXAMPLES look further than CI does.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from sqlalchemy import select, text

from backend.actions import (
    attempts,
    automatic,
    cancel,
    dispatcher,
    itemising,
    limits,
    reconciler,
    retry,
    retry_rules,
    supervision,
    withdrawals,
)
from backend.actions.actors import Actor, Role
from backend.actions.attempts import Attempt
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.limits import OperationLimits
from backend.content.plans import STOP_RULES, Plan
from backend.content.problems import ProblemKind
from backend.content.retry_rules import RuleBudget, RuleTerms
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.storage.engine import psycopg_url
from backend.storage.ops_tables import groups, items, operations
from backend.storage.rule_tables import retry_rules as retry_rules_table
from backend.views import ledger
from backend.views.detection import counts_and_problems
from backend.views.ledger import Outcome
from tests.factories import add_roadmap, concept
from tests.integration.test_attempts import CONTENT, written
from tests.integration.test_detector_property import examples
from tests.random_platforms import CONCEPTS, ROADMAPS, Platform, changes, clear, platforms, write, write_changes

pytestmark = pytest.mark.timeout(900)
REASON = CancelReason.NOT_NEEDED
ENDED = {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED, Outcome.NOT_STARTED, Outcome.CANCELLED, Outcome.LEFT_OUT}
BROKEN_CONCEPTS = ("d", "e", "f", "g")
BROKEN = [ContentKey(kind, "broken", part) for kind in (ContentKind.TUTORIAL, ContentKind.QUIZ) for part in BROKEN_CONCEPTS]
KEYS = BROKEN + [ContentKey(kind, roadmap_id, concept_id) for kind in CONCEPT_KINDS for roadmap_id in ROADMAPS for concept_id in CONCEPTS]
ERRORS = [ItemError(ErrorKind.MODEL_REFUSED, "no"), ItemError(ErrorKind.MODEL_REFUSED, "no"), ItemError(ErrorKind.CONTENT_EMPTY, "empty")]
STEPS = ("begin", "begin", "begin", "save", "save", "fail", "fail", "fail_all", "fail_all", "supervise", "supervise",
         "other_retry", "cancel_keys", "cancel_operation", "pause", "resume", "change_limits", "platform", "give_back", "lose",
         "cancel_task", "rule", "automatic", "automatic", "write_piece", "write_piece", "undo")
SCOPES = st.one_of(
    st.just(Scope.everything()), st.just(Scope.matching(ProblemFilter(owner_id="broken"))),
    st.sampled_from([Scope.matching(ProblemFilter(kinds=(kind,))) for kind in CONCEPT_KINDS]
                    + [Scope.matching(ProblemFilter(owner_id=owner_id)) for owner_id in ROADMAPS]
                    + [Scope.matching(ProblemFilter(problem_kinds=(kind,))) for kind in ProblemKind]),
    st.lists(st.sampled_from([*KEYS, ContentKey(ContentKind.QUIZ, "nowhere", "a")]), min_size=1, max_size=8).map(
        lambda keys: Scope.of(*keys)))
LIMITS = st.builds(
    OperationLimits, concurrency=st.sampled_from([None, 1, 3]), rate_per_minute=st.sampled_from([None, 100_000]),
    budget_calls=st.sampled_from([None, None, 1, 4]), budget_tokens=st.sampled_from([None, None, 40]),
    canary_items=st.integers(0, 2), same_cause_window=st.sampled_from([0, 1, 2, 5]), same_cause_percent=st.sampled_from([30, 80]))


@pytest.fixture
def platform_program(redrive: Redrive) -> Iterator[psycopg.Connection]:
    url = psycopg_url(redrive.settings.database_url.get_secret_value()).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@dataclass
class Scene:
    """A random platform, the workers on it, and the program that writes it too."""

    redrive: Redrive
    actor: Actor
    program: psycopg.Connection
    platform: Platform
    draw: Callable[[st.SearchStrategy], object]
    held: list[Attempt] = field(default_factory=list)

    def do(self, step: str) -> None:
        with suppress(cancel.Refused, cancel.NotFound, retry.NothingToRetry):
            getattr(self, f"_{step}")()

    def rows(self, query) -> list:
        with self.redrive.engine.connect() as connection:
            return connection.execute(query).all()

    def _operation_id(self) -> str:
        found = self.rows(select(operations.c.operation_id).order_by(operations.c.created_at))
        return self.draw(st.sampled_from(found)).operation_id if found else "nowhere"

    def _begin(self) -> None:
        dispatcher.dispatch(self.redrive)
        for row in self.rows(select(items.c.item_id).where(items.c.state == ItemState.QUEUED).order_by(items.c.item_id))[:4]:
            begun = attempts.begin(self.redrive, row.item_id)
            if isinstance(begun, Attempt):
                self.held.append(begun)

    def _save(self) -> None:
        if self.held:
            self._save_one(self.draw(st.sampled_from(self.held)))

    def _save_one(self, attempt: Attempt) -> None:
        with suppress(ItemError):
            attempts.save(self.redrive, attempt, written(CONTENT[attempt.item.key.kind]))

    def _fail(self) -> None:
        if self.held:
            self._fail_one(self.draw(st.sampled_from(self.held)))

    def _fail_all(self) -> None:
        """An outage: whatever runs fails."""
        for attempt in self.held:
            self._fail_one(attempt)

    def _fail_one(self, attempt: Attempt) -> None:
        attempts.fail(self.redrive, attempt, self.draw(st.sampled_from(ERRORS)), Spent(1, 5, 5))

    def _supervise(self) -> None:
        supervision.supervise(self.redrive)
        dispatcher.complete_operations(self.redrive)

    def _other_retry(self) -> None:
        counts_and_problems(self.redrive)
        another = Actor("another person", Role.ADMIN)
        plan = retry.plan(self.redrive, self.draw(SCOPES), another)
        retry.confirm(self.redrive, plan, another, "another mind", limits=self.draw(LIMITS))

    def _rule(self) -> None:
        """Made and turned on; turned off or on again when it is there."""
        kind = self.draw(st.sampled_from(CONCEPT_KINDS))
        there = self.rows(select(retry_rules_table).where(retry_rules_table.c.kind == kind))
        rule_id = there[0].rule_id if there else retry_rules.create(self.redrive, self.actor, RuleTerms(
            kind=kind, backoff=(timedelta(seconds=1),), budget=RuleBudget(run_items=self.draw(st.sampled_from([1, 50])))), "any")
        retry_rules.set_enabled(self.redrive, self.actor, rule_id, is_enabled=not (there and there[0].is_enabled))

    def _automatic(self) -> None:
        counts_and_problems(self.redrive)
        automatic.run_due(self.redrive)
        assert self.rows(text(
            "select rule_id from ops.retry_rule_runs join ops.operations using (operation_id) "
            "where state in ('armed', 'running', 'paused', 'verifying') group by 1 having count(*) > 1")) == []

    def _cancel_keys(self) -> None:
        keys = self.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4))
        cancel.cancel_items(self.redrive, CancelScope.of(*keys), self.actor, REASON)

    def _cancel_operation(self) -> None:
        cancel.cancel_operation(self.redrive, self._operation_id(), self.actor, REASON)

    def _cancel_task(self) -> None:
        with self.redrive.engine.begin() as connection:
            connection.execute(text("update tasks set status = 'cancelled' where status in ('pending', 'processing')"))
        reconciler.mend_tasks(self.redrive)

    def _undo(self) -> None:
        cancel.undo(self.redrive, self._operation_id(), self.actor)

    def _write_piece(self) -> None:
        itemising.write_piece(self.redrive)

    def _pause(self) -> None:
        cancel.pause(self.redrive, self._operation_id(), self.actor)

    def _resume(self) -> None:
        cancel.resume(self.redrive, self._operation_id(), self.actor)

    def _change_limits(self) -> None:
        found = self.rows(select(operations.c.operation_id, operations.c.limits).where(operations.c.operation_id == self._operation_id()))
        for row in found:
            before = OperationLimits.from_json(row.limits)
            limits.change(self.redrive, row.operation_id, self.actor, before, self.draw(LIMITS), "another mind")

    def _give_back(self) -> None:
        if self.held:
            withdrawals.give_back(self.redrive, self.draw(st.sampled_from(self.held)).item)

    def _lose(self) -> None:
        with self.redrive.engine.begin() as connection:
            connection.execute(text("update ops.items set heartbeat_at = now() - interval '1 hour' where state = 'running'"))
        reconciler.take_back_lost(self.redrive)

    def _platform(self) -> None:
        """Another program writes its tables; items are ours alone."""
        def ours_left_out(found: Platform) -> Platform:
            return {table: {} if table == "items" else rows for table, rows in found.items()}

        after = self.draw(changes(self.platform))
        write_changes(self.program, ours_left_out(self.platform), ours_left_out(after))
        self.platform = after

    def settle(self) -> None:
        """Workers finish, or what is left is cancelled; then the detector looks."""
        while itemising.write_piece(self.redrive):
            pass
        for row in self.rows(select(operations.c.operation_id).where(operations.c.state == OperationState.PAUSED)):
            cancel.resume(self.redrive, row.operation_id, self.actor)
        is_out = self.draw(st.sampled_from([True, False]))
        for _round in range(self.draw(st.sampled_from([8, 8, 3, 0]))):
            self._begin()
            for attempt in self.held:
                (self._fail_one if is_out else self._save_one)(attempt)
            self._supervise()
        with suppress(cancel.Refused):
            cancel.cancel_items(self.redrive, CancelScope.everything(), self.actor, REASON, "the end")
        self._lose()
        reconciler.mend_tasks(self.redrive)
        for _look in range(2):
            dispatcher.complete_operations(self.redrive)
            counts_and_problems(self.redrive)
        dispatcher.complete_operations(self.redrive)


def add_broken_roadmap(redrive: Redrive) -> None:
    """Eight keys of two causes, beside whatever is drawn: there is always something to retry, and to stop."""
    concepts = [concept(part, content_status="failed", quiz_status=None) for part in BROKEN_CONCEPTS]
    add_roadmap(redrive.engine, "broken", concepts=concepts, unsaved=[(key.kind, key.part) for key in BROKEN])


def planned_and_confirmed(scene: Scene, data) -> tuple[Plan, str] | None:
    plan = retry.plan(scene.redrive, data.draw(SCOPES), scene.actor)
    for _step in range(data.draw(st.integers(0, 2))):
        scene.do(data.draw(st.sampled_from(STEPS)))
    try:
        return plan, retry.confirm(scene.redrive, plan, scene.actor, "a mind", limits=data.draw(LIMITS)).operation_id
    except retry.NothingToRetry:
        return None


@examples
@given(data=st.data())
def test_the_ids_of_the_plan_are_the_ids_of_the_ledger_each_with_one_outcome(redrive, operator, platform_program, monkeypatch, data):
    monkeypatch.setattr(itemising, "AT_ONCE_ITEMS", data.draw(st.sampled_from([5_000, 1, 3])))
    clear(platform_program)
    platform_program.execute("truncate ops.operations, ops.frozen_pieces, ops.groups, ops.left_out, ops.spendings, ops.breakers, "
                             "ops.audit_log, ops.retry_rules, ops.retry_rule_runs, ops.retry_due")
    redrive.redis.flushdb()
    platform = data.draw(platforms())
    platform["items"] = {}
    write(platform_program, platform)
    add_broken_roadmap(redrive)
    counts_and_problems(redrive)
    watched = replace(redrive, settings=redrive.settings.model_copy(update={"canary_above_items": data.draw(st.sampled_from([0, 100]))}))
    scene = Scene(watched, operator, platform_program, platform, data.draw)
    if not (confirmed := planned_and_confirmed(scene, data)):
        return
    plan, operation_id = confirmed
    for step in [data.draw(st.sampled_from(STEPS)) for _step in range(data.draw(st.integers(0, 14)))]:
        note(step)
        scene.do(step)
    scene.settle()

    rows = list(ledger.ledger_rows(redrive, operation_id))
    page = ledger.ledger_page(redrive, operation_id)

    keys = Counter(row.key for row in rows)
    assert keys == Counter([*(item.key for item in plan.included), *(left.key for left in plan.excluded)])
    assert max(keys.values()) == 1
    assert {row.outcome for row in rows} <= ENDED
    assert {outcome: count for outcome, count in page.counts.items() if count} == Counter(row.outcome for row in rows)
    check_stops(scene, operation_id)


def check_stops(scene: Scene, operation_id: str) -> None:
    """What was not started was really not, and belongs to a group that was stopped by that rule."""
    stopped = {row.group_id: row.stop_rule for row in scene.rows(select(groups).where(groups.c.state == "stopped"))}
    for row in scene.rows(select(items).where(items.c.operation_id == operation_id, items.c.skip_rule.in_(STOP_RULES))):
        assert row.skip_rule == stopped[row.group_id]
        assert row.calls is None
    operation = scene.rows(select(operations).where(operations.c.operation_id == operation_id))[0]
    assert operation.state in (OperationState.COMPLETED, OperationState.STOPPED, OperationState.CANCELLED, OperationState.UNDONE)
    assert operation.state != OperationState.STOPPED or operation.state_reason
