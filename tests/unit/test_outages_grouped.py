"""Real messages of one bad week, mixed: they fall into the groups that a person would make, no more and no fewer."""

from collections import defaultdict

# ruff: noqa: E501  (messages stand as they came, in one piece)
from backend.content.causes import cause_of, classify, normalise
from backend.content.errors import ErrorKind, Origin
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import Problem, ProblemKind

# what a person calls the outage -> (where it comes from, its messages as libraries and the platform print them)
OUTAGES: dict[str, tuple[Origin, list[str]]] = {
    "the pool ran dry": (Origin.SAVE, [
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)",
        "QueuePool limit of size 20 overflow 0 reached, connection timed out, timeout 10.00",
        "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/21/3o7r)",
        "TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"]),
    "the server has no slot left": (Origin.SAVE, [
        'connection failed: connection to server at "10.0.3.7", port 5432 failed: FATAL:  sorry, too many clients already',
        '(psycopg.OperationalError) connection failed: connection to server at "fd00::12:7", port 6432 failed: FATAL:  sorry, too many clients already\n(Background on this error at: https://sqlalche.me/e/20/e3q8)']),
    "duplicate tutorials": (Origin.SAVE, [
        'IntegrityError: duplicate key value violates unique constraint "tutorial_metadata_pkey"',
        'duplicate key value violates unique constraint "tutorial_metadata_pkey"\nDETAIL:  Key (tutorial_id)=(0b6fd8b4-52a5-4f0c-9d61-3c42d1f0a111) already exists.',
        '(psycopg.errors.UniqueViolation) duplicate key value violates unique constraint "tutorial_metadata_pkey"\nDETAIL:  Key (tutorial_id)=(intro to agents) already exists.\n[SQL: INSERT INTO tutorial_metadata (tutorial_id, concept_id) VALUES (%(tutorial_id)s, %(concept_id)s)]\n[parameters: {\'tutorial_id\': \'t-9\', \'concept_id\': \'c-1\'}]\n(Background on this error at: https://sqlalche.me/e/20/gkpj)',
        "(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) <class 'asyncpg.exceptions.UniqueViolationError'>: duplicate key value violates unique constraint \"tutorial_metadata_pkey\"\nDETAIL:  Key (tutorial_id)=(77) already exists."]),
    "duplicate quizzes": (Origin.SAVE, ['duplicate key value violates unique constraint "quiz_metadata_pkey"\nDETAIL:  Key (quiz_id)=(q-1) already exists.']),
    "title is missing": (Origin.SAVE, [
        'null value in column "title" of relation "tutorial_metadata" violates not-null constraint\nDETAIL:  Failing row contains (7c1e, c-1, r-1, null, Short, 2026-11-20 10:11:12+00).',
        '(psycopg.errors.NotNullViolation) null value in column "title" of relation "tutorial_metadata" violates not-null constraint\nDETAIL:  Failing row contains (x9, intro, road, null, A (much) longer one, null).']),
    "the text is too long for its column": (Origin.SAVE, [
        "value too long for type character varying(255)",
        "(psycopg.errors.StringDataRightTruncation) value too long for type character varying(500)\n[SQL: UPDATE quiz_metadata SET title=%(title)s]"]),
    "the novel was deleted": (Origin.SAVE, [
        'insert or update on table "chapters" violates foreign key constraint "chapters_novel_id_fkey"\nDETAIL:  Key (novel_id)=(n77) is not present in table "novels".',
        '(psycopg.errors.ForeignKeyViolation) insert or update on table "chapters" violates foreign key constraint "chapters_novel_id_fkey"']),
    "deadlock": (Origin.SAVE, [
        "deadlock detected\nDETAIL:  Process 1201 waits for ShareLock on transaction 99812; blocked by process 1199.\nProcess 1199 waits for ShareLock on transaction 99809; blocked by process 1201.\nHINT:  See server log for query details.\nCONTEXT:  while updating tuple (0,7) in relation \"roadmap_metadata\"",
        "(psycopg.errors.DeadlockDetected) deadlock detected\nDETAIL:  Process 88 waits for ShareLock on transaction 7; blocked by process 4."]),
    "statement timeout": (Origin.SAVE, ["canceling statement due to statement timeout", "(psycopg.errors.QueryCanceled) canceling statement due to statement timeout\n[SQL: UPDATE tasks SET status = 'failed']"]),
    "the database is not there": (Origin.SAVE, [
        'connection failed: connection to server at "10.0.3.7", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?',
        '(psycopg.OperationalError) connection failed: connection to server at "192.168.1.20", port 5433 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?']),
    "NUL in a text": (Origin.CONTENT, ["PostgreSQL text fields cannot contain NUL (0x00) bytes", "(psycopg.DataError) PostgreSQL text fields cannot contain NUL (0x00) bytes\n[SQL: INSERT INTO quiz_metadata ...]"]),
    "half a character": (Origin.CONTENT, [
        "'utf-8' codec can't encode character '\\ud83d' in position 1208: surrogates not allowed",
        "UnicodeEncodeError: 'utf-8' codec can't encode character '\\udc4d' in position 429: surrogates not allowed"]),
    "tokens per minute": (Origin.MODEL, [
        "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-5-mini in organization org-IY4qyC0dXsPK1Q7m on tokens per min (TPM): Limit 200000, Used 199801, Requested 1450. Please try again in 375ms. Visit https://platform.openai.com/account/rate-limits to learn more.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}",
        "openai.RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached for o4-mini in organization org-9tLxVwzBmm3kQ2aa on tokens per min (TPM): Limit 30000, Used 29950, Requested 500. Please try again in 1.2s.', 'type': 'tokens', 'param': None, 'code': 'rate_limit_exceeded'}}",
        "Error code: 429 - Rate limit reached for gpt-5-mini on tokens per min (TPM): Limit 200000, Used 199801, Requested 1450.".replace(
            " on tokens", " in organization org-IY4qyC0dXsPK1Q7m on tokens"),
        "Rate limit reached for gpt-4o in organization org-u7Pq0Rr2TtLkMnBv on tokens per min (TPM): Limit 30000, Used 30000, Requested 900. Please try again in 6m0s."]),
    "the quota is used up": (Origin.MODEL, [
        "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'type': 'insufficient_quota', 'param': None, 'code': 'insufficient_quota'}}",
        "RateLimitError: Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'type': 'insufficient_quota'}}"]),
    "the model's server failed": (Origin.MODEL, [
        "Error code: 500 - {'error': {'message': 'The server had an error while processing your request. Sorry about that! (request ID req_8f2c1aa07b)', 'type': 'server_error', 'param': None, 'code': None}}",
        "openai.InternalServerError: Error code: 500 - {'error': {'message': 'The server had an error while processing your request. Sorry about that! (request ID req_00aa11bb22)', 'type': 'server_error', 'param': None, 'code': None}}"]),
    "bad gateway": (Origin.MODEL, [
        "Server error '502 Bad Gateway' for url 'https://llm-1.example.org/v1/chat/completions'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/502",
        "httpx.HTTPStatusError: Server error '502 Bad Gateway' for url 'http://10.1.1.4:8000/v1/chat/completions'"]),
    "the key is wrong": (Origin.MODEL, [
        "Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-proj-********abcd. You can find your API key at https://platform.openai.com/account/api-keys.', 'type': 'invalid_request_error', 'code': 'invalid_api_key'}}",
        "openai.AuthenticationError: Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-live-**********Wx9z. You can find your API key at https://platform.openai.com/account/api-keys.', 'type': 'invalid_request_error', 'code': 'invalid_api_key'}}"]),
    "there is no such model": (Origin.MODEL, [
        "Error code: 404 - {'error': {'message': 'The model `gpt-5-nano` does not exist or you do not have access to it.', 'type': 'invalid_request_error', 'param': None, 'code': 'model_not_found'}}",
        "NotFoundError: Error code: 404 - {'error': {'message': 'The model `qwen3-max` does not exist or you do not have access to it.', 'type': 'invalid_request_error'}}",
        "The model 'claude-opus-4' does not exist or you do not have access to it."]),
    "the prompt is too long": (Origin.MODEL, [
        "Error code: 400 - {'error': {'message': \"This model's maximum context length is 128000 tokens. However, your messages resulted in 130211 tokens.\", 'type': 'invalid_request_error', 'param': 'messages', 'code': 'context_length_exceeded'}}",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8500 tokens."]),
    "the answer is too long": (Origin.MODEL, [
        "Could not parse response content as the length limit was reached - CompletionUsage(completion_tokens=4096, prompt_tokens=812, total_tokens=4908)",
        "LengthFinishReasonError: Could not parse response content as the length limit was reached - CompletionUsage(completion_tokens=16384, prompt_tokens=401, total_tokens=16785)"]),
    "no JSON": (Origin.MODEL, ["Expecting value: line 1 column 1 (char 0)", "json.decoder.JSONDecodeError: Expecting value: line 3 column 429 (char 500)"]),
    "a question without options": (Origin.MODEL, [
        "1 validation error for Quiz\nquestions.3.options\n  Field required [type=missing, input_value={'question': 'What is a tide?'}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.11/v/missing",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Quiz\nquestions.11.options\n  Field required [type=missing, input_value={'question': 'Why', 'note': [1, 2], 'x': {}}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.12/v/missing"]),
    "the model refuses": (Origin.MODEL, ["I'm sorry, but I can't assist with that request."]),
    "the stream was cut": (Origin.MODEL, [
        "peer closed connection without sending complete message body (incomplete chunked read)",
        "httpx.RemoteProtocolError: peer closed connection without sending complete message body (incomplete chunked read)"]),
    "the request timed out": (Origin.MODEL, ["Request timed out.", "Request timed out. "]),
    "our own words for silence": (Origin.MODEL, ["The model timed out after 120.0 s.", "The model timed out after 45s."]),
    "the model's host cannot be reached": (Origin.MODEL, [
        "Cannot connect to host llm-1.example.org:443 ssl:default [Connection refused]",
        "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host api.openai.com:8443 ssl:default [Connection refused]"]),
    "the model's host, by requests": (Origin.MODEL, [
        "HTTPSConnectionPool(host='api.openai.com', port=443): Max retries exceeded with url: /v1/chat/completions (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f8c0351f6d0>: Failed to establish a new connection: [Errno 111] Connection refused'))",
        "HTTPSConnectionPool(host='llm-2.example.org', port=8443): Max retries exceeded with url: /v1/embeddings (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7fab6e31d890>: Failed to establish a new connection: [Errno 111] Connection refused'))"]),
    "the work-horse was killed": (Origin.QUEUE, [
        "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "Work-horse terminated unexpectedly; waitpid returned 139 (signal 11); "]),
    "the job was abandoned": (Origin.QUEUE, [
        "Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-20 12:34:56.123456+00:00",
        "Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-21T01:02:03Z"]),
    "a Celery worker was killed": (Origin.QUEUE, [
        "billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: 12.",
        "Worker exited prematurely: signal 15 (SIGTERM) Job: 1344.".replace("15 (SIGTERM)", "9 (SIGKILL)")]),
    "the job took too long": (Origin.QUEUE, [
        "Task exceeded maximum timeout value (300 seconds)", "rq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (600 seconds)"]),
    "Redis is away": (Origin.QUEUE, [
        "Error 111 connecting to localhost:6379. Connection refused.", "redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.9:6380. Connection refused."]),
    "a concept without text": (Origin.CONTENT, [
        "Concept c-17 of roadmap rm_8841: empty text", "Concept backpressure-2 of roadmap agent-performance-3: empty text"]),
    "a title in quotes": (Origin.PLATFORM, [
        "Failed to generate tutorial for concept 'Intro to agents'", "Failed to generate tutorial for concept 'Token economics, part 2'",
        'Failed to generate tutorial for concept "Back pressure"'.replace('"', "'")]),
    "the framework lacks a key": (Origin.PLATFORM, ["KeyError: 'stages'", "KeyError: 'modules'"]),
    "the review in Chinese": (Origin.PLATFORM, ["生成失败:第 3 个概念《流量控制》的内容未通过审核", "生成失败:第 12 个概念《向量数据库》的内容未通过审核"]),
    "a batch that failed in Chinese": (Origin.SAVE, [
        "第 2 批保存失败 (IntegrityError): 概念 7f3e9a10b2c4d6e8", "第 5 批保存失败 (IntegrityError): 概念 00aa11bb22cc33dd"]),
    "a file that is not there": (Origin.PLATFORM, [
        "[Errno 2] No such file or directory: '/srv/content/r-1/intro.md'", "FileNotFoundError: [Errno 2] No such file or directory: '/mnt/objects/road/outro.md'"]),
}


def cause_id(message: str) -> str:
    key = ContentKey(ContentKind.TUTORIAL, "r1", "a")
    return cause_of(Problem(key, ProblemKind.FAILED, None, None, "", classify(message), message)).cause_id


def test_a_week_of_messages_falls_into_the_groups_that_a_person_makes():
    messages = {message: name for name, (_origin, found) in OUTAGES.items() for message in found}
    assert len(messages) >= 60

    groups = defaultdict(set)
    for message, name in messages.items():
        groups[cause_id(message)].add(name)
    ids = {name: {cause_id(message) for message in found} for name, (_origin, found) in OUTAGES.items()}

    assert [names for names in groups.values() if len(names) > 1] == []
    assert {name: sorted({normalise(message) for message in OUTAGES[name][1]}) for name, found in ids.items() if len(found) > 1} == {}


def test_each_message_is_looked_for_where_it_comes_from():
    found = {message: classify(message).origin for _origin, messages in OUTAGES.values() for message in messages}

    expected = {message: origin for origin, messages in OUTAGES.values() for message in messages}
    assert {message: (found[message], expected[message]) for message in found if found[message] != expected[message]} == {}


def test_the_same_words_from_elsewhere_are_another_cause():
    key = ContentKey(ContentKind.TUTORIAL, "r1", "a")

    ids = {cause_of(Problem(key, ProblemKind.FAILED, None, None, "", kind, "It took too long.")).cause_id
           for kind in (ErrorKind.MODEL_TIMEOUT, ErrorKind.JOB_TIMEOUT, ErrorKind.SAVE_CONTENTION)}

    assert len(ids) == 3
