"""A model endpoint: where it is, what must never be repeated of it, and what its failures mean in words."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2
import openai

from backend.content.errors import ErrorKind, ItemError
from backend.i18n import _
from backend.settings import Settings

DEFAULT_BASE_URL = "https://api.openai.com/v1"
PLACEHOLDER_KEY = "no-key-needed"  # a local server asks for none, but the client insists on one
_LONGEST_MESSAGE = 500
_HIDDEN = "***"
_URL_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")
_KEY_LIKE = re.compile(r"\b(?:sk|pk)-[\w*.-]{8,}|(?<=Bearer )\S+", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_RATE_LIMIT_WORDS = re.compile(r"rate.?limit|too many requests|quota|\b429\b", re.IGNORECASE)

_NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects)


@dataclass(frozen=True, slots=True)
class Endpoint:
    base_url: str
    key: str = field(repr=False)
    timeout_seconds: float
    base_url_setting: str = "OPENAI_BASE_URL"  # what people are told to look at
    key_setting: str = "OPENAI_API_KEY"
    model_setting: str = "REDRIVE_MODEL"

    @classmethod
    def of(cls, settings: Settings, *, model_setting: str = "REDRIVE_MODEL") -> "Endpoint":
        """Raises ValueError that names the setting that cannot be used."""
        base_url = (settings.openai_base_url or DEFAULT_BASE_URL).strip()
        try:
            parts = urlsplit(base_url)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise ValueError("OPENAI_BASE_URL is no http(s) address; write it like http://127.0.0.1:8000/v1")
        secret = settings.openai_api_key
        key = (secret.get_secret_value().strip() if secret else "") or PLACEHOLDER_KEY
        if not (key.isascii() and key.isprintable()):
            raise ValueError("OPENAI_API_KEY holds a character that cannot be sent; copy it again without line breaks")
        return cls(base_url=base_url, key=key, timeout_seconds=settings.model_timeout_seconds, model_setting=model_setting)

    @property
    def address(self) -> str:
        """Scheme, host and port: the part of the base URL that holds no secrets."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def clean(self, words: str) -> str:
        """Somebody else's words made fit to be stored and shown: one line, no markup, no secrets, at most 500 characters."""
        for secret in self._secrets():
            words = words.replace(secret, _HIDDEN)
        words = _KEY_LIKE.sub(_HIDDEN, _URL_PASSWORD.sub(f"{_HIDDEN}@", words))
        return shorten(" ".join(_UNPRINTABLE.sub(" ", _TAG.sub(" ", words)).split()))

    def error(self, kind: ErrorKind, sentence: str, words: str = "") -> ItemError:
        """The sentence, and after it what the endpoint itself said."""
        said = self.clean(words)
        return ItemError(kind, shorten(f'{sentence} "{said}"' if said else sentence))

    def explain(self, problem: openai.APIError, *, is_reading: bool = False) -> ItemError:
        """What went wrong, by kind and in words. `is_reading` says that the answer had begun."""
        match problem:
            case openai.APIStatusError():
                return self._explain_status(problem)
            case openai.APITimeoutError():
                return self._explain_silence(problem)
            case openai.APIConnectionError():
                return self._explain_connection(problem, is_reading)
            case _:
                return self._explain_event(problem)

    def not_a_completion(self, words: str) -> ItemError:
        """The answer of something that does not speak the protocol: a web page, a proxy, the wrong path."""
        return self.error(
            ErrorKind.MODEL_INVALID_JSON,
            _("{address} did not answer with a chat completion. Check OPENAI_BASE_URL.").format(address=self.address),
            words)

    def _secrets(self) -> list[str]:
        parts = urlsplit(self.base_url)
        found = {self.key, parts.password or "", *(value for _name, value in parse_qsl(parts.query))}
        found.discard(PLACEHOLDER_KEY)
        found = {secret for secret in found if len(secret) > 3}  # "1" or "v1" would blank out half a sentence
        return sorted(found | {quote(secret, safe="") for secret in found}, key=len, reverse=True)

    def explain_status(self, status: int, words: str, *, retry_after: str | None = None) -> ItemError:
        kind, sentence = _status_meaning(status, retry_after=retry_after)
        return self.error(kind, sentence.format(
            address=self.address, status=status, base_url_setting=self.base_url_setting, key_setting=self.key_setting,
            model_setting=self.model_setting), words)

    def _explain_status(self, problem: openai.APIStatusError) -> ItemError:
        return self.explain_status(problem.status_code, _words_of(problem), retry_after=problem.response.headers.get("retry-after"))

    def _explain_silence(self, problem: openai.APITimeoutError) -> ItemError:
        if isinstance(problem.__cause__, httpx2.ConnectTimeout):
            return self.error(
                ErrorKind.MODEL_UNREACHABLE, _("{address} does not take connections.").format(address=self.address))
        return self.error(
            ErrorKind.MODEL_TIMEOUT,
            _("{address} sent nothing for {seconds:g} seconds.").format(
                address=self.address, seconds=self.timeout_seconds))

    def _explain_connection(self, problem: openai.APIConnectionError, is_reading: bool) -> ItemError:
        cause = problem.__cause__
        words = str(cause or "")
        if isinstance(cause, _NEVER_CONNECTED) and not is_reading:
            return self.error(
                ErrorKind.MODEL_UNREACHABLE, _("{address} cannot be reached.").format(address=self.address), words)
        return self.error(
            ErrorKind.MODEL_CUT_STREAM,
            _("The connection to {address} broke before the answer was complete.").format(address=self.address),
            words)

    def _explain_event(self, problem: openai.APIError) -> ItemError:
        """An error that the endpoint sent inside an answer that had begun with status 200."""
        said = _words_of(problem)
        is_limit = _RATE_LIMIT_WORDS.search(f"{problem.code} {problem.type} {said}")
        return self.error(
            ErrorKind.MODEL_RATE_LIMITED if is_limit else ErrorKind.MODEL_SERVER_ERROR,
            _("{address} broke the answer off with an error.").format(address=self.address), said)


def shorten(words: str) -> str:
    return words if len(words) <= _LONGEST_MESSAGE else words[: _LONGEST_MESSAGE - 1] + "…"


def _status_meaning(status: int, *, retry_after: str | None) -> tuple[ErrorKind, str]:
    if status == 429:
        if retry_after and retry_after.replace(".", "", 1).isdigit():
            sentence = _("{address} gets too many requests (429) and asks to wait.")
        else:
            sentence = _("{address} gets too many requests (429).")
        return ErrorKind.MODEL_RATE_LIMITED, sentence
    if status in (401, 403):
        return ErrorKind.MODEL_REJECTED_KEY, _(
            "{address} does not accept the key ({status}). Check {key_setting}.")
    if status in (408, 504):
        return ErrorKind.MODEL_TIMEOUT, _("{address} waited too long for its model ({status}).")
    if status >= 500:
        return ErrorKind.MODEL_SERVER_ERROR, _("{address} failed ({status}).")
    return ErrorKind.MODEL_REJECTED_REQUEST, _(
        "{address} does not accept the request ({status}). Check {base_url_setting} and {model_setting}.")


def _words_of(problem: openai.APIError) -> str:
    body = problem.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error")
    return body if isinstance(body, str) else problem.message
