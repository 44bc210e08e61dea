"""Whether written content may be saved: it says something, PostgreSQL can hold it, its answers exist. No I/O.

What a model is asked for is in written.py; how a broken *stored* row reads is the detector's.
"""

import re
from collections.abc import Iterator
from typing import assert_never
from urllib.parse import urlsplit

from pydantic import BaseModel

from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Chapter, Cover, Question, Quiz, Resources, Tutorial
from backend.i18n import _

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # in a str of Python each surrogate is a lone one
_INVISIBLE = re.compile("[\\s\u200b\u200c\u200d\u2060\ufeff]+")  # str.strip() keeps all but the first


def check(content: Tutorial | Resources | Quiz | Chapter | Cover) -> None:
    """Nothing, when the content may be saved.

    Raises ItemError: CONTENT_EMPTY, CONTENT_UNSTORABLE, or MODEL_INVALID_JSON for an answer or an address that
    cannot be right.
    """
    match content:
        case Tutorial():
            check_tutorial(content)
        case Resources():
            check_resources(content)
        case Quiz():
            check_quiz(content)
        case Chapter():
            check_chapter(content)
        case Cover():
            check_cover(content)
        case _:
            assert_never(content)


def check_tutorial(tutorial: Tutorial) -> None:
    if _is_blank(tutorial.body_markdown):
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The tutorial has no text."))
    _check_texts(tutorial)


def check_resources(resources: Resources) -> None:
    if not resources.resources:
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The list of resources is empty."))
    _check_texts(resources)
    for number, resource in enumerate(resources.resources, start=1):
        if not _is_web_address(resource.url):
            raise ItemError(
                ErrorKind.MODEL_INVALID_JSON,
                _("Resource {number} has no http(s) address that can be opened.").format(number=number))


def check_quiz(quiz: Quiz) -> None:
    if not quiz.questions:
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The quiz has no questions."))
    _check_texts(quiz)
    for number, question in enumerate(quiz.questions, start=1):
        _check_answers(question, number)


def check_chapter(chapter: Chapter) -> None:
    if _is_blank(chapter.content):
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The chapter has no text."))
    if not chapter.options:
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The chapter has no options."))
    for path, text in texts_in(chapter):
        check_storable(text, path)
        if _is_blank(text) and not path.endswith(".impact"):
            raise ItemError(ErrorKind.CONTENT_EMPTY, _("{where} is blank.").format(where=path))


def check_cover(cover: Cover) -> None:
    """Its painter has checked the pictures; here it is only whether they are there and say what they show."""
    if not (cover.large and cover.thumbnail):
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The cover has no picture."))
    for text, where in ((cover.attribution, "attribution"), (cover.attribution_url, "attribution_url")):
        check_storable(text, where)
    check_alt_text(cover.alt_text)


def check_alt_text(text: str) -> None:
    check_storable(text, "alt_text")
    if _is_blank(text):
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The cover has no words for those who cannot see it."))


def check_storable(text: str, where: str) -> None:
    """Nothing, when PostgreSQL can hold the text. Raises ItemError CONTENT_UNSTORABLE that names `where`."""
    found = _UNSTORABLE.search(text)
    if found:
        raise ItemError(
            ErrorKind.CONTENT_UNSTORABLE,
            _("{where} holds the character U+{code:04X}, which the database cannot store.").format(
                where=where, code=ord(found.group())))


def texts_in(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each string inside parsed JSON or a pydantic model, as (path, string): ("questions[0].options[1]", "...")."""
    match value:
        case str():
            yield path, value
        case BaseModel():
            yield from texts_in(dict(value), path)
        case dict():
            for name, part in value.items():
                yield from texts_in(part, f"{path}.{name}" if path else str(name))
        case list() | tuple():
            for index, part in enumerate(value):
                yield from texts_in(part, f"{path}[{index}]")


def _check_texts(content: BaseModel) -> None:
    for path, text in texts_in(content):
        check_storable(text, path)
        if _is_blank(text):
            raise ItemError(ErrorKind.CONTENT_EMPTY, _("{where} is blank.").format(where=path))


def _is_blank(text: str) -> bool:
    return not _INVISIBLE.sub("", text)


def _check_answers(question: Question, number: int) -> None:
    count = len(question.options)
    if not count:
        raise ItemError(
            ErrorKind.CONTENT_EMPTY, _("Question {number} has no options.").format(number=number))
    if not question.correct_options:
        raise ItemError(
            ErrorKind.MODEL_INVALID_JSON, _("Question {number} names no right answer.").format(number=number))
    if any(position not in range(count) for position in question.correct_options):
        raise ItemError(
            ErrorKind.MODEL_INVALID_JSON,
            _("Question {number} has {count} options, but its right answer points outside them.").format(
                number=number, count=count))


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
