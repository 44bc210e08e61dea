"""Writes with a model behind any OpenAI-compatible endpoint.

A call that fails and a stream that breaks half way are tried again. Both draw on one allowance for each text: REDRIVE_MODEL_RETRIES.
"""

import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx2
import openai
from openai import AsyncStream
from pydantic import ValidationError

from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKind
from backend.content.written import Chapter, ChapterBrief, ConceptBrief, ContentT, Quiz, Resources, Spent, Tutorial, Written
from backend.settings import Settings
from workers.generators.answer import Answer, content_of
from workers.generators.chapter_prompt import write_chapter_prompt
from workers.generators.endpoint import Endpoint
from workers.generators.partial import PartialChapter
from workers.generators.prompt import Prompt, write_prompt
from workers.generators.protocol import Telling
from workers.generators.retries import Allowance, Retries
from workers.generators.transport import trusted
from workers.generators.wire import Completion, Usage

_PATH = "/chat/completions"  # posted with the client's own verb: its typed call costs 4 ms more for each stream
_CONNECT_SECONDS = 10.0
Result = TypeVar("Result")
_WORTH_ANOTHER_STREAM = frozenset({
    ErrorKind.MODEL_CUT_STREAM, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR,
})


@dataclass(slots=True)
class _Tally:
    """What one text has cost so far, and how many further tries it may have."""

    spent: Spent
    allowance: Allowance
    telling: Telling | None = None
    model: str = ""
    temperature: float | None = None

    def add_usage(self, usage: Usage | None) -> None:
        if usage:
            self.spent.prompt_tokens = (self.spent.prompt_tokens or 0) + (usage.prompt_tokens or 0)
            self.spent.completion_tokens = (self.spent.completion_tokens or 0) + (usage.completion_tokens or 0)


class Told:
    """Passes on what is new of a chapter's text, piece by piece."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._partial = PartialChapter()
        self._heard = 0
        telling.begin()

    def listen(self, pieces: list[str]) -> None:
        for piece in pieces[self._heard:]:
            self._partial.feed(piece)
        self._heard = len(pieces)
        text = self._partial.take()
        if text:
            self._telling.tell(self._partial.title, text)


class ModelGenerator:
    """Lives in the event loop it is first used in, and holds connections until `close`."""

    is_sample = False

    def __init__(self, settings: Settings) -> None:
        self.name = settings.model
        self._endpoint = Endpoint.of(settings)
        self._retries = Retries(settings, self._endpoint)

    @functools.cached_property
    def _client(self) -> openai.AsyncOpenAI:
        """A chunk of covers needs none."""
        seconds = self._endpoint.timeout_seconds
        return openai.AsyncOpenAI(
            base_url=self._endpoint.base_url, api_key=self._endpoint.key, max_retries=0,
            timeout=openai.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
            http_client=openai.DefaultAsyncHttpxClient(verify=trusted()))

    async def write_tutorial(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Tutorial]:
        return await self._write(ContentKind.TUTORIAL, brief, model=Tutorial, spent=spent)

    async def write_resources(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Resources]:
        return await self._write(ContentKind.RESOURCES, brief, model=Resources, spent=spent)

    async def write_quiz(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Quiz]:
        return await self._write(ContentKind.QUIZ, brief, model=Quiz, spent=spent)

    async def write_chapter(self, brief: ChapterBrief, spent: Spent | None = None, telling: Telling | None = None) -> Written[Chapter]:
        tally = self._tally(spent)
        tally.telling, tally.model, tally.temperature = telling, brief.model, brief.temperature
        return await self._written(write_chapter_prompt(brief), Chapter, tally)

    async def close(self) -> None:
        if "_client" in vars(self):
            await self._client.close()

    async def _write(
        self, kind: ContentKind, brief: ConceptBrief, *, model: type[ContentT], spent: Spent | None,
    ) -> Written[ContentT]:
        return await self._written(write_prompt(kind, brief), model, self._tally(spent))

    def _tally(self, spent: Spent | None) -> _Tally:
        spent = spent or Spent()
        return _Tally(spent, self._retries.allowance(spent))

    async def _written(self, prompt: Prompt, model: type[ContentT], tally: _Tally) -> Written[ContentT]:
        try:
            content = await self._ask(prompt, model, tally=tally)
        except ItemError as error:
            if error.kind is not ErrorKind.MODEL_INVALID_JSON:
                raise
            content = await self._ask(prompt.again(error.message), model, tally=tally)
        spent = tally.spent
        return Written(
            content=content, generator=tally.model or self.name, is_sample=self.is_sample, calls=spent.calls,
            prompt_tokens=spent.prompt_tokens, completion_tokens=spent.completion_tokens)

    async def _ask(self, prompt: Prompt, model: type[ContentT], *, tally: _Tally) -> ContentT:
        # Tutorials and chapters are long: streamed, its silence is measured from piece to piece and not until its end.
        ask = self._ask_for_stream if model in (Tutorial, Chapter) else self._ask_for_whole
        with self._explaining():
            answer = await ask(prompt, model, tally=tally)
        return content_of(answer, model, endpoint=self._endpoint)

    async def _ask_for_whole(self, prompt: Prompt, model: type[ContentT], *, tally: _Tally) -> Answer:
        body = self._body(prompt, model, tally)
        reply = await self._call(lambda: self._client.post(_PATH, body=body, cast_to=httpx2.Response), tally)
        try:
            completion = Completion.model_validate_json(reply.content)
        except ValidationError:
            completion = Completion()
        if not completion.choices:
            raise self._endpoint.not_a_completion(reply.text)
        answer = Answer()
        _add(answer, completion)
        tally.add_usage(answer.usage)
        return answer

    async def _ask_for_stream(self, prompt: Prompt, model: type[ContentT], *, tally: _Tally) -> Answer:
        while True:
            answer = await self._read_stream(prompt, model, tally=tally)
            tally.add_usage(answer.usage)
            if answer.lost is None or answer.is_document:
                return answer
            error = self._endpoint.explain(answer.lost, is_reading=True)
            if error.kind not in _WORTH_ANOTHER_STREAM or not await tally.allowance.take():
                return answer

    async def _read_stream(self, prompt: Prompt, model: type[ContentT], *, tally: _Tally) -> Answer:
        body = {**self._body(prompt, model, tally), "stream": True, "stream_options": {"include_usage": True}}
        stream = await self._call(
            lambda: self._client.post(_PATH, body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]), tally)
        answer = Answer()
        told = Told(tally.telling) if tally.telling else None
        is_completion = False
        async with stream:
            try:
                async for piece in stream:
                    _add(answer, Completion.model_validate(piece))
                    is_completion = True
                    if told:
                        told.listen(answer.pieces)
            except openai.APIError as exc:
                answer.lost = exc
            else:
                if not is_completion:
                    raise self._endpoint.not_a_completion(stream.response.headers.get("content-type", ""))
                if answer.finish_reason is None:
                    answer.lost = openai.APIConnectionError(request=stream.response.request)
        return answer

    async def _call(self, ask: Callable[[], Awaitable[Result]], tally: _Tally) -> Result:
        return await self._retries.call(ask, allowance=tally.allowance, spent=tally.spent)

    def _body(self, prompt: Prompt, model: type[ContentT], tally: _Tally) -> dict[str, object]:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        body = {"model": tally.model or self.name, "messages": messages, "response_format": _response_format(model)}
        return body if tally.temperature is None else {**body, "temperature": tally.temperature}

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except openai.APIError as exc:
            raise self._endpoint.explain(exc) from exc
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as exc:
            raise self._endpoint.not_a_completion(str(exc)) from exc


@functools.cache
def _response_format(model: type[ContentT]) -> dict[str, object]:
    # The classes in written.py are strict as they stand (a test holds them to it): no rewriting of the schema.
    schema = model.model_json_schema()
    return {
        "type": "json_schema",
        "json_schema": {"name": model.__name__.lower(), "schema": schema, "strict": True},
    }


def _add(answer: Answer, completion: Completion) -> None:
    answer.usage = completion.usage or answer.usage
    for choice in completion.choices or ():
        answer.pieces.append(choice.said.content or "")
        answer.refusals.append(choice.said.refusal or "")
        answer.finish_reason = choice.finish_reason or answer.finish_reason
