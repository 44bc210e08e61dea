"""What settings say of themselves, and which ones do not go together."""

import pytest
from pydantic import ValidationError

from backend.settings import Settings


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
