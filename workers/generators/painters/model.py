"""Paints with an image model behind any OpenAI-compatible endpoint (images/generations): base64, or an address to fetch from."""

import binascii
import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai
from openai import AsyncStream
from pydantic import BaseModel, ValidationError

from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import MOST_BYTES, check_bytes, make_cover
from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.i18n import _
from backend.settings import Settings
from workers.generators.endpoint import Endpoint
from workers.generators.painters.fetching import Fetching
from workers.generators.painters.protocol import Answered
from workers.generators.painters.workbench import work_up
from workers.generators.prompt import write_cover_prompt
from workers.generators.retries import Retries
from workers.generators.transport import trusted

_PATH = "/images/generations"  # posted with the client's own verb: its typed call costs 1 ms more
_CONNECT_SECONDS = 10.0
_MOST_ANSWER_BYTES = MOST_BYTES * 4 // 3 + 64 * 1024  # base64, and what stands around it
# What endpoints call a prompt that they do not paint; it comes with status 400.
_REFUSALS = frozenset({"content_policy_violation", "moderation_blocked", "content_filter", "image_generation_user_error"})


class _Picture(BaseModel):
    b64_json: str | None = None
    url: str | None = None


class _Usage(BaseModel):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Pictures(BaseModel):
    data: list[_Picture] | None = None
    usage: _Usage | None = None


def _format_of(settings: Settings) -> dict[str, str]:
    """What to ask for, if anything: dall-e and most others refuse a parameter that they do not know."""
    wanted = settings.image_format or ("jpeg" if (settings.image_model or "").startswith("gpt-image") else "")
    return {"output_format": wanted} if wanted else {}


class ModelPainter:
    """Lives in the event loop it is first used in, and holds connections until `close`."""

    is_sample = False

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError that names the setting that is missing or cannot be used."""
        if not settings.image_model:
            raise ValueError("REDRIVE_PAINTERS names model: set REDRIVE_IMAGE_MODEL to the name of a model that paints")
        if not settings.has_model:
            raise ValueError("REDRIVE_IMAGE_MODEL is set: set OPENAI_API_KEY or OPENAI_BASE_URL too")
        self.name = settings.image_model
        self._wanted = {"model": self.name, "size": settings.image_size, "n": 1, **_format_of(settings)}
        self._endpoint = Endpoint.of(settings, model_setting="REDRIVE_IMAGE_MODEL")
        seconds = settings.model_timeout_seconds
        self._client = openai.AsyncOpenAI(
            base_url=self._endpoint.base_url, api_key=self._endpoint.key, max_retries=0,
            timeout=openai.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
            http_client=openai.DefaultAsyncHttpxClient(verify=trusted()))
        self._retries = Retries(settings, self._endpoint)
        self._fetching = Fetching(self._endpoint)

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]:
        spent = spent or Spent()
        with self._explaining():
            answer = await self._ask(write_cover_prompt(brief), spent)
        picture = await self._picture(answer, spent)
        if answered:
            answered()
        alt_text = _("Cover of {title}, painted by a model").format(title=brief.roadmap_title)
        cover = await work_up(make_cover, picture, alt_text=alt_text)
        return Written(
            cover, self.name, self.is_sample, calls=spent.calls, prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens)

    async def close(self) -> None:
        await self._client.close()
        await self._fetching.close()

    async def _ask(self, prompt: str, spent: Spent) -> bytes:
        """The answer, at most as long as a picture may be: it is read piece by piece, so that 1 GB is not read at all."""
        body = {"prompt": prompt, **self._wanted}
        answer = await self._retries.call(
            lambda: self._client.post(_PATH, body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]),
            allowance=self._retries.allowance(spent), spent=spent)
        async with answer:
            read = bytearray()
            async for piece in answer.response.aiter_bytes():
                read += piece
                if len(read) > _MOST_ANSWER_BYTES:
                    check_bytes(len(read))
            return bytes(read)

    async def _picture(self, answer: bytes, spent: Spent) -> bytes:
        try:
            pictures = _Pictures.model_validate_json(answer)
        except ValidationError as exc:
            raise self._not_pictures(answer) from exc
        if pictures.usage:
            spent.prompt_tokens = (spent.prompt_tokens or 0) + (pictures.usage.input_tokens or 0)
            spent.completion_tokens = (spent.completion_tokens or 0) + (pictures.usage.output_tokens or 0)
        if pictures.data is None:
            raise self._not_pictures(answer)
        for found in pictures.data:
            if found.b64_json:
                return self._decoded(found.b64_json)
            if found.url:
                return await self._fetching.fetch(found.url)
        raise ItemError(ErrorKind.CONTENT_NO_PICTURE, _("The model answered without a picture."))

    def _decoded(self, words: str) -> bytes:
        try:
            return binascii.a2b_base64(words.partition("base64,")[2] if words.startswith("data:") else words)
        except (binascii.Error, ValueError) as exc:
            raise self._endpoint.error(ErrorKind.CONTENT_NOT_A_PICTURE, _("The model's picture is no valid base64.")) from exc

    def _not_pictures(self, answer: bytes) -> ItemError:
        sentence = _("{address} did not answer with pictures. Check OPENAI_BASE_URL and REDRIVE_IMAGE_MODEL.")
        return self._endpoint.error(
            ErrorKind.MODEL_INVALID_JSON, sentence.format(address=self._endpoint.address), answer[:500].decode("utf-8", "replace"))

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except openai.APIError as exc:
            if isinstance(exc, openai.BadRequestError) and {exc.code, exc.type} & _REFUSALS:
                raise self._endpoint.error(ErrorKind.MODEL_REFUSED, _("The model refused to paint this."), exc.message) from exc
            raise self._endpoint.explain(exc) from exc
        except (json.JSONDecodeError, UnicodeDecodeError) as exc:
            raise self._not_pictures(str(exc).encode()) from exc
        except httpx2.HTTPError as exc:  # while the answer is read, the client lets the errors of its transport through
            raise self._explain_lost(exc) from exc

    def _explain_lost(self, exc: httpx2.HTTPError) -> ItemError:
        if isinstance(exc, httpx2.TimeoutException):
            return self._endpoint.error(ErrorKind.MODEL_TIMEOUT, _("{address} sent nothing for {seconds:g} seconds.").format(
                address=self._endpoint.address, seconds=self._endpoint.timeout_seconds))
        return self._endpoint.error(ErrorKind.MODEL_CUT_STREAM, _(
            "The connection to {address} broke before the answer was complete.").format(address=self._endpoint.address), str(exc))
