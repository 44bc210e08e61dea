"""The price table: read, refused in words, and what calls cost by it."""

import pytest

from backend.content.prices import Price, cost_of, parse_prices


def test_prices_are_read_by_model():
    assert parse_prices("gpt-5-mini=0.25/2.00, vendor/model:v1=1/4") == {
        "gpt-5-mini": Price(0.25, 2.0), "vendor/model:v1": Price(1.0, 4.0)}
    assert parse_prices("") == {}


@pytest.mark.parametrize("words", ["gpt", "gpt=1", "=1/2", "gpt=a/b", "gpt=-1/2", "gpt=1/nan"])
def test_a_price_that_cannot_be_read_is_refused_by_name(words):
    with pytest.raises(ValueError, match=r"A price is written as"):
        parse_prices(words)


def test_a_call_costs_what_its_tokens_cost():
    prices = parse_prices("gpt-5-mini=0.25/2.00")

    assert cost_of(prices, "gpt-5-mini", 1_000_000, 500_000) == 1.25
    assert cost_of(prices, "gpt-5-mini", 1_000_000, None) == 0.25


def test_without_a_price_or_tokens_no_cost_is_told():
    assert cost_of({}, "gpt-5-mini", 10, 10) is None
    assert cost_of(parse_prices("*=1/1"), "any", None, None) is None
    assert cost_of(parse_prices("*=1/1"), "any", 500_000, 500_000) == 1.0
