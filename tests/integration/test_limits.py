"""Limits of an operation as the dispatcher obeys them, and as they are changed while it runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from backend.actions import cancel, limits, retry, supervision
from backend.actions.actors import Actor, NotAllowed, ReasonNeeded, Role
from backend.actions.cancel import NotFound, Refused
from backend.bootstrap import connect
from backend.content.limits import OperationLimits, QuietHours
from backend.content.prices import NoPrice
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.content.stopping import CancelReason
from backend.settings import Price
from backend.views.detection import counts_and_problems
from tests.integration.acting import NOT_WRITTEN, Stand, add_broken

CAUSE = "Refused by the model"


@pytest.fixture
def stand(redrive, operator) -> Stand:
    add_broken(redrive, {CAUSE: 40})
    return Stand(redrive, operator)


def quiet_now(minutes: float) -> QuietHours:
    """Quiet hours that began a minute ago, and last so long."""
    now = datetime.now(UTC)
    return QuietHours.parse(f"{now - timedelta(minutes=1):%H:%M}-{now + timedelta(minutes=minutes):%H:%M}")


def change(stand: Stand, actor: Actor, chosen: OperationLimits, reason: str) -> OperationLimits:
    """By somebody who has just looked at them."""
    before = OperationLimits.from_json(stand.operation().limits)
    return limits.change(stand.redrive, stand.operation_id, actor, before, chosen, reason)


def test_the_defaults_of_the_settings_hold_and_stay_with_the_operation(redrive, operator, settings):
    tight = connect(settings.model_copy(update={"operation_concurrency": 3, "quiet_hours": "03:00-03:01"}))
    add_broken(redrive, {CAUSE: 5})
    stand = Stand(tight, operator)
    counts_and_problems(tight)
    stand.operation_id = retry.confirm(tight, retry.plan(tight, Scope.everything(), operator), operator).operation_id
    tight.close()

    stored = OperationLimits.from_json(stand.operation().limits)
    assert (stored.concurrency, str(stored.quiet_hours), stored.canary_items) == (3, "03:00-03:01", 3)


def test_limits_looser_than_those_of_the_settings_are_given_a_reason(stand, operator):
    poor = replace(stand.redrive, settings=stand.redrive.settings.model_copy(update={"operation_budget_tokens": 100}))
    counts_and_problems(poor)
    plan = retry.plan(poor, Scope.everything(), operator)
    lifted = replace(poor.operation_limits, budget_tokens=None)

    with pytest.raises(ReasonNeeded, match="looser than those of the settings"):
        retry.confirm(poor, plan, operator, " ", limits=lifted)
    stand.operation_id = retry.confirm(poor, plan, operator, "all of it today", limits=lifted).operation_id

    assert (stand.operation().reason, OperationLimits.from_json(stand.operation().limits)) == ("all of it today", lifted)


def test_no_more_than_the_concurrency_wait_or_run_at_once(stand):
    stand.confirm(concurrency=5)

    assert stand.dispatch() == 5
    assert stand.dispatch() == 0
    stand.settle(stand.begin()[:2])
    assert stand.dispatch() == 2


def test_what_is_handed_out_keeps_to_the_rate(stand):
    stand.confirm(rate_per_minute=60)

    assert stand.dispatch() == 1
    assert stand.dispatch() == 0
    with stand.redrive.engine.begin() as connection:
        connection.execute(text("update ops.operations set paced_at = paced_at - interval '10 seconds'"))
    assert stand.dispatch() == 1  # a pace is not made up for


def test_in_quiet_hours_nothing_is_handed_out_and_what_nobody_has_begun_waits(stand, operator):
    stand.confirm()
    stand.dispatch()
    begun = stand.begin()

    change(stand, operator, OperationLimits(quiet_hours=quiet_now(5)), "people sleep")
    stand.dispatch()

    assert stand.states() == {"planned": 32, "running": 8}
    stand.settle(begun)
    change(stand, operator, OperationLimits(), "they are awake")
    assert stand.dispatch() == 32


def test_queued_items_wait_when_quiet_hours_begin(stand):
    stand.confirm()
    assert stand.dispatch() == 40
    with stand.redrive.engine.begin() as connection:
        connection.execute(text("update ops.operations set limits = limits || jsonb_build_object('quiet_hours', cast(:hours as text))"),
                           {"hours": str(quiet_now(5))})
        connection.execute(text("update ops.items set state = 'planned' where part = 'c000'"))

    assert stand.dispatch() == 0
    assert stand.states() == {"planned": 40}


def test_limits_are_changed_while_it_runs_and_the_next_round_obeys(stand, operator):
    stand.confirm()
    stand.dispatch()

    after = change(stand, operator, OperationLimits(concurrency=2), "too fast")

    assert (after.concurrency, after.canary_items, after.same_cause_window) == (2, 3, 20)
    assert stand.dispatch() == 2
    with stand.redrive.engine.connect() as connection:
        row = connection.execute(text("select * from ops.audit_log where action = 'change_limits'")).one()
    assert (row.actor_id, row.reason, row.operation_id) == (operator.actor_id, "too fast", stand.operation_id)
    assert row.result == "no limits -> at most 2 at once; 40 items handed out again"


def test_changing_limits_needs_a_reason_the_role_and_an_operation_that_has_not_ended(stand, operator):
    stand.confirm()

    with pytest.raises(ReasonNeeded, match="Say why"):
        change(stand, operator, OperationLimits(), "  ")
    with pytest.raises(NotAllowed):
        change(stand, Actor("a viewer", Role.VIEWER), OperationLimits(), "why")
    with pytest.raises(NotAllowed):
        change(stand, Actor("another", Role.OPERATOR), OperationLimits(), "why")
    with pytest.raises(NotFound):
        limits.change(stand.redrive, "nowhere", operator, OperationLimits(), OperationLimits(), "why")
    cancel.cancel_operation(stand.redrive, stand.operation_id, operator, CancelReason.NOT_NEEDED)
    with pytest.raises(Refused, match="is cancelled"):
        change(stand, operator, OperationLimits(), "why")


def test_limits_that_somebody_else_has_changed_are_looked_at_again_first(stand, operator):
    stand.confirm(concurrency=8, budget_cost=5)
    seen = OperationLimits.from_json(stand.operation().limits)
    limits.change(stand.redrive, stand.operation_id, operator, seen, replace(seen, budget_cost=1.5), "it is expensive")
    mine = replace(seen, concurrency=2)

    with pytest.raises(Refused, match="in the meantime"):
        limits.change(stand.redrive, stand.operation_id, operator, seen, mine, "too fast")

    assert OperationLimits.from_json(stand.operation().limits) == replace(seen, budget_cost=1.5)
    assert change(stand, operator, mine, "looked again") == mine


def test_limits_from_before_there_were_limits_can_be_changed(stand, operator):
    stand.confirm()
    with stand.redrive.engine.begin() as connection:
        connection.execute(text("update ops.operations set limits = '{}'"))

    assert change(stand, operator, OperationLimits(concurrency=2), "too fast") == OperationLimits(concurrency=2)


def test_a_budget_of_money_that_nobody_could_keep_is_refused(stand, operator):
    stand.confirm()
    counts_and_problems(stand.redrive)
    paid = replace(stand.redrive, settings=stand.redrive.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1", "image_model": "painter-1", "prices": {"painter-1": Price(1, 1)}}))
    before = OperationLimits.from_json(stand.operation().limits)

    with pytest.raises(NoPrice, match="writer-1 in REDRIVE_PRICES"):
        limits.change(paid, stand.operation_id, operator, before, replace(before, budget_cost=5), "it is expensive")
    texts_priced = replace(paid, settings=paid.settings.model_copy(update={"prices": {"writer-1": Price(1, 1)}}))
    after = limits.change(texts_priced, stand.operation_id, operator, before, replace(before, budget_cost=5), "it is expensive")

    assert after.budget_cost == 5  # it makes no covers, so their price is not asked


def test_a_raised_budget_lets_it_go_on(stand, operator):
    stand.confirm(budget_calls=10)
    for _round in range(2):
        stand.dispatch()
        stand.settle(stand.begin())
    assert len(stand.calls) == 10

    change(stand, operator, OperationLimits(budget_calls=15), "worth it")
    stand.run()

    assert len(stand.calls) == 15


def test_what_failed_is_paid_for_too(stand):
    stand.answer = lambda key: NOT_WRITTEN if key.part < "c005" else None
    stand.confirm(budget_calls=12, same_cause_window=0)

    stand.run()

    assert len(stand.calls) == 12
    operation = stand.operation()
    assert (operation.spent_calls, operation.spent_items) == (12, 12)
    assert operation.spent_tokens == 5 * 15 + 7 * 30


def test_a_round_reads_nothing_of_what_waits(redrive, operator):
    """Of 20,000 planned items that may not go yet no plan of a statement reads more than a handful."""
    stand = Stand(redrive, operator)
    add_broken(redrive, {CAUSE: 2})
    stand.confirm()
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.items set canary_round = 9, state = 'queued'"))
        connection.execute(text("update ops.groups set state = 'canary', canary_round = 9"))
        connection.execute(text("insert into ops.groups (operation_id, cause_id, title, item_count, state) "
                                "select operation_id, 'x', 'x', 1, 'stopped' from ops.groups"))
        connection.execute(text(
            "insert into ops.items (operation_id, group_id, kind, owner_id, part, action, state, problem_kind) "
            "select operation_id, group_id, 'quiz', 'many', 'p' || n, 'generate', 'planned', 'failed' "
            "from ops.groups, generate_series(1, 20000) n where ops.groups.state = 'canary'"))
    with redrive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze ops.items"))
    asked: list[tuple[str, object]] = []
    event.listen(redrive.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))

    queued = stand.dispatch()
    supervision.supervise(redrive)

    with redrive.engine.connect() as connection:
        connection.execute(text("set enable_seqscan = off"))
        plans = ["\n".join(connection.exec_driver_sql(f"explain analyze {statement}", values).scalars())
                 for statement, values in tuple(asked) if statement.lstrip().lower().startswith(("select", "with"))]
    assert queued == 0
    assert len(plans) > 8
    assert not [plan for plan in plans if "Seq Scan on items" in plan]
    read = [int(word.split("=")[1].split(".")[0]) for plan in plans for word in plan.split() if word.startswith("rows=") and "." in word]
    assert max(read, default=0) < 100
    assert len(stand.item_ids(ItemState.PLANNED)) == 20_000


def test_handing_out_looks_for_each_key_by_itself_and_not_at_all_that_was_handed_out_before(redrive, operator):
    """A join with all that is live took 0.3 s for 1,000 items with 50,000 queued."""
    stand = Stand(redrive, operator)
    add_broken(redrive, {CAUSE: 2})
    stand.confirm()
    asked: list[tuple[str, object]] = []
    event.listen(redrive.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))

    queued = stand.dispatch()

    with redrive.engine.connect() as connection:
        plans = ["\n".join(connection.exec_driver_sql(f"explain {statement}", values).scalars())
                 for statement, values in tuple(asked) if "update ops.items" in statement]
    assert queued == 2
    assert len(plans) == 1
    assert "SubPlan" in plans[0]
    assert "Anti Join" not in plans[0]
    assert "ix_items_planned" not in plans[0]
