"""Every setting of Redrive: name, default and help in one place. README's table is tested against this file.

Values come from the environment. Only REDRIVE_LANGUAGE is read elsewhere, by backend.i18n: texts must be ready before there
are settings. It stands here so that README tells it.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.i18n import _

HEARTBEATS_IN_A_LEASE = 3  # below this one late heartbeat takes a living item back, and its text is paid for twice

WEB_CONNECTIONS = 10         # of the pages: 5 sufficed for 100 polling sessions, measured
ROUTE_CONNECTIONS = 1        # of the web process besides: pictures, and what is streamed of chapters
HEALTH_CONNECTIONS = 1       # and one that /healthz opens anew each time
MAINTENANCE_CONNECTIONS = 5  # the lock that leads, a duty, and the lanes of a full rebuild

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(NamedTuple):
    """What a model costs for a million tokens, in the currency of the settings."""

    prompt: _Amount
    completion: _Amount

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="REDRIVE_", frozen=True, extra="ignore", populate_by_name=True)

    # Servers
    database_url: SecretStr | None = Field(
        None, alias="DATABASE_URL",
        description="PostgreSQL 15 to 18. Without it a private server keeps its data in the state folder.")
    redis_url: SecretStr | None = Field(
        None, alias="REDIS_URL",
        description="Redis 7 or Valkey 7.2 to 9. Without it a private server keeps its data in the state folder.")
    state_dir: Path = Field(
        Path(".redrive"), description="Folder of the private servers' data, the object store and the logs.")
    object_store: str | None = Field(
        None, description="Where texts are kept: file:///folder or s3://bucket/prefix. Default: objects in the state folder.")

    # Web
    host: str = Field("127.0.0.1", description="Address of the web process. Only loopback until sign-in exists.")
    port: int = Field(8501, ge=1, le=65535, description="Port of the web process.")
    language: str = Field("en", description="Language of the pages. It needs a catalogue in backend/locale; English otherwise.")
    operator: str = Field("local operator", description="Name written to the audit log until sign-in exists.")
    operator_role: Literal["viewer", "operator", "admin"] = Field(
        "admin", description="Role of that person: viewer looks, operator retries, admin does everything.")

    # Model
    openai_base_url: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="Any OpenAI-compatible endpoint. Default: OpenAI's own, once a key is set.")
    openai_api_key: SecretStr | None = Field(
        None, alias="OPENAI_API_KEY",
        description="Key of that endpoint, if it wants one. With neither key nor endpoint an offline writer makes sample text.")
    model: str = Field("gpt-5-mini", description="Name of the model that writes.")
    model_timeout_seconds: float = Field(120.0, gt=0, description="Longest wait for the next byte of an answer.")
    model_retries: int = Field(2, ge=0, description="Further tries of one model call after 429, 5xx or a lost connection.")
    prices: Annotated[dict[str, Price], NoDecode] = Field(
        {}, description='What models cost for a million tokens, as JSON: {"gpt-5-mini": [prompt, completion]}. Without it no cost is told.')
    currency: str = Field("USD", description="Word for the currency of those prices.")
    offline_faults: str = Field(
        "", description="Makes the offline writer fail on purpose, e.g. rate_limited:0.2,timeout:0.1 (kind:share).")
    offline_delay_seconds: float = Field(0.6, ge=0, description="How long the offline writer takes for one text.")

    # Workers
    concurrency: int = Field(8, ge=1, description="Items that one worker process writes at the same time.")
    workers_interactive: int = Field(2, ge=0, description="Worker processes for small retries that a person waits for.")
    workers_bulk: int = Field(1, ge=0, description="Worker processes for large retries.")
    workers_automatic: int = Field(1, ge=0, description="Worker processes for what machines ask for.")
    machines: int = Field(
        1, ge=1, description="Machines that run all of this against the same PostgreSQL. Only counted, by `redrive check`.")
    heartbeat_seconds: float = Field(5.0, gt=0, description="How often a running item shows that it lives.")
    lease_seconds: float = Field(
        30.0, gt=0, validate_default=True,
        description="A running item silent for so long is taken back and sent again. At least 3 heartbeats.")
    resend_seconds: float = Field(7.0, gt=0, description="A queued item whose job stands nowhere for so long is sent again.")
    stop_seconds: float = Field(20.0, gt=0, description="How long a process may take to stop before it is killed.")

    chapter_seconds: float = Field(
        600.0, gt=0, description="A chapter that is still being written after so long has failed; what is there of it is kept.")
    save_patience_seconds: float = Field(
        10.0, ge=0,
        description="A finished text that PostgreSQL does not take for so long is spilled to the object store, and saved later.")
    force_stop_seconds: float = Field(
        10.0, ge=0, description="A cancelled item that has not stopped after so long may be stopped by force.")
    breaker_failures: int = Field(5, ge=1, description="So many failures of the model in a row hold back all items that need it.")
    breaker_seconds: float = Field(
        30.0, gt=0, description="After so long one item asks the held-back model again; doubled with every failure, up to 5 minutes.")

    # Detecting
    grace_seconds: float = Field(900.0, ge=0, description="Content not yet written counts as missing after this age.")
    silence_seconds: float = Field(300.0, ge=0, description="Content marked generating counts as stale after this silence.")
    abandoned_seconds: float = Field(
        2_592_000.0, ge=0, description="Content marked generating with nobody at it for so long is marked failed. 0: never.")
    maximum_attempts_per_day: int = Field(5, ge=1, description="A content key tried so often in 24 h is left out of retries.")

    # Acting
    interactive_items: int = Field(
        50, ge=1, description="A retry of at most this many items needs no dialog and goes to the interactive queue.")
    armed_seconds: float = Field(5.0, ge=0, description="So long a small retry can be undone before it starts. 0: it starts at once.")

    # Covers
    painters: str = Field(
        "", description="Who paints covers, in this order, e.g. model,unsplash,offline: the next one only when a provider fails. "
        "Default: model when an image model is set, else unsplash when its key is set, else offline.")
    image_model: str | None = Field(
        None, description="Name of the model that paints, at the endpoint of the texts (OPENAI_BASE_URL, OPENAI_API_KEY).")
    image_size: str = Field(
        "1536x1024", pattern=r"^(\d{3,4}x\d{3,4}|auto)$",
        description="Size that the image model is asked for; a cover is cropped to 1200x630.")
    image_format: Literal["", "png", "jpeg", "webp"] = Field(
        "", description="File format that the image model is asked for. "
        "Default: jpeg of models named gpt-image..., which is a tenth of a PNG; others are not asked, as most refuse the question.")
    unsplash_access_key: SecretStr | None = Field(
        None, alias="UNSPLASH_ACCESS_KEY", description="Key of the Unsplash API: covers are searched there. The photographer is named.")
    unsplash_base_url: str = Field("https://api.unsplash.com", description="Where the Unsplash API is.")
    covers_automatic: bool = Field(
        False, description="Missing covers are generated by themselves when somebody opens the covers, each roadmap at most once a day.")
    cover_calls_per_person: str = Field(
        "600/hour", description="Covers that the operations of one person may have made, e.g. 600/hour; the rest waits. Empty: no limit.")
    cover_calls: str = Field(
        "2000/hour", description="Covers that may be made in all; those of the offline painter are not counted. Empty: no limit.")

    # Limits of an operation, unless whoever confirms it chooses others
    operation_concurrency: int = Field(0, ge=0, description="Items of one operation that are written at once. 0: no limit.")
    operation_rate_per_minute: int = Field(0, ge=0, description="Items of one operation that are begun in a minute. 0: no limit.")
    operation_budget_calls: int = Field(0, ge=0, description="Calls of the model that one operation may take. 0: no limit.")
    operation_budget_tokens: int = Field(0, ge=0, description="Tokens that one operation may take. 0: no limit.")
    operation_budget_cost: float = Field(0.0, ge=0, description="Money that one operation may take, by REDRIVE_PRICES. 0: no limit.")
    quiet_hours: str = Field("", description="Nothing of an operation is sent in these hours, e.g. 22:00-06:00.")
    time_zone: str = Field("UTC", description="Time zone of the quiet hours, e.g. Europe/Berlin.")
    canary_items: int = Field(
        3, ge=0, description="So many items of each group of a retry go first; the rest follows when they pass. 0: all at once.")
    canary_above_items: int = Field(100, ge=0, description="A retry of more items goes by canary, as does every one of several causes.")
    same_cause_window: int = Field(
        20, ge=0, description="So many of the last items tell whether a cause returns; at most so many of one operation run. 0: none.")
    same_cause_percent: int = Field(
        80, ge=1, le=99, description="When one cause returns in more of them, in percent, the rest stays untouched.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")

    def cost(self, model: str, prompt_tokens: float, completion_tokens: float) -> float | None:
        """What these tokens of the model cost. None: it has no price, so nobody knows."""
        price = self.prices.get(model)
        return None if price is None else price.cost(prompt_tokens, completion_tokens)

    @property
    def first_painter(self) -> str:
        """Who REDRIVE_PAINTERS names first, else who is set up: model, unsplash, offline."""
        named = self.painters.lower().partition(",")[0].strip()
        return named or ("model" if self.image_model else "unsplash" if self.unsplash_access_key else "offline")

    @property
    def asked_painters(self) -> frozenset[str]:
        """Everybody who may be asked for a cover."""
        return frozenset(name.strip() for name in (self.painters.lower().strip() or self.first_painter).split(",")) - {""}

    @property
    def paints_offline(self) -> bool:
        """Nobody is asked for covers but the offline painter, which calls nobody."""
        return self.asked_painters <= {"offline"}

    @property
    def has_model(self) -> bool:
        """A model writes: a key or an endpoint is set. Otherwise the offline writer makes sample text."""
        return bool(self.openai_api_key or self.openai_base_url)

    # How many connections each process may hold; README tells the sum, `redrive check` compares it with what PostgreSQL allows.
    @property
    def worker_threads(self) -> int:
        """Threads of one worker process that begin and save items."""
        return min(self.concurrency, 8)

    @property
    def begun_at_once(self) -> int:
        """Items of one worker process that are begun and not saved yet: some wait for a turn, others are worked up and saved beside it.

        More than the window lets one operation run would be put back again.
        """
        return max(self.concurrency, min(3 * self.concurrency, self.same_cause_window or 3 * self.concurrency))

    @property
    def worker_connections(self) -> int:
        """One for each thread, and one for heartbeats."""
        return self.worker_threads + 1

    @property
    def connections(self) -> int:
        """All that Redrive may hold: machines x (web + maintenance + workers x (threads + 1)). Commands by hand come on top."""
        workers = self.workers_interactive + self.workers_bulk + self.workers_automatic
        web = WEB_CONNECTIONS + ROUTE_CONNECTIONS + HEALTH_CONNECTIONS
        return self.machines * (web + MAINTENANCE_CONNECTIONS + workers * self.worker_connections)

    @property
    def provider(self) -> str:
        """Who writes, as circuit breakers name it: scheme, host and port of the endpoint, or "offline"."""
        if not self.has_model:
            return "offline"
        parts = urlsplit(self.openai_base_url or "https://api.openai.com")
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @field_validator("prices", mode="before")
    @classmethod
    def _read_json(cls, prices: object) -> object:
        try:
            return json.loads(prices) if isinstance(prices, str) else prices
        except json.JSONDecodeError as exc:
            raise ValueError(_("It must be JSON like {example}: {fault}").format(
                example='{"gpt-5-mini": [0.25, 2]}', fault=exc)) from exc

    @field_validator("lease_seconds")
    @classmethod
    def _outlasts_late_heartbeats(cls, lease_seconds: float, info: ValidationInfo) -> float:
        heartbeat_seconds = info.data.get("heartbeat_seconds")  # absent when it is itself not right
        least_seconds = round(HEARTBEATS_IN_A_LEASE * (heartbeat_seconds or 0), 6)  # 3 * 0.1 is a little more than 0.3
        if lease_seconds < least_seconds:
            raise ValueError(_(
                "It must last at least {count} heartbeats. Set it to {seconds:g} or more, or lower REDRIVE_HEARTBEAT_SECONDS").format(
                    count=HEARTBEATS_IN_A_LEASE, seconds=least_seconds))
        return lease_seconds


def load() -> Settings:
    """The settings of this process. Raises pydantic.ValidationError that names each bad value."""
    return Settings()
