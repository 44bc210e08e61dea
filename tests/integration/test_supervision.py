"""An operation that stops by itself: canaries, a cause that returns, a budget that is spent, a model that stays out."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, breaker, supervision, withdrawals
from backend.actions.attempts import Attempt
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import ItemState
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.settings import Price
from backend.storage import breakers
from backend.storage.ops_tables import items
from tests.factories import add_roadmap
from tests.integration.acting import NOT_WRITTEN, Stand, add_broken

REFUSED, POOL, LONG = "Refused by the model", "Pool exhausted while saving", "Value too long for the column"


@pytest.fixture
def stand(redrive, operator) -> Stand:
    return Stand(redrive, operator)


def test_with_one_cause_and_few_items_nothing_goes_ahead(redrive, stand):
    add_broken(redrive, {REFUSED: 30})
    stand.confirm()

    assert stand.dispatch() == 30


def test_of_several_causes_the_first_three_items_of_each_go_ahead(redrive, stand):
    keys = add_broken(redrive, {REFUSED: 10, POOL: 10, LONG: 2})
    stand.confirm()

    assert stand.dispatch() == 8
    assert stand.dispatch() == 0
    with redrive.engine.connect() as connection:
        ahead = connection.execute(text("select owner_id, part from ops.items where state = 'queued'")).all()
    assert {tuple(row) for row in ahead} == {(key.owner_id, key.part) for found in keys.values() for key in found[:3]}


def test_over_a_hundred_items_of_one_cause_go_by_canary_too(redrive, stand):
    add_broken(redrive, {REFUSED: 101})
    stand.confirm()

    assert stand.dispatch() == 3


def test_without_a_canary_all_of_it_goes(redrive, stand):
    add_broken(redrive, {REFUSED: 10, POOL: 10})
    stand.confirm(canary_items=0)

    assert stand.dispatch() == 20


def test_a_canary_that_passes_lets_its_group_go_on(redrive, stand):
    add_broken(redrive, {REFUSED: 10, POOL: 10})
    stand.confirm()

    stand.run()

    assert stand.states() == {"succeeded": 20}
    assert stand.operation().state == "completed"


def test_a_canary_that_fails_stops_its_group_by_name_while_the_others_go_on(redrive, stand):
    keys = add_broken(redrive, {REFUSED: 10, POOL: 10})
    stand.answer = lambda key: NOT_WRITTEN if key in keys[REFUSED] else None
    stand.confirm()

    stand.run()

    assert stand.states() == {"failed": 3, "skipped": 7, "succeeded": 10}
    assert stand.rules() == {"canary_failed"}
    (stopped,) = [found for found in stand.groups().values() if found[0] == "stopped"]
    assert stopped == ("stopped", "canary_failed", "The first 3 items failed: Model refused: The model refused.")
    assert stand.operation().state == "completed"


def test_a_canary_that_tells_nothing_is_replaced_by_the_next_items(redrive, stand):
    keys = add_broken(redrive, {REFUSED: 8, POOL: 8})
    stand.answer = lambda key: NOT_WRITTEN if key in keys[REFUSED] else None
    stand.confirm()
    stand.dispatch()
    with redrive.engine.begin() as connection:  # two of the three are done by somebody else
        connection.execute(text(
            "update ops.items set state = 'cancelled', settled_at = now() where owner_id = 'r-refused' and part in ('c000', 'c001')"))

    stand.run()

    refused = [key.part for key in stand.calls if key in keys[REFUSED]]
    assert refused == ["c002", "c003", "c004"]
    assert stand.states() == {"cancelled": 2, "failed": 3, "skipped": 3, "succeeded": 8}


@pytest.mark.parametrize("concurrency", [1, 8, 20])
def test_a_model_that_fails_in_the_middle_of_three_hundred_stops_it_within_a_window(redrive, stand, concurrency):
    add_broken(redrive, {REFUSED: 300})
    stand.concurrency = concurrency
    stand.answer = lambda _key: NOT_WRITTEN if len(stand.calls) > 100 else None
    stand.confirm()

    stand.run(most_rounds=400)

    assert 17 <= len(stand.wasted) <= 20
    assert stand.rules() == {"same_cause"}
    operation = stand.operation()
    assert operation.state == "stopped"
    assert "of the last 20 items failed by one cause: Model refused: The model refused." in operation.state_reason
    assert sum(stand.states().values()) == 300


def test_what_meets_all_groups_at_once_stops_all_within_canaries_and_a_window(redrive, stand):
    add_broken(redrive, {REFUSED: 60, POOL: 60, LONG: 60})
    stand.answer = lambda _key: NOT_WRITTEN if len(stand.calls) > 60 else None
    stand.confirm()

    stand.run()

    assert len(stand.wasted) <= 20 + 3 * 3
    assert {found[0] for found in stand.groups().values()} == {"stopped"}
    assert stand.operation().state == "stopped"


def test_a_hopeless_group_stops_and_healthy_ones_go_on_to_their_end(redrive, stand):
    keys = add_broken(redrive, {REFUSED: 60, POOL: 60})
    passed = set(keys[REFUSED][:3])
    stand.answer = lambda key: NOT_WRITTEN if key in keys[REFUSED] and key not in passed else None
    stand.confirm()

    stand.run()

    wasted = Counter(key.owner_id for key in stand.wasted)
    assert wasted == {"r-refused": len(stand.wasted)}
    assert len(stand.wasted) <= 20
    assert stand.states()["succeeded"] == 63
    assert stand.operation().state == "completed"


def test_without_a_window_nothing_stops(redrive, stand):
    add_broken(redrive, {REFUSED: 40})
    stand.answer = lambda _key: NOT_WRITTEN
    stand.confirm(same_cause_window=0)

    stand.run()

    assert stand.states() == {"failed": 40}


@pytest.mark.parametrize("window", [409, 410, 2**31])
def test_a_wide_window_lets_items_begin(redrive, stand, window):
    """409 times 80 percent is the last product that PostgreSQL's smallest integers hold."""
    add_broken(redrive, {REFUSED: 3})
    stand.confirm(same_cause_window=window)

    stand.run()

    assert stand.states() == {"succeeded": 3}


def test_an_item_of_a_stopped_group_that_still_stands_in_a_queue_asks_no_model(redrive, stand):
    add_broken(redrive, {REFUSED: 10})
    stand.confirm()
    stand.dispatch()
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.groups set state = 'stopped', stop_rule = 'same_cause', stopped_at = now()"))

    assert stand.begin() == []
    assert stand.braked_count == 10
    supervision.supervise(redrive)
    assert stand.states() == {"skipped": 10}


def test_what_was_begun_before_its_group_stopped_is_declared_what_it_was(redrive, stand):
    from backend.actions import withdrawals

    add_broken(redrive, {REFUSED: 1})
    stand.confirm()
    stand.dispatch()
    (attempt,) = stand.begin()
    withdrawals.give_back(redrive, attempt.item)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.groups set state = 'stopped', stop_rule = 'same_cause', stopped_at = now()"))

    supervision.supervise(redrive)

    with redrive.engine.connect() as connection:
        declared = connection.scalar(text("select jsonb_path_query_first(framework_data, '$.**.quiz_status') ->> 0 from roadmap_metadata"))
    assert stand.states() == {"skipped": 1}
    assert declared == "failed"


def test_a_budget_of_calls_is_never_exceeded_and_its_end_is_said(redrive, stand):
    add_broken(redrive, {REFUSED: 50})
    stand.confirm(budget_calls=17)

    stand.run()

    assert len(stand.calls) == 17
    assert stand.states() == {"skipped": 33, "succeeded": 17}
    assert stand.rules() == {"budget_spent"}
    assert (stand.operation().state, stand.operation().state_reason) == ("stopped", "The budget is spent: 17 calls, 510 tokens")


def test_a_budget_of_money_is_counted_by_the_price_table(redrive, operator):
    prices = {"test-model": Price(10_000, 10_000)}
    stand = Stand(replace(redrive, settings=redrive.settings.model_copy(update={"prices": prices})), operator)
    add_broken(redrive, {REFUSED: 40})  # each takes 30 tokens: 0.30 USD
    stand.confirm(budget_cost=6.5)

    stand.run()

    assert len(stand.calls) == 21
    assert stand.operation().spent_cost == pytest.approx(6.3)
    assert stand.operation().state_reason == "The budget is spent: 21 calls, 630 tokens, 6.30 USD"


@pytest.fixture
def priced(redrive) -> Redrive:
    return replace(redrive, settings=redrive.settings.model_copy(update={"prices": {"test-model": Price(10_000, 10_000)}}))


def test_a_budget_of_money_reckons_what_told_no_tokens_at_the_average_of_the_others(priced, operator):
    tellings = itertools.cycle((True, False))
    stand = Stand(priced, operator, concurrency=1, tells_tokens=lambda: next(tellings))
    add_broken(priced, {REFUSED: 40})
    stand.confirm(budget_cost=6.5)

    stand.run()

    assert len(stand.calls) == 21
    assert stand.operation().state_reason == "The budget is spent: 21 calls, 330 tokens, 3.30 USD, the cost of 10 calls is not known"


def test_a_budget_of_money_that_nobody_can_keep_ends_after_twenty_calls(priced, operator):
    stand = Stand(priced, operator, tells_tokens=lambda: False)
    add_broken(priced, {REFUSED: 40})
    stand.confirm(budget_cost=6.5)

    stand.run()

    assert len(stand.calls) == 20
    assert stand.operation().state_reason == "The budget is spent: 20 calls, the cost of 20 calls is not known"


@pytest.fixture
def paid(redrive) -> Redrive:
    """A model behind an endpoint, with a price."""
    return replace(redrive, settings=redrive.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "test-model", "prices": {"test-model": Price(1, 1)}}))


@pytest.fixture
def begun_pair(paid, operator) -> list[Attempt]:
    stand = Stand(paid, operator)
    add_broken(paid, {REFUSED: 2})
    stand.confirm()
    stand.dispatch()
    return stand.begin()


def test_a_call_that_the_provider_turned_away_costs_nothing(paid, begun_pair):
    first, second = begun_pair

    attempts.fail(paid, first, ItemError(ErrorKind.MODEL_SERVER_ERROR, "overloaded"), Spent(1))
    attempts.fail(paid, second, ItemError(ErrorKind.MODEL_TIMEOUT, "no answer"), Spent(1))

    with paid.engine.connect() as connection:
        assert list(connection.scalars(select(items.c.cost).order_by(items.c.item_id))) == [0, None]
        assert connection.scalar(text("select sum(unpriced_calls) from ops.spendings")) == 1


def test_what_is_given_back_is_free_only_where_the_provider_turned_it_away(paid, begun_pair):
    turned_away, broken_off = begun_pair

    withdrawals.give_back(paid, turned_away.item, Spent(1), is_turned_away=True)
    withdrawals.give_back(paid, broken_off.item, Spent(1))

    with paid.engine.connect() as connection:
        assert connection.scalar(text("select sum(unpriced_calls) from ops.spendings")) == 1


def test_a_model_that_stays_out_stops_what_has_waited_for_it_since(redrive, stand):
    add_broken(redrive, {REFUSED: 30})
    stand.confirm()
    stand.dispatch()
    now = utc_now()
    with redrive.engine.begin() as connection:
        for _failure in range(redrive.settings.breaker_failures):
            breakers.note_failure(connection, redrive.settings.provider, ErrorKind.MODEL_UNREACHABLE, "Connection refused.", now,
                                  most_failures=redrive.settings.breaker_failures, pause_seconds=1)
        connection.execute(text("update ops.breakers set failed_probes = 12, failed_calls = 19, opened_at = now()"))

    supervision.supervise(redrive)
    waiting = stand.states()
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.breakers set failed_probes = 2, failed_calls = 20"))
    supervision.supervise(redrive)
    waiting_too = stand.states()
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.breakers set failed_probes = 3"))
    supervision.supervise(redrive)
    stand.verify()

    assert waiting == waiting_too == {"queued": 30}
    assert stand.states() == {"skipped": 30}
    assert stand.operation().state == "stopped"
    assert stand.operation().state_reason == (
        "The model has not answered 20 times in a row: Model cannot be reached: Connection refused.")


def test_painters_that_stay_out_stop_covers_and_leave_texts_alone(redrive, stand):
    add_broken(redrive, {REFUSED: 5})
    add_roadmap(redrive.engine, "r-bare", has_cover=False)
    stand.confirm()
    stand.dispatch()
    with redrive.engine.begin() as connection:
        breakers.note_failure(connection, breakers.COVERS, ErrorKind.MODEL_UNREACHABLE, "Connection refused.", utc_now(),
                              most_failures=1, pause_seconds=1)
        connection.execute(text("update ops.breakers set failed_probes = 100, failed_calls = 100"))

    supervision.supervise(redrive)

    with redrive.engine.connect() as connection:
        states = connection.execute(text("select distinct kind, state from ops.items where kind in ('cover', 'quiz')"))
    assert {tuple(row) for row in states} == {("cover", "skipped"), ("quiz", "queued"), ("quiz", "planned")}


def test_an_operation_that_was_started_while_the_model_was_out_waits(redrive, stand):
    add_broken(redrive, {REFUSED: 3})
    with redrive.engine.begin() as connection:
        breakers.note_failure(connection, redrive.settings.provider, ErrorKind.MODEL_UNREACHABLE, "no", utc_now() - timedelta(hours=1),
                              most_failures=1, pause_seconds=7200)
        connection.execute(text("update ops.breakers set failed_probes = 100, failed_calls = 100"))
    stand.confirm()

    supervision.supervise(redrive)

    assert stand.states() == {"planned": 3}
    with redrive.engine.connect() as connection:
        assert breaker.flow(redrive, breaker.current(redrive, connection), utc_now()) is breaker.Flow.HELD


def test_an_outage_fails_some_items_holds_the_rest_and_goes_on_by_itself(redrive, stand):
    """The breaker holds back what an outage would meet; the same-cause stop is for answers. One does not set off the other."""
    add_broken(redrive, {REFUSED: 60})
    unreachable = ItemError(ErrorKind.MODEL_UNREACHABLE, "Connection refused.")
    stand.answer = lambda _key: unreachable if 20 < len(stand.calls) <= 26 else None
    stand.confirm()

    for _round in range(4):
        stand.round()
    stand.run()

    assert stand.states()["succeeded"] >= 50
    assert not stand.rules()


def test_stopping_is_written_to_the_audit_log(redrive, stand):
    add_broken(redrive, {REFUSED: 30})
    stand.answer = lambda _key: NOT_WRITTEN
    stand.confirm()

    stand.run()

    with redrive.engine.connect() as connection:
        row = connection.execute(text("select * from ops.audit_log where action = 'stop'")).one()
    assert (row.actor_id, row.operation_id, row.result) == ("Redrive", stand.operation_id, "1 group stopped")
    assert "Model refused" in row.reason
    assert not stand.item_ids(ItemState.PLANNED, ItemState.QUEUED)
