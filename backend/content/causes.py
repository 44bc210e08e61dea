"""Which problems have the same cause: a fingerprint of the kind of error, where it comes from, and its normalised message.

Normalising takes out what carries a message (names of exceptions, statements, details, links) and what differs from one
occurrence to the next (ids, numbers, quoted values, addresses, times, names of models), so that one outage is one cause.
What people merged is no business of this module: see backend.storage.cause_records.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from backend.content.errors import ErrorKind
from backend.content.problems import Problem, ProblemKind

# Another number makes maintenance group everything anew, in the background. Raise it with every change below.
FINGERPRINT_VERSION = 3

# A status code is one only where a word says so: "column 429" is a place in a text.
_STATUS_CODE = r"(?:\b|_)(?:code|status|error|http(?:/[\d.]+)?|returned)\W{{0,4}}(?:{0})\b|^\W*(?:{0})\b"

# What Redrive itself writes where only words can stand, as in the row of a cover: the same outage is the same cause there.
_OWN_WORDS: tuple[tuple[ErrorKind, str], ...] = (
    (ErrorKind.MODEL_RATE_LIMITED, r"^\S+ gets too many requests \(\d+\)"),
    (ErrorKind.MODEL_REJECTED_KEY, r"^\S+ does not accept the key \(\d+\)"),
    (ErrorKind.MODEL_REJECTED_REQUEST, r"^\S+ does not accept the request \(\d+\)"),
    (ErrorKind.MODEL_TIMEOUT, r"^\S+ (waited too long for its model|sent nothing for|gave no picture within) "),
    (ErrorKind.MODEL_SERVER_ERROR, r"^\S+ (failed \(\d+\)|broke the answer off with an error)\."),
    (ErrorKind.MODEL_UNREACHABLE, r"^\S+ (does not take connections|cannot be reached)\."),
    (ErrorKind.MODEL_CUT_STREAM, r"^the connection to \S+ broke before the answer"),
    (ErrorKind.MODEL_INVALID_JSON, r"^\S+ did not answer (with|as) "),
    (ErrorKind.MODEL_REFUSED, r"^the model refused to |^the endpoint's content filter "),
    (ErrorKind.MODEL_TRUNCATED, r"^the answer reached the longest length"),
    (ErrorKind.CONTENT_NO_PICTURE,
     r"^the model answered without a picture|^unsplash (has no photo|answered with an address)|^the picture is (redirected|empty)|"
     r"^the address of the picture "),
    (ErrorKind.CONTENT_NOT_A_PICTURE, r"^this is no png|^the picture is broken|^the model's picture is no "),
    (ErrorKind.CONTENT_PICTURE_SIZE, r"^the picture has "),
    (ErrorKind.SAVE_STORE_GONE, r"^the object store did not take "),
    (ErrorKind.CHOICE_MISSING, r"^chapter \d+ needs the reader's choice"),
    (ErrorKind.WORKER_LOST, r"^its worker was lost"),
    (ErrorKind.JOB_TIMEOUT, r"^it was not complete after "),
)
# Order matters: the first pattern that is found in a message names its kind.
_KINDS: tuple[tuple[ErrorKind, str], ...] = (
    (ErrorKind.SAVE_POOL_EXHAUSTED,
     r"queuepool limit|pool (timeout|exhausted|timed out)|couldn't get a connection|"
     r"too many (clients|connections)|remaining connection slots"),
    (ErrorKind.QUEUE_GONE,
     r"error \d+ connecting to|(redis|valkey|broker|kombu|amqp).{0,80}(refused|reset|closed|tim(ed|e)[ -]?out|connecting|loading)"),
    (ErrorKind.JOB_TIMEOUT, r"maximum timeout value|(soft)?time ?limit ?exceeded|jobtimeout"),
    (ErrorKind.SAVE_CONTENTION, r"deadlock detected|could not serialize access|(statement|lock) timeout|lock not available"),
    (ErrorKind.SAVE_DUPLICATE_KEY, r"duplicate key|uniqueviolation|unique constraint"),
    (ErrorKind.SAVE_TOO_LONG, r"value too long|stringdatarighttruncation|string data, right truncated"),
    (ErrorKind.CONTENT_UNSTORABLE, r"nul \(0x00\)|\\u0000|null byte|lone surrogate|surrogates not allowed|invalid byte sequence"),
    (ErrorKind.SAVE_DATABASE_GONE,
     r"server closed the connection|connection (is )?closed unexpectedly|terminating connection|could not connect to server|"
     r"connection to server .*failed|database system is (starting up|shutting down)|admin ?shutdown"),
    (ErrorKind.SAVE_REJECTED, r"violates (check|not-null|foreign key)|integrityerror|dataerror|invalid input syntax"),
    (ErrorKind.WORKER_LOST, r"work-horse terminated|worker ?lost|abandonedjob|worker .*died|worker exited prematurely|heartbeat"),
    (ErrorKind.MODEL_RATE_LIMITED, _STATUS_CODE.format("429") + r"|rate.?limit|too many requests|quota"),
    (ErrorKind.MODEL_REJECTED_KEY,
     _STATUS_CODE.format("401|403") + r"|invalid.?api.?key|incorrect api key|unauthori[sz]ed|permission denied"),
    (ErrorKind.MODEL_REFUSED, r"refus(ed to|al)|content.?(filter|policy)|(can['’]t|cannot|unable to) (help|assist)"),
    (ErrorKind.MODEL_TRUNCATED, r"finish_reason.{0,4}length|length limit|maximum context|max_tokens|truncated"),
    (ErrorKind.MODEL_INVALID_JSON,
     r"jsondecodeerror|invalid json|expecting (value|property name|'.' delimiter)|extra data: line|invalid control character at|"
     r"validation error|unterminated string"),
    (ErrorKind.MODEL_CUT_STREAM, r"incomplete chunked read|peer closed connection|stream (was )?(cut|interrupted|ended early)"),
    (ErrorKind.MODEL_TIMEOUT, r"tim(ed|e)[ -]?out|deadline exceeded"),
    (ErrorKind.MODEL_SERVER_ERROR, _STATUS_CODE.format("50[0234]") + r"|internal server error|bad gateway|service unavailable|overloaded"),
    (ErrorKind.MODEL_UNREACHABLE,
     r"connection (error|refused|reset|attempts failed)|temporary failure in name resolution|cannot connect to host|"
     r"name or service not known|network is unreachable|max retries exceeded|dns"),
    (ErrorKind.MODEL_REJECTED_REQUEST,
     r"^\W*error code\W+4\d\d\b|^client error '4\d\d|model .{1,80} does not exist|unsupported (parameter|value)"),
    (ErrorKind.CONTENT_EMPTY, r"\bempty\b|no (text|questions|resources|content)"),
)
_KIND_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in (*_OWN_WORDS, *_KINDS))

_EXCEPTION = r"(?:<class ')?[\w.]*\w(?:Error|Exception|Violation|Timeout|Truncation|Exceeded|Failure|Full)(?:'>)?"
_NOUNS = "concept|roadmap|chapter|novel|tutorial|quiz|resource|option|user|item|job|task|worker|process|transaction|request"
_NAMELESS: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern, flags), word) for pattern, word, flags in (
    # What carries the message. A name of an exception stays where nothing but a word or two follows it: "KeyError: 'stages'".
    (r"^\((?:psycopg|asyncpg|sqlalchemy|builtins)[\w.]*\)\s*(?:<class '[\w.]+'>:\s*)?", "", 0),
    (r"^(?:\(?" + _EXCEPTION + r"\)?\s*:?\s+)+(?=\S+\s+\S+\s+\S+)", "", 0),
    (r"\s*\[SQL: .*", "", re.DOTALL),
    (r"\s*\(Background on this error at: \S+\)", "", 0),
    (r"^Error code: \d+ - \{.*?['\"]message['\"]: (['\"])(.*?)\1[,}].*", r"\2", re.DOTALL),
    (r"^Error code: \d+ - (?!\{)", "", 0),
    (r"\s*For (?:further|more) information (?:visit|check) ?:?.*", "", re.DOTALL | re.IGNORECASE),
    (r"\s+Visit https?://\S+ to learn more\.?", "", 0),
    (r"\s+(?:Please )?(?:try|retry) again in [\d.]+\s?\w+\.?", "", re.IGNORECASE),
    (r"\s*\b(?:DETAIL|HINT|CONTEXT|QUERY):\s.*", "", re.DOTALL),
    # What differs.
    (r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", "<url>", re.IGNORECASE),
    (r"(?<=url: )/\S+", "<url>", 0),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>", re.IGNORECASE),
    (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?", "<time>", 0),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>", 0),
    (r"\[?(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])\]?(?::\d+)?", "<address>", re.IGNORECASE),
    (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "<address>", 0),
    (r"(?<![\w/.<])[a-z0-9][a-z0-9.-]*:\d{2,5}\b", "<address>", re.IGNORECASE),
    (r"(?<=host=)'[^']*'", "<address>", 0),
    (r"\b0x[0-9a-f]+\b", "<id>", re.IGNORECASE),
    (r"\binput_value=.*?, input_type=\w+", "input_value=<value>", re.DOTALL),
    (r"\(([\w, ]+)\)=\(([^)]*)\)", r"(\1)=(<value>)", 0),
    (r"\bsk-[\w*-]+", "<key>", 0),
    (r"\b(?:req|chatcmpl|job|task|run|item|org|proj|resp|call|msg)[_-](?=[\w-]*\d)[\w-]{4,}\b", "<id>", re.IGNORECASE),
    (r"\b(?:[\w-]+/)?(?:gpt|chatgpt|claude|gemini|gemma|llama|meta-llama|qwen|deepseek|mistral|mixtral|codestral|grok|glm|kimi|phi|"
     r"command-r|doubao|moonshot|text-embedding|dall-e|o\d)(?=[\w.:@/-]*\d|[\w.:@-]*-)[\w.:@/-]*\w\b", "<model>", re.IGNORECASE),
    (r"'[^'\s]{1,120}'|`[^`\n]{1,120}`|“[^”\n]{1,120}”|「[^」\n]{1,120}」|《[^》\n]{1,120}》", "<value>", 0),
    (r"(?<=\w )'[^'{}\n]{1,120}'(?!\w)|(?<=\w )\"[^\"\n]{0,80}\s[^\"\n]{0,80}\"", "<value>", 0),
    (r"\b(" + _NOUNS + r")(?:[ _]?id)?\s?[=:#]\s?[\w.-]+", r"\1 <id>", re.IGNORECASE),
    (r"\b(" + _NOUNS + r")((?:[ _]id)?) (?=[\w-]*[-_\d])(?!\w+ly\b)[\w-]{2,}(?=[\s,.;:)]|$)", r"\1 <id>", re.IGNORECASE),
    (r"(?<![\w<])/(?:[\w.@-]+/)+[\w.@-]*", "<path>", 0),
    (r"\b(?=[\w-]*\d)[\w]+(?:-[\w]+){2,}\b", "<id>", 0),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "<id>", re.IGNORECASE),
    (r"\b(?:\d+(?:\.\d+)?\s?(?:milliseconds?|seconds?|minutes?|hours?|secs?|mins?|ms|s|m|h))+\b", "<duration>", 0),
    (r"\d+(?:[.,]\d+)*", "<n>", 0),
    (r"\s+", " ", 0),
))
TITLE_CHARACTERS = 200
CACHED_MESSAGES = 4096    # one outage says the same words thousands of times
LOOKED_AT_CHARACTERS = 4000  # some patterns take a time that grows with the square of the message's length


@dataclass(frozen=True, slots=True)
class Cause:
    cause_id: str
    error_kind: ErrorKind
    title: str   # the normalised message; the kind of problem when nothing was recorded
    sample: str  # one message in full


@lru_cache(maxsize=CACHED_MESSAGES)
def classify(message: str) -> ErrorKind:
    """The kind of error that a message in words tells of."""
    if not message.strip():
        return ErrorKind.NO_MESSAGE
    return next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(message)), ErrorKind.PLATFORM_ERROR)


@lru_cache(maxsize=CACHED_MESSAGES)
def normalise(message: str) -> str:
    """The message without what differs between occurrences, at most 200 characters."""
    message = message[:LOOKED_AT_CHARACTERS].strip()
    for pattern, word in _NAMELESS:
        message = pattern.sub(word, message)
    return message.strip()[:TITLE_CHARACTERS]


def cause_of(problem: Problem) -> Cause:
    """The cause that a problem belongs to. Without a recorded error, problems of one kind share a cause."""
    return _cause(problem.error_kind, problem.kind, problem.error_message, problem.detail)


@lru_cache(maxsize=CACHED_MESSAGES)
def _cause(error_kind: ErrorKind, problem_kind: ProblemKind, error_message: str, detail: str) -> Cause:
    if error_message:
        title = normalise(error_message)
        return Cause(_fingerprint(error_kind, error_kind.origin, title), error_kind, title, error_message)
    title = normalise(detail.split(" (+")[0]) if detail else ""
    return Cause(_fingerprint(error_kind, error_kind.origin, problem_kind, title), error_kind, title or problem_kind.value, detail)


def cause_id_of(error_kind: ErrorKind, message: str) -> str:
    """The cause that an error with this message belongs to, before there is a problem of it."""
    return _fingerprint(error_kind, error_kind.origin, normalise(message))


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
