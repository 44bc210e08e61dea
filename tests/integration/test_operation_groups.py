"""The groups of an operation as its page shows them, and its scope for a new plan."""

from backend.content.plans import ExclusionRule
from backend.content.scopes import Scope
from backend.content.status import GroupState
from backend.views import operation_groups
from tests.integration.acting import NOT_WRITTEN, Stand, add_broken


def test_groups_tell_how_they_fare_and_add_up(redrive, operator):
    keys = add_broken(redrive, {"Refused by the model": 6, "Pool exhausted": 5})
    stand = Stand(redrive, operator, answer=lambda key: NOT_WRITTEN if key in keys["Refused by the model"] else None)
    operation_id = stand.confirm()
    stand.dispatch()

    before = operation_groups.groups_of(redrive, operation_id)
    stand.run()
    stopped, finished = operation_groups.groups_of(redrive, operation_id)

    assert {(group.state, group.canary_count, group.canary_settled) for group in before} == {(GroupState.CANARY, 3, 0)}
    assert [group.total for group in before] == [6, 5]
    assert (stopped.state, stopped.stop_rule, stopped.failed, stopped.not_started) == (
        GroupState.STOPPED, ExclusionRule.CANARY_FAILED, 3, 3)
    assert "Model refused" in stopped.stop_words
    assert (finished.state, finished.succeeded, finished.is_settled) == (GroupState.OPEN, 5, True)


def test_repairs_belong_to_no_group(redrive, operator):
    from tests.factories import add_roadmap, concept

    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed")])
    stand = Stand(redrive, operator)

    operation_id = stand.confirm()

    assert operation_groups.groups_of(redrive, operation_id) == ()
    assert stand.run().states() == {"succeeded": 1}


def test_very_many_causes_share_the_last_group(redrive, operator, monkeypatch):
    monkeypatch.setattr("backend.storage.groups.MOST_GROUPS", 2)
    add_broken(redrive, {"Refused by the model": 5, "Pool exhausted": 3, "Value too long": 2})
    stand = Stand(redrive, operator)

    operation_id = stand.confirm()

    found = operation_groups.groups_of(redrive, operation_id)
    assert [(bool(group.title), group.total) for group in found] == [(True, 5), (False, 5)]
    assert stand.run().states() == {"succeeded": 10}


def test_a_new_plan_is_made_of_the_scope_not_of_the_items(redrive, operator):
    done = add_broken(redrive, {"Refused by the model": 3})["Refused by the model"]
    stand = Stand(redrive, operator)
    everything = stand.confirm(Scope.everything())
    stand.run()
    broken = add_broken(redrive, {"Pool exhausted": 2})["Pool exhausted"]
    chosen = stand.confirm(Scope.of(*done[:2], *broken))

    assert operation_groups.scope_again(redrive, everything) == Scope.everything()
    assert set(operation_groups.scope_again(redrive, chosen).keys) == {*done[:2], *broken}
    assert operation_groups.scope_again(redrive, "nowhere") is None
