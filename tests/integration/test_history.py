"""What happened over time is added up once, and told without reading all items or all problems."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from backend.actions import retry, triage
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKind
from backend.content.recovery import CLASSES, class_of_half
from backend.storage import cause_records, history
from backend.storage.history_tables import gone_problems
from backend.storage.ops_tables import items, problems
from backend.views import history as views
from backend.views.causes import Retries
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_item, add_operation, add_roadmap, ago, concept
from tests.integration.acting import Stand, add_broken


def settle(redrive, *, later: timedelta = timedelta(minutes=1)) -> int:
    counts_and_problems(redrive)
    with redrive.engine.begin() as connection:
        return history.settle_recoveries(connection, utc_now() + later, redrive.limits.silence_seconds)


def add_up(redrive, now=None) -> None:
    with redrive.engine.begin() as connection:
        history.add_up_retries(connection, now or utc_now())


def broke(redrive, **span: float) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(problems.update().values(first_seen_at=ago(**span)))


def write_row(redrive, part: str, kind: ContentKind = ContentKind.QUIZ, owner_id: str = "r-timeout") -> None:
    """As another program does."""
    with redrive.engine.begin() as connection:
        add_content(connection, owner_id, part, kind)
        connection.execute(text(
            "update roadmap_metadata set framework_data = replace(framework_data::text, '\"failed\"', '\"completed\"')::jsonb"))


@pytest.fixture
def stand(redrive, operator) -> Stand:
    add_broken(redrive, {"Timeout of the model": 1})
    counts_and_problems(redrive)
    return Stand(redrive, operator)


def recovered(redrive) -> dict[int, int]:
    return dict(views.history(redrive).recovery_counts)


def test_what_is_good_again_is_counted_by_how_long_it_was_broken(redrive, stand):
    broke(redrive, hours=3)
    write_row(redrive, "c000")

    assert settle(redrive, later=timedelta(0)) == 0  # it may be listed again with the next look
    assert settle(redrive) == 1

    assert recovered(redrive) == {2: 1}
    assert CLASSES[2][1] == "within 6 hours"


def test_a_key_that_is_retried_and_fails_has_not_recovered_and_its_time_goes_on(redrive, stand):
    broke(redrive, days=2)
    stand.answer = lambda _key: ItemError(ErrorKind.MODEL_REFUSED, "no")
    stand.confirm()
    stand.dispatch()
    counts_and_problems(redrive)
    stand.run()

    assert settle(redrive) == 0

    stand.answer = lambda _key: None
    stand.confirm()
    stand.run()
    assert settle(redrive) == 1
    assert recovered(redrive) == {4: 1}


def test_a_key_that_is_worked_on_waits_and_one_that_is_gone_is_forgotten(redrive, stand, operator):
    stand.confirm()
    stand.dispatch()
    assert settle(redrive) == 0

    with redrive.engine.begin() as connection:
        connection.execute(text("delete from ops.items"))
        connection.execute(text("delete from tasks"))
        connection.execute(text("delete from roadmap_metadata"))

    assert settle(redrive) == 1
    assert recovered(redrive) == {}
    with redrive.engine.connect() as connection:
        assert connection.execute(select(gone_problems)).all() == []


def test_what_nobody_can_read_has_not_recovered_and_waits(redrive, stand):
    with redrive.engine.begin() as connection:
        readable = connection.scalar(text("select framework_data::text from roadmap_metadata"))
        connection.execute(text("update roadmap_metadata set framework_data = '{\"stages\": 7}'"))
    assert settle(redrive) == 0

    with redrive.engine.begin() as connection:
        connection.execute(text("update roadmap_metadata set framework_data = cast(:data as jsonb)"), {"data": readable})
    assert settle(redrive) == 1  # its framework, which can be read again; the quiz is listed again
    assert recovered(redrive) == {0: 1}

    write_row(redrive, "c000")
    assert settle(redrive) == 1
    assert recovered(redrive) == {0: 2}


def test_retries_and_cost_are_added_up_by_cause_and_day_however_often(redrive):
    add_operation(redrive.engine, "o1")
    with redrive.engine.begin() as connection:
        for cause_id in ("a", "b"):
            connection.execute(text("insert into ops.causes (cause_id, error_kind, origin, title, sample) "
                                    "values (:cause_id, 'model_timeout', 'model', '', '')"), {"cause_id": cause_id})
    for part, values in {"p": {"state": "succeeded", "cost": 0.5}, "q": {"state": "failed", "cost": 0.25},
                         "r": {"state": "succeeded", "planned_cause_id": "b", "cost": None}}.items():
        add_item(redrive.engine, part, **{"planned_cause_id": "a", "calls": 2, "prompt_tokens": 10, "completion_tokens": 5,
                                          "settled_at": ago(minutes=1), **values})

    add_up(redrive)
    add_up(redrive)
    found = views.history(redrive)

    assert {row.cause_id: row.retries for row in found.success} == {"a": Retries(1, 1), "b": Retries(1, 0)}
    cost, = found.costs
    assert (cost.calls, cost.unpriced_calls, cost.tokens, cost.cost) == (6, 2, 45, 0.75)


def test_hours_that_are_over_stay_as_they_were_added_up(redrive):
    add_operation(redrive.engine, "o1")
    for part, hours in (("p", 9), ("q", 5)):
        add_item(redrive.engine, part, state="succeeded", calls=1, settled_at=ago(hours=hours))
    add_up(redrive, ago(hours=4.9))
    with redrive.engine.begin() as connection:
        connection.execute(items.update().where(items.c.part == "p").values(settled_at=ago(minutes=1)))

    add_up(redrive)

    assert sum(row.calls for row in views.history(redrive).costs) == 3


def test_a_repair_is_no_retry_of_the_model(redrive):
    add_operation(redrive.engine, "o1")
    add_item(redrive.engine, "p", state="succeeded", action="repair", planned_cause_id="a", settled_at=ago(minutes=1))

    add_up(redrive)

    assert views.history(redrive).success == ()
    assert views.history(redrive).costs == ()


def test_causes_are_told_over_time_with_what_was_done_about_them(redrive, operator):
    add_broken(redrive, {"Timeout of the model": 3, "Pool exhausted": 1})
    counts_and_problems(redrive)
    with redrive.engine.begin() as connection:
        cause_records.sample(connection, ago(hours=30))
    retry.confirm(redrive, retry.plan(redrive, retry.Scope.everything(), operator), operator)
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from ops.problems where owner_id = 'r-timeout' and part > 'c000'"))
        cause_records.sample(connection, ago(hours=2))

    found = views.history(redrive)

    assert [[points[0][1], points[-1][1]] for points in (line.points for line in found.causes)] == [[3, 1], [1, 1]]
    change, = found.interventions
    assert (change.item_count, change.healthy_count) == (4, None)


def test_a_merged_cause_counts_with_what_it_was_merged_into(redrive, operator):
    add_broken(redrive, {"Timeout of the model": 1, "Pool exhausted": 1})
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        first, second = sorted(connection.scalars(select(problems.c.cause_id)))
    add_operation(redrive.engine, "o1")
    for part, cause_id in (("p", first), ("q", second)):
        add_item(redrive.engine, part, state="succeeded", planned_cause_id=cause_id, calls=1, settled_at=ago(minutes=1))
    add_up(redrive)

    triage.merge(redrive, first, second, operator)

    row, = views.history(redrive).success
    assert (row.cause_id, row.retries) == (second, Retries(2, 0))


@pytest.mark.parametrize(("counts", "half"), [({}, None), ({0: 1}, 0), ({0: 1, 3: 3}, 3), ({1: 2, 5: 2}, 1)])
def test_half_of_them_recovered_within_a_class(counts, half):
    assert class_of_half(counts) == half


def test_an_empty_platform_has_no_history(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    counts_and_problems(redrive)

    found = views.history(redrive)

    assert (found.causes, found.interventions, found.recoveries, found.success, found.costs) == ((), (), {}, (), ())
