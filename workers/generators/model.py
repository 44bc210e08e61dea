"""Writes with a model behind any OpenAI-compatible endpoint.

The openai client tries again after 429, 5xx, silence and a connection that never came about; a stream that breaks
half way is tried again here. Both draw on one budget for each text: REDRIVE_MODEL_RETRIES.
"""

import asyncio
import functools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import openai
from openai import AsyncStream
from pydantic import ValidationError

from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKind
from backend.content.written import Chapter, ChapterBrief, ConceptBrief, ContentT, Quiz, Resources, Spent, Tutorial, Written
from backend.settings import Settings
from workers.generators.answer import Answer, content_of
from workers.generators.certificates import trusted
from workers.generators.chapter_prompt import write_chapter_prompt
from workers.generators.endpoint import Endpoint
from workers.generators.partial import PartialChapter
from workers.generators.prompt import Prompt, write_prompt
from workers.generators.protocol import Telling
from workers.generators.wire import Completion, Usage

_PATH = "/chat/completions"  # posted with the client's own verb: its typed call costs 4 ms more for each stream
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 8.0  # the same as the client's own
_WORTH_ANOTHER_STREAM = frozenset({
    ErrorKind.MODEL_CUT_STREAM, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR,
})


@dataclass(slots=True)
class _Tally:
    """What one text has cost so far, and how many further tries it may have."""

    spent: Spent
    retries_left: int
    telling: Telling | None = None
    model: str = ""
    temperature: float | None = None

    @contextmanager
    def calling(self, endpoint: Endpoint) -> Iterator[None]:
        """A request is on its way: it counts although it is broken off or fails. One that never reached the endpoint does not."""
        self.spent.calls += 1
        try:
            yield
        except openai.APIError as exc:
            if endpoint.explain(exc).kind is ErrorKind.MODEL_UNREACHABLE:
                self.spent.calls -= 1
            else:
                self.add_retries(exc.request)
            raise

    def add_retries(self, request: httpx2.Request) -> None:
        """How often the client had tried again, as its last request tells."""
        told = request.headers.get("x-stainless-retry-count", "0")
        client_retries = int(told) if told.isdigit() else 0
        self.spent.calls += client_retries
        self.retries_left = max(0, self.retries_left - client_retries)

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
        self._retries = settings.model_retries

    @functools.cached_property
    def _client(self) -> openai.AsyncOpenAI:
        """A chunk of covers needs none."""
        seconds = self._endpoint.timeout_seconds
        return openai.AsyncOpenAI(
            base_url=self._endpoint.base_url, api_key=self._endpoint.key,
            timeout=openai.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
            http_client=openai.DefaultAsyncHttpxClient(verify=trusted()))

    async def write_tutorial(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Tutorial]:
        return await self._write(ContentKind.TUTORIAL, brief, model=Tutorial, spent=spent or Spent())

    async def write_resources(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Resources]:
        return await self._write(ContentKind.RESOURCES, brief, model=Resources, spent=spent or Spent())

    async def write_quiz(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Quiz]:
        return await self._write(ContentKind.QUIZ, brief, model=Quiz, spent=spent or Spent())

    async def write_chapter(self, brief: ChapterBrief, spent: Spent | None = None, telling: Telling | None = None) -> Written[Chapter]:
        tally = _Tally(spent or Spent(), self._retries, telling, brief.model, brief.temperature)
        return await self._written(write_chapter_prompt(brief), Chapter, tally)

    async def close(self) -> None:
        if "_client" in vars(self):
            await self._client.close()

    async def _write(
        self, kind: ContentKind, brief: ConceptBrief, *, model: type[ContentT], spent: Spent,
    ) -> Written[ContentT]:
        return await self._written(write_prompt(kind, brief), model, _Tally(spent, retries_left=self._retries))

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
        with tally.calling(self._endpoint):
            reply = await self._client.post(
                _PATH, body=self._body(prompt, model, tally), cast_to=httpx2.Response, options={"max_retries": tally.retries_left})
        tally.add_retries(reply.request)
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
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            answer = await self._read_stream(prompt, model, tally=tally)
            tally.add_usage(answer.usage)
            if answer.lost is None or answer.is_document or not tally.retries_left:
                return answer
            error = self._endpoint.explain(answer.lost, is_reading=True)
            if error.kind not in _WORTH_ANOTHER_STREAM:
                return answer
            tally.retries_left -= 1
            await asyncio.sleep(pause_seconds * random.uniform(0.75, 1.0))
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _read_stream(self, prompt: Prompt, model: type[ContentT], *, tally: _Tally) -> Answer:
        body = {**self._body(prompt, model, tally), "stream": True, "stream_options": {"include_usage": True}}
        with tally.calling(self._endpoint):
            stream = await self._client.post(
                _PATH, body=body, cast_to=object, options={"max_retries": tally.retries_left}, stream=True, stream_cls=AsyncStream[object])
        request = stream.response.request
        tally.add_retries(request)
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
                    answer.lost = openai.APIConnectionError(request=request)
        return answer

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
