"""Who is paid for content, and which budgets of money can be kept."""

import pytest

from backend.content.keys import ContentKind
from backend.content.prices import NoPrice, check_money, paid_model, unpriced_models
from backend.host import checkup
from backend.host.errors import HostError
from backend.settings import Price, Settings

PAID = {"openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1"}
PAINTED = {**PAID, "image_model": "painter-1"}
WRITER_PRICE = {"writer-1": Price(1, 2)}


def given(**values: object) -> Settings:
    return Settings().model_copy(update=values)


def test_what_is_made_offline_and_photos_that_are_searched_for_are_free():
    assert paid_model(given(), ContentKind.QUIZ) is None
    assert paid_model(given(**PAID), ContentKind.COVER) is None
    assert paid_model(given(**PAINTED, painters="unsplash,offline"), ContentKind.COVER) is None
    assert unpriced_models(given()) == ()


def test_texts_are_paid_to_the_writer_and_covers_to_the_image_model_wherever_it_stands():
    assert paid_model(given(**PAINTED), ContentKind.CHAPTER) == "writer-1"
    assert paid_model(given(**PAINTED), ContentKind.COVER) == "painter-1"
    assert paid_model(given(**PAINTED, painters="unsplash,model"), ContentKind.COVER) == "painter-1"


def test_models_without_a_price_are_named_for_the_kinds_that_they_make():
    settings = given(**PAINTED, prices=WRITER_PRICE)

    assert unpriced_models(given(**PAINTED)) == ("painter-1", "writer-1")
    assert unpriced_models(settings, (ContentKind.QUIZ,)) == ()
    assert unpriced_models(settings, (ContentKind.QUIZ, ContentKind.COVER)) == ("painter-1",)
    check_money(settings, (ContentKind.QUIZ,))
    with pytest.raises(NoPrice, match=r"the price of painter-1 in REDRIVE_PRICES"):
        check_money(settings)


def test_check_says_that_a_budget_of_money_cannot_be_kept():
    with pytest.raises(HostError, match=r"REDRIVE_OPERATION_BUDGET_COST cannot be kept: REDRIVE_PRICES has no price of painter-1\."):
        checkup._ask_prices(given(**PAINTED, prices=WRITER_PRICE, operation_budget_cost=5))

    assert "no price of painter-1" in checkup._ask_prices(given(**PAINTED, prices=WRITER_PRICE))
    assert "is known" in checkup._ask_prices(given(**PAID, prices=WRITER_PRICE, operation_budget_cost=5))
    assert "is known" in checkup._ask_prices(given(operation_budget_cost=5))
