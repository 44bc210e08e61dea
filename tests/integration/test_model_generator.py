"""The model generator against a model on loopback: real sockets, every way in which a model fails."""

import asyncio
import socket
import time
import traceback
from dataclasses import replace

import pytest

from backend.content.checks import check
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import CONCEPT_KINDS
from backend.content.written import ConceptBrief, Spent
from backend.settings import Settings
from tests.model_answers import Behaviour
from tests.model_server import HELD, ModelServer
from workers.generators.model import ModelGenerator
from workers.generators.protocol import write

KEY = "sk-loopback-0123456789abcdef"
BRIEF = ConceptBrief(
    roadmap_id="r1", roadmap_title="Computer science", language="en", stage_name="Core", module_name="Data structures",
    concept_id="c1", concept_name="Hash tables")
TUTORIAL, RESOURCES, QUIZ = CONCEPT_KINDS


def make_generator(server, **changes):
    values = {"openai_base_url": server.base_url, "openai_api_key": KEY, "model": "loopback-model",
              "model_timeout_seconds": 30.0, "model_retries": 0}
    return ModelGenerator(Settings(**(values | changes)))


def write_once(server, kind, *, brief=BRIEF, spent=None, **changes):
    async def run():
        generator = make_generator(server, **changes)
        try:
            return await write(generator, kind, brief=brief, spent=spent)
        finally:
            await generator.close()

    return asyncio.run(run())


def silence_seconds(behaviour):
    """How long a model may be silent: short only for one that is."""
    return 0.3 if behaviour in ("slow", "stalled") else 30.0


def error_of(server, kind, **changes):
    with pytest.raises(ItemError) as caught:
        write_once(server, kind, **changes)
    return caught.value


@pytest.mark.parametrize("brief", [BRIEF, replace(BRIEF, language="zh", concept_name="哈希表")])
@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_each_kind_is_written_with_what_it_cost(kind, brief):
    with ModelServer() as server:
        written = write_once(server, kind, brief=brief)

    check(written.content)
    assert brief.concept_name in written.content.model_dump_json()
    assert (written.generator, written.is_sample, written.calls) == ("loopback-model", False, 1)
    assert written.prompt_tokens > 100
    assert written.completion_tokens > 100
    [request] = server.requests
    assert (request.path, request.model) == ("/v1/chat/completions", "loopback-model")
    assert (request.schema_name, request.subject) == (kind, brief.concept_name)


@pytest.mark.parametrize(("kind", "is_stream"), [(TUTORIAL, True), (RESOURCES, False), (QUIZ, False)])
def test_only_the_tutorial_is_streamed(kind, is_stream):
    with ModelServer() as server:
        write_once(server, kind)

    assert [request.is_stream for request in server.requests] == [is_stream]


FAILURES = [
    ("429", ErrorKind.MODEL_RATE_LIMITED, "Rate limit reached"),
    ("500", ErrorKind.MODEL_SERVER_ERROR, "had an error while processing"),
    ("503", ErrorKind.MODEL_SERVER_ERROR, "overloaded"),
    ("401", ErrorKind.MODEL_REJECTED_KEY, "Check OPENAI_API_KEY"),
    ("403", ErrorKind.MODEL_REJECTED_KEY, "may not use this model"),
    ("400", ErrorKind.MODEL_REJECTED_REQUEST, "Unsupported value in response_format"),
    ("404", ErrorKind.MODEL_REJECTED_REQUEST, "REDRIVE_MODEL"),
    ("slow", ErrorKind.MODEL_TIMEOUT, "sent nothing for 0.3 seconds"),
    ("stalled", ErrorKind.MODEL_TIMEOUT, "sent nothing for 0.3 seconds"),
    ("cut", ErrorKind.MODEL_CUT_STREAM, "broke before the answer was complete"),
    ("refusal", ErrorKind.MODEL_REFUSED, "I cannot help with that topic"),
    ("content-filter", ErrorKind.MODEL_REFUSED, "content filter"),
    ("length", ErrorKind.MODEL_TRUNCATED, "longest length"),
    ("no-text", ErrorKind.CONTENT_EMPTY, "without any text"),
    ("empty", ErrorKind.CONTENT_EMPTY, "no text|is empty|no questions"),
    ("nul", ErrorKind.CONTENT_UNSTORABLE, "U[+]0000"),
    ("lone-surrogate", ErrorKind.CONTENT_UNSTORABLE, "U[+]D800"),
]


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
@pytest.mark.parametrize(("behaviour", "error_kind", "words"), FAILURES)
def test_a_failure_has_its_kind_and_says_what_happened(behaviour, error_kind, words, kind):
    with ModelServer(script=[behaviour]) as server:
        error = error_of(server, kind, model_timeout_seconds=silence_seconds(behaviour))

    assert error.kind is error_kind
    with pytest.raises(ItemError, match=words):
        raise error
    assert len(error.message) <= 500
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
@pytest.mark.parametrize(("behaviour", "words"), [
    ("bad-json", "no valid JSON"), ("schema-mismatch", "does not follow the schema"),
    ("web-page", "OPENAI_BASE_URL"), ("garbage", "OPENAI_BASE_URL")])
def test_an_unusable_answer_twice_in_a_row_is_an_error(behaviour, words, kind):
    with ModelServer(script=[behaviour] * 3) as server:
        error = error_of(server, kind, model_retries=5)

    assert error.kind is ErrorKind.MODEL_INVALID_JSON
    assert words in error.message
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
@pytest.mark.parametrize("behaviour", ["bad-json", "schema-mismatch"])
def test_an_unusable_answer_is_asked_again_once_and_both_are_paid_for(behaviour, kind):
    with ModelServer(script=[behaviour]) as server:
        twice = write_once(server, kind)
        once = write_once(server, kind)

    assert (twice.calls, once.calls) == (2, 1)
    assert twice.prompt_tokens > 2 * once.prompt_tokens  # the second request says what was wrong
    assert twice.completion_tokens > once.completion_tokens


def test_a_quiz_whose_answer_points_outside_its_options_is_asked_again():
    with ModelServer(script=["wrong-position"]) as server:
        written = write_once(server, QUIZ)

    check(written.content)
    assert written.calls == 2


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_json_inside_a_markdown_fence_is_understood(kind):
    with ModelServer(script=["fenced"]) as server:
        assert write_once(server, kind).calls == 1


def test_an_endpoint_where_nothing_listens_is_unreachable():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = reserved.getsockname()[1]
        with ModelServer() as server:
            error = error_of(server, QUIZ, openai_base_url=f"http://ops:hunter2@127.0.0.1:{port}/v1")

    assert error.kind is ErrorKind.MODEL_UNREACHABLE
    assert f"http://127.0.0.1:{port} cannot be reached" in error.message
    assert "hunter2" not in error.message


@pytest.mark.parametrize("behaviour", ["401", "403", "400", "404"])
@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_what_cannot_get_better_is_not_tried_again(kind, behaviour):
    with ModelServer(script=[behaviour]) as server:
        error_of(server, kind, model_retries=3)

    assert [request.status for request in server.requests] == [int(behaviour)]


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_after_429_the_next_try_waits_as_long_as_the_endpoint_asked(kind):
    with ModelServer(script=["429-retry-after", "429-retry-after"], retry_after_seconds=0.4) as server:
        written = write_once(server, kind, model_retries=2)

    first, second, third = server.requests
    assert (first.status, second.status, third.status) == (429, 429, 200)
    assert second.started_at - first.started_at >= 0.4
    assert third.started_at - second.started_at >= 0.4
    assert third.started_at - first.started_at < 30.0
    assert written.calls == 3


@pytest.mark.parametrize("behaviour", ["429", "500", "503", "slow", "stalled", "cut"])
@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_what_may_get_better_is_tried_again(kind, behaviour):
    with ModelServer(script=[behaviour]) as server:
        written = write_once(server, kind, model_retries=1, model_timeout_seconds=2.0 if behaviour in ("slow", "stalled") else 30.0)

    assert [request.behaviour for request in server.requests] == [behaviour, Behaviour.OK]
    assert written.calls == 2


@pytest.mark.parametrize("behaviour", ["ended-early", "error-event"])
def test_a_stream_that_ends_too_early_is_tried_again(behaviour):
    with ModelServer(script=[behaviour]) as server:
        assert write_once(server, TUTORIAL, model_retries=1).calls == 2


def test_an_error_inside_a_stream_says_what_the_endpoint_said():
    with ModelServer(script=["error-event"]) as server:
        error = error_of(server, TUTORIAL)

    assert error.kind is ErrorKind.MODEL_SERVER_ERROR
    assert "The model crashed while it was writing" in error.message


@pytest.mark.parametrize("script", [
    ["cut"] * 9, ["429-retry-after"] * 9, ["429-retry-after", "cut", "500", "cut"], ["cut", "429-retry-after", "500"]])
def test_all_tries_of_a_text_share_one_budget(script):
    with ModelServer(script=script) as server:
        error_of(server, TUTORIAL, model_retries=2)

    assert len(server.requests) == 3


def test_a_stream_that_breaks_after_its_last_word_is_not_paid_for_twice():
    with ModelServer(script=["cut-at-the-end"]) as server:
        written = write_once(server, TUTORIAL, model_retries=2)

    check(written.content)
    assert len(server.requests) == 1
    assert written.prompt_tokens is None  # the endpoint never told


def test_a_long_stream_may_take_longer_than_the_timeout():
    with ModelServer(piece_seconds=0.1) as server:
        written = write_once(server, TUTORIAL, model_timeout_seconds=2.0)

    [request] = server.requests
    assert request.finished_at - request.started_at > 2.0
    assert written.calls == 1


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_two_megabytes_arrive_whole(kind):
    with ModelServer(script=["huge"]) as server:
        written = write_once(server, kind)

    assert len(written.content.model_dump_json()) > 2_000_000


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
@pytest.mark.parametrize("behaviour", ["slow", "stalled"])
def test_cancelling_hangs_up_on_the_endpoint_at_once(behaviour, kind):
    async def cancelled_seconds(server):
        generator = make_generator(server, model_timeout_seconds=60.0, model_retries=5)
        task = asyncio.create_task(write(generator, kind, brief=BRIEF))
        await asyncio.to_thread(server.wait_for, lambda requests: requests)
        cancelled_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        requests = await asyncio.to_thread(server.wait_for, lambda requests: requests[0].status)
        await generator.close()
        return requests[0].finished_at - cancelled_at

    with ModelServer(script=[behaviour], slow_seconds=60.0) as server:
        assert asyncio.run(cancelled_seconds(server)) < 30.0

    assert [request.status for request in server.requests] == [499]


def test_cancelling_during_a_pause_between_tries_sends_nothing_more():
    async def cancel(server):
        generator = make_generator(server, model_retries=5)
        task = asyncio.create_task(write(generator, QUIZ, brief=BRIEF))
        await asyncio.to_thread(server.wait_for, lambda requests: requests and requests[0].status)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await generator.close()

    with ModelServer(script=["429-retry-after"] * 5, retry_after_seconds=30.0) as server:
        asyncio.run(cancel(server))

    assert [request.status for request in server.requests] == [429]


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
@pytest.mark.parametrize("behaviour", ["401", "403"])
def test_a_key_that_the_endpoint_repeats_is_not_in_the_message(behaviour, kind):
    with ModelServer(script=[behaviour]) as server:
        error = error_of(server, kind)

    assert KEY not in error.message
    assert "hunter2" not in error.message
    assert "***" in error.message
    assert error.__cause__ is not None


@pytest.mark.parametrize("behaviour", [behaviour for behaviour, _kind, _words in FAILURES])
def test_an_error_keeps_what_it_came_from_and_shows_no_defect_of_ours(behaviour):
    with ModelServer(script=[behaviour]) as server:
        error = error_of(server, TUTORIAL, model_timeout_seconds=silence_seconds(behaviour))

    story = "".join(traceback.format_exception(error))
    assert "AttributeError" not in story
    assert "TypeError" not in story


# What a failure costs: (behaviours, further tries, calls, are tokens told)
COSTS = [(["429", "429", "429"], 2, 3, False), (["500", "500"], 1, 2, False), (["slow", "slow"], 1, 2, False), (["401"], 2, 1, False),
         (["refusal"], 0, 1, True), (["empty"], 0, 1, True), (["bad-json", "bad-json"], 0, 2, True), (["429", "nul"], 1, 2, True)]


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
@pytest.mark.parametrize(("script", "retries", "calls", "are_tokens_told"), COSTS, ids=lambda value: str(value))
def test_what_a_failure_has_cost_is_counted(kind, script, retries, calls, are_tokens_told):
    spent = Spent()
    with ModelServer(script=script) as server:
        error_of(server, kind, spent=spent, model_retries=retries, model_timeout_seconds=silence_seconds(script[0]))

    assert spent.calls == len(server.requests) == calls
    assert bool(spent.prompt_tokens) == are_tokens_told


@pytest.mark.parametrize("kind", [TUTORIAL, QUIZ])
def test_a_request_that_is_broken_off_is_counted(kind):
    spent = Spent()

    async def break_off(server):
        generator = make_generator(server)
        task = asyncio.create_task(write(generator, kind, brief=BRIEF, spent=spent))
        await asyncio.to_thread(server.wait_for, lambda requests: requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await generator.close()

    with ModelServer(latency_seconds=HELD) as server:
        asyncio.run(break_off(server))

    assert spent == Spent(calls=1)


def test_a_request_that_reached_nobody_costs_nothing():
    spent = Spent()
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with ModelServer() as server:
            error_of(server, QUIZ, spent=spent, model_retries=1, openai_base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}/v1")

    assert spent == Spent()


def test_a_generator_that_nobody_asks_builds_no_client(monkeypatch):
    with ModelServer() as server:
        generator = make_generator(server)
        monkeypatch.setattr("openai.AsyncOpenAI", None)  # certificates are read for 40 ms

        asyncio.run(generator.close())
