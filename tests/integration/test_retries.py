"""Further tries of calls that fail together, against a model on loopback: what an outage costs, and what a moment of it does not."""

import asyncio
from collections.abc import Sequence
from email.utils import formatdate

import httpx2
import openai
import pytest

from backend.content.errors import ErrorKind, ItemError, NotAsked
from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.written import Spent
from tests.integration.test_model_generator import BRIEF, QUIZ, TUTORIAL, make_generator
from tests.model_server import Faults, ModelServer
from workers.generators import retries
from workers.generators.model import ModelGenerator
from workers.generators.protocol import write

OPENS_BREAKER = 5
OUT = Faults({"500": 1.0})


def together(server: ModelServer, kinds: Sequence[ContentKind], *, spent: Sequence[Spent] = (), after: Sequence[Spent] = (), **changes):
    """What became of texts that were asked for at once, and of those that came after them: None, or the error."""
    async def run():
        generator = make_generator(server, breaker_failures=OPENS_BREAKER, **{"model_retries": 2, **changes})
        try:
            accounts = spent or [Spent() for _kind in kinds]
            first = await asyncio.gather(*(outcome(generator, kind, found) for kind, found in zip(kinds, accounts, strict=True)))
            return first, [await outcome(generator, QUIZ, found) for found in after]
        finally:
            await generator.close()

    return asyncio.run(run())


async def outcome(generator: ModelGenerator, kind: ContentKind, spent: Spent) -> ItemError | None:
    try:
        await write(generator, kind, brief=BRIEF, spent=spent)
    except ItemError as error:
        return error
    return None


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retries, "_FIRST_PAUSE_SECONDS", 0.1)


@pytest.fixture
def failing_together(monkeypatch):
    """None of the eight asks again before all of them have failed."""
    take, all_failed = retries.Allowance.take, asyncio.Barrier(8)

    async def take_together(allowance: retries.Allowance, wanted_seconds: float | None = None) -> bool:
        if allowance.left and not allowance.taken:
            await all_failed.wait()
        return await take(allowance, wanted_seconds)

    monkeypatch.setattr(retries.Allowance, "take", take_together)


@pytest.mark.usefixtures("failing_together")
@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_of_a_model_that_is_out_one_text_asks_again_for_all(kind):
    spent = [Spent() for _text in range(8)]
    with ModelServer(faults=OUT) as server:
        errors, _after = together(server, [kind] * 8, spent=spent)

    assert {error.kind for error in errors} == {ErrorKind.MODEL_SERVER_ERROR}
    assert not any(isinstance(error, NotAsked) for error in errors)
    assert sorted(found.calls for found in spent) == [1] * 7 + [3]
    assert len(server.requests) == 10


@pytest.mark.usefixtures("failing_together")
def test_what_comes_after_them_is_not_asked_for_but_a_probe_is():
    after = [Spent(), Spent(is_probe=True), Spent()]
    with ModelServer(faults=OUT) as server:
        _errors, errors = together(server, [QUIZ] * 8, after=after)

    assert [isinstance(error, NotAsked) for error in errors] == [True, False, True]
    assert {(error.kind, "failed (500)" in error.message) for error in errors} == {(ErrorKind.MODEL_SERVER_ERROR, True)}
    assert [found.calls for found in after] == [0, 1, 0]


@pytest.mark.usefixtures("failing_together")
def test_an_answer_to_a_probe_ends_that():
    after = [Spent(is_probe=True), Spent()]
    with ModelServer(script=["500"] * 10) as server:
        _errors, errors = together(server, [QUIZ] * 8, after=after)

    assert errors == [None, None]


@pytest.mark.usefixtures("failing_together")
def test_any_answer_ends_that():
    after = [Spent(is_probe=True), Spent()]
    with ModelServer(script=["500"] * 10 + ["400"]) as server:
        _errors, errors = together(server, [QUIZ] * 8, after=after)

    assert errors[0].kind is ErrorKind.MODEL_REJECTED_REQUEST
    assert errors[1] is None


@pytest.mark.usefixtures("failing_together")
def test_they_are_heeded_as_long_as_a_breaker_waits_for_its_probe(monkeypatch):
    monkeypatch.setattr(retries, "_LEAST_HEEDED_SECONDS", 0)
    after = [Spent(), Spent()]
    with ModelServer(script=["500"] * 10) as server:
        _errors, errors = together(server, [QUIZ] * 8, after=after, breaker_seconds=0.000_1)

    assert errors == [None, None]


def test_texts_that_fail_one_after_the_other_have_all_their_tries():
    after = [Spent() for _text in range(4)]
    with ModelServer(script=["500"] * 9) as server:
        together(server, [], after=after)

    assert [found.calls for found in after] == [3, 3, 3, 1]


@pytest.mark.usefixtures("failing_together")
@pytest.mark.parametrize("behaviour", ["500", "503", "429", "slow"])
def test_a_moment_of_outage_fails_nothing(behaviour):
    kinds = [*CONCEPT_KINDS, *CONCEPT_KINDS, QUIZ, QUIZ]
    with ModelServer(script=[behaviour] * 9) as server:
        errors, _after = together(server, kinds, model_timeout_seconds=2.0 if behaviour == "slow" else 30.0)

    assert errors == [None] * 8
    assert len(server.requests) == 8 + 2 + 7  # all, twice the one that asks for all, the others


def test_texts_that_fail_now_and_then_have_their_own_tries():
    with ModelServer(script=["500", "ok"] * 4) as server:
        errors, _after = together(server, [QUIZ] * 8)

    assert errors == [None] * 8
    assert len(server.requests) == 12


def test_a_probe_has_no_further_try():
    spent = Spent(is_probe=True)
    with ModelServer(faults=OUT) as server:
        [error], _after = together(server, [TUTORIAL], spent=[spent])

    assert error.kind is ErrorKind.MODEL_SERVER_ERROR
    assert spent.calls == len(server.requests) == 1


def failure(status: int, **headers: str) -> openai.APIStatusError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=names, request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    return openai.APIStatusError("no", response=response, body=None)


@pytest.mark.parametrize(("found", "is_worth"), [
    (failure(408), True), (failure(409), True), (failure(429), True), (failure(500), True), (failure(400), False), (failure(401), False),
    (failure(400, x_should_retry="true"), True), (failure(500, x_should_retry="false"), False), (failure(429, retry_after="121"), False),
    (failure(429, retry_after="120"), True), (failure(429, retry_after="nonsense"), True)])
def test_what_is_worth_another_try(found, is_worth):
    assert retries._is_worth_another(found) is is_worth


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, None), ({"retry_after": "2"}, 2), ({"retry_after": "0.5"}, 0.5), ({"retry_after_ms": "250"}, 0.25),
    ({"retry_after_ms": "x", "retry_after": "3"}, 3), ({"retry_after": "-1"}, None), ({"retry_after": "nan"}, None),
    ({"retry_after": "inf"}, None), ({"retry_after": "Wed, 01 Jan 2020 00:00:00 GMT"}, None), ({"retry_after": "Wed, 99 Jan"}, None)])
def test_an_endpoint_says_how_long_to_wait(headers, seconds):
    assert retries._wanted_seconds(failure(429, **headers)) == seconds


def test_it_may_say_so_by_a_date(monkeypatch):
    monkeypatch.setattr(retries.time, "time", lambda: 1_800_000_000.0)

    assert retries._wanted_seconds(failure(503, retry_after=formatdate(1_800_000_007, usegmt=True))) == 7
