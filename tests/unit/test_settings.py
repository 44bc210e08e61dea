"""What settings say of themselves, and which ones do not go together."""

import pytest
from pydantic import ValidationError

from backend.settings import Price, Settings


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REDRIVE_LEASE_SECONDS", "REDRIVE_HEARTBEAT_SECONDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("given", "has_model"), [
    ({}, False),
    ({"openai_api_key": "", "openai_base_url": ""}, False),
    ({"openai_api_key": "sk-something"}, True),
    ({"openai_base_url": "http://127.0.0.1:8000/v1"}, True),
])
def test_a_key_or_an_endpoint_means_that_a_model_writes(given: dict[str, str], has_model: bool) -> None:
    assert Settings(**given).has_model is has_model


@pytest.mark.parametrize("given", [{"heartbeat_seconds": 20}, {"lease_seconds": 14.9}, {"heartbeat_seconds": 2, "lease_seconds": 5}])
def test_a_lease_shorter_than_three_heartbeats_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="at least 3 heartbeats"):
        Settings(**given)


@pytest.mark.parametrize("given", [{}, {"lease_seconds": 15}, {"heartbeat_seconds": 10}, {"heartbeat_seconds": 0.1, "lease_seconds": 0.3}])
def test_a_lease_of_three_heartbeats_is_enough(given: dict[str, float]) -> None:
    settings = Settings(**given)

    assert {name: getattr(settings, name) for name in given} == given


@pytest.mark.parametrize(("concurrency", "window", "begun"), [(8, 20, 20), (4, 20, 12), (16, 64, 48), (32, 20, 32), (8, 0, 24)])
def test_no_more_is_begun_than_the_window_lets_run(concurrency: int, window: int, begun: int) -> None:
    assert Settings(concurrency=concurrency, same_cause_window=window).begun_at_once == begun


def test_prices_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRIVE_PRICES", '{"gpt-5-mini": [0.25, 2], "qwen3-max": [1.2, 6]}')

    settings = Settings()

    assert settings.prices == {"gpt-5-mini": Price(0.25, 2.0), "qwen3-max": Price(1.2, 6.0)}
    assert settings.cost("gpt-5-mini", 2_000_000, 500_000) == pytest.approx(1.5)


def test_a_model_without_a_price_has_no_cost_rather_than_none_to_pay() -> None:
    assert Settings().cost("gpt-5-mini", 1_000, 1_000) is None
    assert Settings(prices={"free": Price(0, 0)}).cost("free", 1_000, 1_000) == 0


@pytest.mark.parametrize("given", ['{"m": [1]}', '{"m": [1, -2]}', '{"m": [1, 2, 3]}', '{"m": 1}', '{"m": [1, NaN]}', "cheap"])
def test_a_price_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("REDRIVE_PRICES", given)

    with pytest.raises(ValidationError, match="prices"):
        Settings()
