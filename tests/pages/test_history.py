"""The plots of the overview over days and hours: each tells its numbers in words too, and says so when there is nothing to plot."""

import pytest
from sqlalchemy import insert

from backend.storage.history_tables import recovery_hours, retry_hours
from backend.storage.ops_tables import cause_samples, causes
from tests.factories import add_operation, ago
from tests.pages.conftest import OpenPage, words_of


def charts_of(page) -> int:
    return len(page.get("vega_lite_chart"))


def add_hours(redrive, *, cost: float, unpriced_calls: int = 0) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(insert(causes), [
            {"cause_id": "c1", "error_kind": "model_timeout", "origin": "model", "title": "it took <duration>", "sample": "x"}])
        connection.execute(insert(cause_samples), [
            {"cause_id": "c1", "sampled_at": ago(hours=hours), "problem_count": count} for hours, count in ((30, 7), (2, 3))])
        connection.execute(insert(recovery_hours), [
            {"hour": ago(hours=3), "class_place": place, "key_count": count} for place, count in ((0, 4), (3, 5))])
        connection.execute(insert(retry_hours), [
            {"hour": ago(hours=3), "cause_id": "c1", "succeeded": 3, "failed": 1, "calls": 5, "unpriced_calls": unpriced_calls,
             "tokens": 1200, "cost": cost}])
    add_operation(redrive.engine, "o1", state="completed", outcome={"healthy": 3}, planned_count=4)


def test_an_empty_history_is_told_in_words(open_page: OpenPage):
    page = open_page("overview")

    words = words_of(page)
    for told in ("No cause has been counted for long enough", "Nothing has recovered yet", "Nothing was retried in this time.",
                 "The model was not asked in this time, so nothing was spent."):
        assert told in words
    assert not page.exception
    assert charts_of(page) == 0


def test_a_history_is_plotted_and_told(open_page: OpenPage, redrive):
    add_hours(redrive, cost=1.25)

    page = open_page("overview")

    words = words_of(page)
    assert not page.exception
    assert charts_of(page) == 4
    assert "9 items good again, half of them within a day." in words
    assert "Dotted: 1 retry began; of 4 items in what has ended 3 are healthy." in words
    assert "Cost per day, last 14 days" in words
    assert "1.25 USD for 5 calls." in words.replace("\\", "")


@pytest.mark.parametrize(("cost", "unpriced_calls", "told"), [
    (0.0, 5, "1,200 tokens for 5 calls; no price is known, so no cost is told."),
    (0.5, 2, "0.5 USD for 5 calls. The cost of 2 of them is not known, and not in it.")])
def test_a_cost_that_nobody_knows_is_not_told_as_nothing(open_page: OpenPage, redrive, cost, unpriced_calls, told):
    add_hours(redrive, cost=cost, unpriced_calls=unpriced_calls)

    page = open_page("overview")

    assert told in words_of(page).replace("\\", "")
