"""What the loopback model answers with: good documents that fit a JSON schema, and the ways in which it goes wrong."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

Json = Any  # whatever json.loads gives

_HUGE_CHARACTERS = 2_000_000
_SUBJECT_LINES = tuple(re.compile(f"^(?:{words})[:：]\\s*(.+)$", re.MULTILINE) for words in ("Concept|概念", "Novel|小说", "Roadmap|路线"))
_PARAGRAPH = (
    "{concept} answers a question that comes up sooner than most people expect. Take the smallest case you can think of "
    "and write down what you see before you explain it. The point of {concept} is that the second step depends only on "
    "what the first one left behind. If two results differ, change one thing at a time until they agree again.")
_TEXTS = {
    "title": "{concept}, part {number}",
    "summary": "After this you can explain {concept} and use it in a small case of your own.",
    "body_markdown": "\n\n".join(f"## Part {part}\n\n{_PARAGRAPH}" for part in (1, 2, 3)),
    "url": "https://example.org/loopback/{number}",
    "question": "Which statement about {concept} holds in case {number}?",
    "options": "Answer {number} about {concept}",
    "explanation": "Case {number} follows from the definition of {concept}.",
    "search_queries": "{concept} explained {number}",
}


class Behaviour(StrEnum):
    OK = "ok"
    RATE_LIMITED = "429"
    RATE_LIMITED_WITH_WAIT = "429-retry-after"
    SERVER_ERROR = "500"
    OVERLOADED = "503"
    REJECTED_KEY = "401"               # its words repeat the key that it was sent
    FORBIDDEN = "403"
    BAD_REQUEST = "400"
    UNKNOWN_MODEL = "404"
    SLOW = "slow"                      # not a byte for slow_seconds
    STALLED = "stalled"                # half of the answer, then silence for slow_seconds
    CUT = "cut"                        # half of the answer, then the connection breaks
    CUT_AT_THE_END = "cut-at-the-end"  # the whole text, but not the end of the stream
    ENDED_EARLY = "ended-early"        # half of the stream, then a clean end
    ERROR_EVENT = "error-event"        # half of the stream, then an error inside it
    WEB_PAGE = "web-page"
    GARBAGE = "garbage"                # says it is JSON and is not
    BAD_JSON = "bad-json"
    FENCED = "fenced"                  # the right JSON inside a ```json fence
    SCHEMA_MISMATCH = "schema-mismatch"
    WRONG_POSITION = "wrong-position"  # right answers that point outside the options
    REFUSAL = "refusal"
    LENGTH = "length"
    CONTENT_FILTER = "content-filter"
    NO_TEXT = "no-text"                # the answer itself is empty
    EMPTY = "empty"                    # valid JSON that says nothing
    NUL = "nul"
    LONE_SURROGATE = "lone-surrogate"  # as the escape \ud800
    HUGE = "huge"                      # 2 MB
    # Of pictures
    NOT_AN_IMAGE = "not-an-image"
    FORTY_MB = "40-mb"
    SMALL = "small"                    # 64 x 64 pixels
    TALL = "tall"                      # another shape than was asked for
    NO_PICTURE = "no-picture"
    AT_URL = "at-url"                  # not the picture but its address, here
    AT_REDIRECT = "at-redirect"        # an address here that leads to another one here
    AT_PRIVATE_URL = "at-private-url"  # an address inside somebody's network
    AT_PRIVATE_REDIRECT = "at-private-redirect"  # an address here that leads there
    AT_HUGE_URL = "at-huge-url"        # 40 MB
    AT_SLOW_URL = "at-slow-url"
    AT_FILE = "at-file"                # file:///etc/hostname


FAULT_WORDS = {
    Behaviour.RATE_LIMITED: "Rate limit reached for loopback-model",
    Behaviour.RATE_LIMITED_WITH_WAIT: "Rate limit reached for loopback-model",
    Behaviour.SERVER_ERROR: "The server had an error while processing your request",
    Behaviour.OVERLOADED: "The engine is currently overloaded",
    Behaviour.REJECTED_KEY: "Incorrect API key provided: {key}. See https://ops:hunter2@example.org/keys",
    Behaviour.FORBIDDEN: "The key {key} may not use this model",
    Behaviour.BAD_REQUEST: "Unsupported value in response_format",
    Behaviour.UNKNOWN_MODEL: "The model does not exist",
    Behaviour.ERROR_EVENT: "The model crashed while it was writing",
}
FINISH_REASONS = {Behaviour.LENGTH: "length", Behaviour.CONTENT_FILTER: "content_filter"}


def subject_in(prompt: str) -> str:
    """What a prompt is about, from its line "Concept: ...", else "Novel: ...", else "Roadmap: ...", or "" when it names none."""
    return next((found.group(1).strip() for line in _SUBJECT_LINES if (found := line.search(prompt))), "")


def answer_text(behaviour: Behaviour, *, schema: Json, concept: str) -> str:
    """What the model writes: JSON in ASCII, so that a lone surrogate becomes an escape and can travel."""
    document = document_for(schema, concept)
    match behaviour:
        case Behaviour.BAD_JSON | Behaviour.LENGTH:
            text = json.dumps(document)
            return text[: len(text) // 2]
        case Behaviour.FENCED:
            return f"```json\n{json.dumps(document, indent=1)}\n```"
        case Behaviour.SCHEMA_MISMATCH:
            document = {"unexpected": True}
        case Behaviour.WRONG_POSITION:
            document = edited(document, lambda part: [99] if part == [1] else part)
        case Behaviour.NO_TEXT:
            return ""
        case Behaviour.EMPTY:
            document = {name: type(part)() for name, part in document.items()}
        case Behaviour.NUL:
            document = edited(document, lambda part: f"{part}\x00" if isinstance(part, str) else part)
        case Behaviour.LONE_SURROGATE:
            document = edited(document, lambda part: f"\ud800{part}" if isinstance(part, str) else part)
        case Behaviour.HUGE:
            longest = max(strings_in(document), key=len)
            huge = (longest * (_HUGE_CHARACTERS // len(longest) + 1))[:_HUGE_CHARACTERS]
            document = edited(document, lambda part: huge if part == longest else part)
    return json.dumps(document)


def document_for(schema: Json, concept: str) -> Json:
    """A value that fits the schema (the part of JSON schema that strict structured output allows)."""
    numbers = itertools.count(1)

    def value(part: Json, name: str) -> Json:
        if "$ref" in part:
            return value(schema["$defs"][part["$ref"].rsplit("/", 1)[-1]], name)
        if "enum" in part:
            return part["enum"][next(numbers) % len(part["enum"])]
        if "anyOf" in part:
            return value(part["anyOf"][0], name)
        match part.get("type"):
            case "object":
                return {key: value(of, key) for key, of in part.get("properties", {}).items()}
            case "array":
                return [1] if name == "correct_options" else [value(part["items"], name) for _ in range(4)]
            case "string":
                text = _TEXTS.get(name, "Text {number} about {concept}")
                return text.format(concept=concept or "the concept", number=next(numbers))
            case "integer" | "number":
                return 20
            case other:
                return {"boolean": True, "null": None}[other]

    return value(schema, "")


def edited(document: Json, edit: Callable[[Json], Json]) -> Json:
    """A copy with every part put through `edit`, the innermost first."""
    match document:
        case list():
            return edit([edited(part, edit) for part in document])
        case dict():
            return edit({name: edited(part, edit) for name, part in document.items()})
        case _:
            return edit(document)


def strings_in(document: Json) -> Iterator[str]:
    match document:
        case str():
            yield document
        case list() | dict():
            for part in document.values() if isinstance(document, dict) else document:
                yield from strings_in(part)


_TOKEN = re.compile("[\u2e80-\uffff]|[^\u2e80-\uffff]{1,4}", re.DOTALL)


def tokens_of(text: str) -> list[str]:
    """The text in pieces of about a token: a Chinese character, or four of others. An escape may be split."""
    return _TOKEN.findall(text)


def pieces_of(text: str) -> Iterator[str]:
    """The text as a stream sends it: a few characters at a time, and 2 MB in no more than 200 pieces."""
    size = max(24, len(text) // 200)
    return (text[start:start + size] for start in range(0, len(text), size))
