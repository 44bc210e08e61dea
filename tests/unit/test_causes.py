"""Messages as psycopg, SQLAlchemy, openai, httpx, pydantic and RQ really write them: one outage is one cause."""

from itertools import combinations
from time import monotonic

# ruff: noqa: E501  (messages stand as they came, in one piece)
import httpx2
import openai
import pytest

from backend.content.causes import cause_id_of, cause_of, classify, normalise
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import Problem, ProblemKind
from workers.generators.endpoint import Endpoint

# what a person would call it -> (its kind, the message as it comes again and again)
CAUSES: dict[str, tuple[ErrorKind, list[str]]] = {
    "pool dry": (ErrorKind.SAVE_POOL_EXHAUSTED, [
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)",
        "QueuePool limit of size 20 overflow 0 reached, connection timed out, timeout 10.00 (Background on this error at: https://sqlalche.me/e/21/3o7r)"]),
    "pool of psycopg dry": (ErrorKind.SAVE_POOL_EXHAUSTED, [
        "couldn't get a connection after 30.00 sec", "couldn't get a connection after 5.00 sec"]),
    "server full": (ErrorKind.SAVE_POOL_EXHAUSTED, [
        'connection failed: connection to server at "10.0.3.7", port 5432 failed: FATAL:  sorry, too many clients already',
        'connection failed: connection to server at "10.0.3.8", port 6432 failed: FATAL:  sorry, too many clients already']),
    "duplicate tutorial": (ErrorKind.SAVE_DUPLICATE_KEY, [
        'duplicate key value violates unique constraint "tutorial_metadata_pkey"\nDETAIL:  Key (tutorial_id)=(0b6fd8b4-52a5-4f0c-9d61-3c42d1f0a111) already exists.',
        'duplicate key value violates unique constraint "tutorial_metadata_pkey"\nDETAIL:  Key (tutorial_id)=(intro to agents) already exists.']),
    "duplicate chapter": (ErrorKind.SAVE_DUPLICATE_KEY, [
        '(psycopg.errors.UniqueViolation) duplicate key value violates unique constraint "uq_chapters_novel_number"\nDETAIL:  Key (novel_id, chapter_number)=(n1, 12) already exists.',
        '(psycopg.errors.UniqueViolation) duplicate key value violates unique constraint "uq_chapters_novel_number"\nDETAIL:  Key (novel_id, chapter_number)=(glass-orchard, 3) already exists.']),
    "too long": (ErrorKind.SAVE_TOO_LONG, [
        "value too long for type character varying(255)", "value too long for type character varying(500)"]),
    "title is null": (ErrorKind.SAVE_REJECTED, [
        'null value in column "title" of relation "tutorial_metadata" violates not-null constraint\nDETAIL:  Failing row contains (7c1e, c-1, r-1, null, Short, 2026-11-20 10:11:12+00).',
        'null value in column "title" of relation "tutorial_metadata" violates not-null constraint\nDETAIL:  Failing row contains (x9, intro, road, null, A (much) longer one, null).']),
    "user is null": (ErrorKind.SAVE_REJECTED, [
        'null value in column "user_id" of relation "tasks" violates not-null constraint\nDETAIL:  Failing row contains (1, null, pending).']),
    "novel is gone": (ErrorKind.SAVE_REJECTED, [
        'insert or update on table "chapters" violates foreign key constraint "chapters_novel_id_fkey"\nDETAIL:  Key (novel_id)=(n77) is not present in table "novels".',
        'insert or update on table "chapters" violates foreign key constraint "chapters_novel_id_fkey"\nDETAIL:  Key (novel_id)=(tides) is not present in table "novels".']),
    "deadlock": (ErrorKind.SAVE_CONTENTION, [
        "deadlock detected\nDETAIL:  Process 1201 waits for ShareLock on transaction 99812; blocked by process 1199.",
        "deadlock detected\nDETAIL:  Process 88 waits for ShareLock on transaction 7; blocked by process 4."]),
    "database refuses": (ErrorKind.SAVE_DATABASE_GONE, [
        'connection failed: connection to server at "10.0.3.7", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?',
        'connection failed: connection to server at "192.168.1.20", port 5433 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?']),
    "database closed": (ErrorKind.SAVE_DATABASE_GONE, [
        "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request."]),
    "database shut down": (ErrorKind.SAVE_DATABASE_GONE, ["terminating connection due to administrator command"]),
    "NUL": (ErrorKind.CONTENT_UNSTORABLE, ["PostgreSQL text fields cannot contain NUL (0x00) bytes"]),
    "surrogate": (ErrorKind.CONTENT_UNSTORABLE, [
        "'utf-8' codec can't encode character '\\ud83d' in position 1208: surrogates not allowed",
        "'utf-8' codec can't encode character '\\udc4d' in position 429: surrogates not allowed"]),
    "tokens per minute": (ErrorKind.MODEL_RATE_LIMITED, [
        "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-5-mini in organization org-IY4qyC0dXsPK1Q7m on tokens per min (TPM): Limit 200000, Used 199801, Requested 1450. Please try again in 375ms. Visit https://platform.openai.com/account/rate-limits to learn more.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}",
        "Error code: 429 - {'error': {'message': 'Rate limit reached for o4-mini in organization org-9tLxVwzBmm3kQ2aa on tokens per min (TPM): Limit 30000, Used 29950, Requested 500. Please try again in 1.2s. Visit https://platform.openai.com/account/rate-limits to learn more.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}",
        "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o in organization org-u7Pq0Rr2TtLkMnBv on tokens per min (TPM): Limit 30000, Used 30000, Requested 900. Please try again in 6m0s. Visit https://platform.openai.com/account/rate-limits to learn more.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}"]),
    "requests per minute": (ErrorKind.MODEL_RATE_LIMITED, [
        "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-5-mini in organization org-IY4qyC0dXsPK1Q7m on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in 120ms.', 'type': 'requests', 'param': None, 'code': 'rate_limit_exceeded'}}"]),
    "quota": (ErrorKind.MODEL_RATE_LIMITED, [
        "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'type': 'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}"]),
    "429 of a proxy": (ErrorKind.MODEL_RATE_LIMITED, [
        "Client error '429 Too Many Requests' for url 'https://llm-1.example.org/v1/chat/completions'",
        "Client error '429 Too Many Requests' for url 'http://10.1.1.4:8000/v1/chat/completions'"]),
    "server had an error": (ErrorKind.MODEL_SERVER_ERROR, [
        "Error code: 500 - {'error': {'message': 'The server had an error while processing your request. Sorry about that! (request ID req_8f2c1aa07b)', 'type': 'server_error', 'param': None, 'code': None}}",
        "Error code: 500 - {'error': {'message': 'The server had an error while processing your request. Sorry about that! (request ID req_00aa11bb22)', 'type': 'server_error', 'param': None, 'code': None}}"]),
    "overloaded": (ErrorKind.MODEL_SERVER_ERROR, [
        "Error code: 503 - {'error': {'message': 'The engine is currently overloaded, please try again later', 'type': 'server_error'}}"]),
    "bad gateway": (ErrorKind.MODEL_SERVER_ERROR, [
        "Server error '502 Bad Gateway' for url 'https://llm-1.example.org/v1/chat/completions'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/502",
        "Server error '502 Bad Gateway' for url 'https://llm-2.example.org/v1/chat/completions'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/502"]),
    "key rejected": (ErrorKind.MODEL_REJECTED_KEY, [
        "Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-proj-********abcd. You can find your API key at https://platform.openai.com/account/api-keys.', 'type': 'invalid_request_error', 'code': 'invalid_api_key'}}",
        "Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-live-**********Wx9z. You can find your API key at https://platform.openai.com/account/api-keys.', 'type': 'invalid_request_error', 'code': 'invalid_api_key'}}"]),
    "no such model": (ErrorKind.MODEL_REJECTED_REQUEST, [
        "Error code: 404 - {'error': {'message': 'The model `gpt-5-nano` does not exist or you do not have access to it.', 'type': 'invalid_request_error'}}",
        "Error code: 404 - {'error': {'message': 'The model `qwen3-max` does not exist or you do not have access to it.', 'type': 'invalid_request_error'}}"]),
    "refusal": (ErrorKind.MODEL_REFUSED, ["I'm sorry, but I can't assist with that request."]),
    "refusal in typographer's quotes": (ErrorKind.MODEL_REFUSED, ["I’m sorry, but I can’t help with that."]),
    "refusal by rule": (ErrorKind.MODEL_REFUSED, [
        "Error code: 400 - {'error': {'message': 'Your request was rejected as a result of our safety system.', 'type': 'invalid_request_error', 'code': 'content_policy_violation'}}"]),
    "length": (ErrorKind.MODEL_TRUNCATED, [
        "Could not parse response content as the length limit was reached - CompletionUsage(completion_tokens=4096, prompt_tokens=812, total_tokens=4908)",
        "Could not parse response content as the length limit was reached - CompletionUsage(completion_tokens=16384, prompt_tokens=401, total_tokens=16785)"]),
    "context": (ErrorKind.MODEL_TRUNCATED, [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130211 tokens.",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8500 tokens."]),
    "no JSON at all": (ErrorKind.MODEL_INVALID_JSON, ["Expecting value: line 1 column 1 (char 0)", "Expecting value: line 3 column 429 (char 500)"]),
    "JSON without comma": (ErrorKind.MODEL_INVALID_JSON, [
        "Expecting ',' delimiter: line 41 column 6 (char 1922)", "Expecting ',' delimiter: line 2 column 401 (char 502)"]),
    "JSON without name": (ErrorKind.MODEL_INVALID_JSON, [
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "Expecting property name enclosed in double quotes: line 9 column 3 (char 403)"]),
    "JSON cut": (ErrorKind.MODEL_INVALID_JSON, [
        "Unterminated string starting at: line 1 column 15 (char 14)", "Unterminated string starting at: line 7 column 429 (char 9001)"]),
    "quiz without options": (ErrorKind.MODEL_INVALID_JSON, [
        "1 validation error for Quiz\nquestions.3.options\n  Field required [type=missing, input_value={'question': 'What is a tide?'}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.11/v/missing",
        "1 validation error for Quiz\nquestions.11.options\n  Field required [type=missing, input_value={'question': 'Why', 'note': [1, 2], 'x': {}}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.12/v/missing"]),
    "resource without url": (ErrorKind.MODEL_INVALID_JSON, [
        "1 validation error for Resources\nresources.0.url\n  Field required [type=missing, input_value={'title': 'T'}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.11/v/missing"]),
    "stream cut": (ErrorKind.MODEL_CUT_STREAM, ["peer closed connection without sending complete message body (incomplete chunked read)"]),
    "request timed out": (ErrorKind.MODEL_TIMEOUT, ["Request timed out."]),
    "timed out after": (ErrorKind.MODEL_TIMEOUT, ["The model timed out after 120.0 s.", "The model timed out after 500 s.", "The model timed out after 45s."]),
    "connection error": (ErrorKind.MODEL_UNREACHABLE, ["Connection error."]),
    "all attempts": (ErrorKind.MODEL_UNREACHABLE, ["All connection attempts failed"]),
    "refused": (ErrorKind.MODEL_UNREACHABLE, ["[Errno 111] Connection refused"]),
    "no name": (ErrorKind.MODEL_UNREACHABLE, ["[Errno -2] Name or service not known"]),
    "no name for now": (ErrorKind.MODEL_UNREACHABLE, ["[Errno -3] Temporary failure in name resolution"]),
    "work-horse": (ErrorKind.WORKER_LOST, [
        "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "Work-horse terminated unexpectedly; waitpid returned 139 (signal 11); "]),
    "abandoned": (ErrorKind.WORKER_LOST, [
        "Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-20 12:34:56.123456+00:00",
        "Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-21T01:02:03Z"]),
    "key error": (ErrorKind.PLATFORM_ERROR, ["KeyError: 'stages'", "KeyError: 'modules'"]),
    "Chinese": (ErrorKind.PLATFORM_ERROR, ["生成失败:第 3 个概念的内容未通过审核", "生成失败:第 12 个概念的内容未通过审核"]),
}
VARIANTS = [(name, kind, message) for name, (kind, messages) in CAUSES.items() for message in messages]


def make_problem(kind: ProblemKind = ProblemKind.FAILED, message: str = "", detail: str = "") -> Problem:
    return Problem(ContentKey(ContentKind.QUIZ, "r1", "a"), kind, None, None, detail, classify(message), message)


def cause_id(message: str) -> str:
    return cause_of(make_problem(message=message)).cause_id


@pytest.mark.parametrize(("name", "kind", "message"), VARIANTS, ids=[name for name, _kind, _message in VARIANTS])
def test_a_message_tells_its_kind_of_error_whatever_numbers_occur_in_it(name, kind, message):
    assert classify(message) is kind


@pytest.mark.parametrize("name", [name for name, (_kind, messages) in CAUSES.items() if len(messages) > 1])
def test_what_differs_only_in_ids_numbers_times_values_and_models_is_one_cause(name):
    _kind, messages = CAUSES[name]

    assert len({cause_id(message) for message in messages}) == 1, {normalise(message) for message in messages}


def test_distinct_errors_are_not_merged():
    ids = {name: cause_id(messages[0]) for name, (_kind, messages) in CAUSES.items()}

    merged = [(one, other) for one, other in combinations(ids, 2) if ids[one] == ids[other]]

    assert merged == []


@pytest.mark.parametrize(("one", "other"), [
    ("Connect to gpt-5-mini failed", "Connect to claude-opus-4 failed"),
    ("job 7f3e9a10b2c4d6e8 failed", "job 00aa11bb22cc33dd failed"),
    ("task_8841x of item-ab12 failed", "task_1139y of item-zz98 failed"),
    ("at 2026-11-20 12:34:56,789 it failed", "at 2026-01-02 00:00:00,001 it failed"),
    ("cannot read `intro.md`", "cannot read `outro.md`"),
    ("cannot reach 10.0.0.1:5432", "cannot reach 192.168.7.9:6432"),
    ("object at 0x7f8c0351f6d0 is odd", "object at 0x7fab6e31d890 is odd"),
    ("took 3.5 s", "took 12 s"), ("wrote   3\nlines", "wrote 4 lines"),
])
def test_what_varies_from_one_occurrence_to_the_next_is_taken_out(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(("one", "other"), [
    ('violates unique constraint "quiz_pkey"', 'violates unique constraint "tutorial_pkey"'),
    ("Connection refused", "Connection reset by peer"), ("disk full", "disc full"),
])
def test_words_that_name_the_fault_stay(one, other):
    assert normalise(one) != normalise(other)


def test_problems_without_a_recorded_error_share_a_cause_for_each_kind_of_problem():
    missing, another, stale = make_problem(ProblemKind.MISSING), make_problem(ProblemKind.MISSING), make_problem(ProblemKind.STALE)

    causes = [cause_of(problem) for problem in (missing, another, stale)]

    assert causes[0] == causes[1]
    assert causes[0].cause_id != causes[2].cause_id
    assert (causes[0].title, causes[0].error_kind) == ("missing", ErrorKind.NO_MESSAGE)


def test_faults_of_the_same_kind_in_other_places_are_one_cause_and_other_faults_another():
    stage = make_problem(ProblemKind.UNREADABLE, detail="$.stages[1].modules: a list was expected, an object is there (+2)")
    other_stage = make_problem(ProblemKind.UNREADABLE, detail="$.stages[12].modules: a list was expected, an object is there")
    concept = make_problem(ProblemKind.UNREADABLE, detail="$.stages: a list was expected, nothing is there")

    ids = [cause_of(problem).cause_id for problem in (stage, other_stage, concept)]

    assert ids[0] == ids[1] != ids[2]


def test_a_cause_keeps_one_message_in_full_and_a_title_of_bounded_length():
    message = "Failed: " + "long words " * 100

    cause = cause_of(make_problem(message=message))

    assert cause.sample == message
    assert len(cause.title) <= 200


def test_the_cause_of_an_error_is_the_same_before_and_after_it_became_a_problem():
    message = CAUSES["pool dry"][1][0]

    assert cause_id_of(classify(message), message) == cause_id(message)


@pytest.mark.parametrize("message", ["a-" * 500_000, "Z" * 1_000_000, "(" * 1_000_000, "input_value=" * 100_000])
def test_a_message_of_a_million_characters_is_no_burden(message):
    started_at = monotonic()

    cause_id(message)

    assert monotonic() - started_at < 20  # it took minutes before only its beginning was looked at


@pytest.mark.parametrize("message", ["", "  \n"])
def test_no_words_are_no_message(message):
    assert classify(message) is ErrorKind.NO_MESSAGE


def test_a_message_that_cannot_be_encoded_still_has_a_cause():
    assert cause_id("odd \ud83d half") == cause_id("odd \ud83d half")


ENDPOINT = Endpoint("http://127.0.0.1:8790/v1", "key", 120.0)
REQUEST = httpx2.Request("POST", "http://127.0.0.1:8790/v1")


def unconnected(cause: Exception) -> openai.APIConnectionError:
    problem = openai.APIConnectionError(request=REQUEST)
    problem.__cause__ = cause
    return problem


OWN_ERRORS = [
    *(ENDPOINT.explain_status(status, "Rate limit, invalid api key, timed out", retry_after=wanted)
      for status in (429, 401, 403, 408, 504, 500, 502, 503, 400, 404, 422) for wanted in (None, "2")),
    ENDPOINT.explain(openai.APITimeoutError(request=REQUEST)), ENDPOINT.explain(openai.APIConnectionError(request=REQUEST)),
    ENDPOINT.explain(unconnected(httpx2.ConnectError("Connection refused"))), ENDPOINT.not_a_completion("<html>Bad gateway</html>"),
    ItemError(ErrorKind.MODEL_REFUSED, "The model refused to paint this."), ItemError(ErrorKind.MODEL_REFUSED, "The model refused to write this."),
    ItemError(ErrorKind.MODEL_TRUNCATED, "The answer reached the longest length that the model allows and is not complete."),
    ItemError(ErrorKind.CONTENT_NO_PICTURE, "The model answered without a picture."),
    ItemError(ErrorKind.CONTENT_NO_PICTURE, "Unsplash has no photo for this title and its topics."),
    ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, "This is no PNG, JPEG, WebP or GIF picture."),
    ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, "The picture is broken: image file is truncated"),
    ItemError(ErrorKind.CONTENT_PICTURE_SIZE, "The picture has more than 25 MB."),
    ItemError(ErrorKind.SAVE_STORE_GONE, "The object store did not take the picture: connection refused"),
    ItemError(ErrorKind.CHOICE_MISSING, "Chapter 3 needs the reader's choice at the end of chapter 2, and there is none."),
    ItemError(ErrorKind.WORKER_LOST, "Its worker was lost 3 times. Look at the worker's log, then retry it."),
    ItemError(ErrorKind.JOB_TIMEOUT, "It was not complete after 600 seconds."),
]


@pytest.mark.parametrize("error", OWN_ERRORS, ids=str)
def test_our_own_words_are_of_the_kind_that_we_gave_them(error: ItemError):
    assert classify(error.message) is error.kind
