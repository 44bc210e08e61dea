"""An operation stops by causes as people have merged them: what fails by one or the other fails by one cause."""

import pytest
from sqlalchemy import text

from backend.actions import triage
from backend.actions.actors import Actor
from backend.content import wording
from backend.content.causes import classify
from backend.content.errors import ErrorKind, ItemError
from backend.redrive import Redrive
from backend.views import ledger
from backend.views.detection import counts_and_problems
from tests.integration.acting import Stand, add_broken

REFUSED, LONG = "Refused by the model", "Value too long for the column"
ERRORS = [ItemError(classify(message), message) for message in (REFUSED, LONG)]


@pytest.fixture
def stand(redrive: Redrive, operator: Actor) -> Stand:
    return Stand(redrive, operator)


def merged_words(redrive: Redrive, actor: Actor) -> str:
    """Sixty broken quizzes of each cause, and the second merged into the first, which is told in words."""
    add_broken(redrive, {REFUSED: 60, LONG: 60})
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        causes = {row.title: row for row in connection.execute(text("select cause_id, error_kind, title from ops.causes"))}
    triage.merge(redrive, causes[LONG].cause_id, causes[REFUSED].cause_id, actor)
    return wording.cause_title(ErrorKind(causes[REFUSED].error_kind), REFUSED)


@pytest.mark.parametrize("concurrency", [1, 20])
def test_causes_that_were_merged_are_one_when_they_return(redrive, stand, operator, concurrency):
    words = merged_words(redrive, operator)
    stand.concurrency = concurrency
    stand.answer = lambda _key: ERRORS[len(stand.wasted) % 2] if len(stand.calls) > 3 else None
    stand.confirm()

    stand.run()

    assert 17 <= len(stand.wasted) <= 20
    assert stand.rules() == {"same_cause"}
    assert stand.operation().state == "stopped"
    assert f"of the last 20 items failed by one cause: {words}" in stand.operation().state_reason
    assert [(group.cause, group.count) for group in ledger.groups(redrive, stand.operation_id)] == [(words, len(stand.wasted))]


def test_a_canary_that_fails_is_told_by_the_cause_that_its_failures_were_merged_into(redrive, stand, operator):
    words = merged_words(redrive, operator)
    stand.answer = lambda _key: ERRORS[1]
    stand.confirm()

    stand.run()

    assert [found[2] for found in stand.groups().values()] == [f"The first 3 items failed: {words}"]
