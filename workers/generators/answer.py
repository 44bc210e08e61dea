"""What came back from a model, and how it becomes content. No I/O."""

import json
import re
from dataclasses import dataclass, field

import openai
from pydantic import ValidationError

from backend.content.checks import check, check_storable, texts_in
from backend.content.errors import ErrorKind, ItemError
from backend.content.written import ContentT
from backend.i18n import _
from workers.generators.endpoint import Endpoint
from workers.generators.wire import Usage

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


@dataclass(slots=True)
class Answer:
    """One answer, as far as it came. Grows while a stream is read."""

    pieces: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    lost: openai.APIError | None = None  # what broke it off
    usage: Usage | None = None  # the last one told: some endpoints repeat a running total

    @property
    def text(self) -> str:
        """Without the ```json fence that some models put around it."""
        text = "".join(self.pieces)
        fenced = _FENCE.match(text)
        return fenced.group(1) if fenced else text

    @property
    def is_document(self) -> bool:
        """A whole JSON document: nothing of it can be missing, however the connection ended."""
        try:
            json.loads(self.text)
        except ValueError:
            return False
        return True


def content_of(answer: Answer, model: type[ContentT], *, endpoint: Endpoint) -> ContentT:
    """The content that the answer holds, checked.

    Raises ItemError: refused, truncated, cut, invalid JSON, empty or unstorable.
    """
    _raise_if_declined(answer, endpoint)
    if answer.lost and not answer.is_document:
        raise endpoint.explain(answer.lost, is_reading=True) from answer.lost
    if not answer.text.strip():
        raise ItemError(ErrorKind.CONTENT_EMPTY, _("The model answered without any text."))
    content = _parse(answer.text, model, endpoint)
    check(content)
    return content


def _raise_if_declined(answer: Answer, endpoint: Endpoint) -> None:
    refusal = "".join(answer.refusals)
    if refusal:
        raise endpoint.error(ErrorKind.MODEL_REFUSED, _("The model refused to write this."), refusal)
    if answer.finish_reason == "content_filter":
        raise ItemError(ErrorKind.MODEL_REFUSED, _("The endpoint's content filter stopped the answer."))
    if answer.finish_reason == "length":
        raise ItemError(
            ErrorKind.MODEL_TRUNCATED,
            _("The answer reached the longest length that the model allows and is not complete."))


def _parse(text: str, model: type[ContentT], endpoint: Endpoint) -> ContentT:
    try:
        return model.model_validate_json(text)
    except ValidationError as exc:
        _raise_if_unstorable(text)
        fault = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "json_invalid":
            sentence = _("The model's answer is no valid JSON.")
        else:
            sentence = _("The model's answer does not follow the schema.")
        words = f"{where}: {fault['msg']}" if where else fault["msg"]
        raise endpoint.error(ErrorKind.MODEL_INVALID_JSON, sentence, words) from exc


def _raise_if_unstorable(text: str) -> None:
    """pydantic calls a lone surrogate invalid JSON; asking again for "better JSON" would miss the point."""
    try:
        document = json.loads(text)
    except ValueError:
        return
    for path, part in texts_in(document):
        check_storable(part, path or _("The text"))
