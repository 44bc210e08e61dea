"""Finds a cover at Unsplash: searches by title, names the photographer, and reports the download as the API's guidelines ask."""

import random
from urllib.parse import urlsplit

import httpx2
import structlog
from pydantic import BaseModel, ValidationError

from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import make_cover
from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.i18n import _
from backend.settings import Settings
from workers.generators.endpoint import Endpoint
from workers.generators.painters.fetching import Fetching
from workers.generators.painters.protocol import Answered
from workers.generators.painters.workbench import work_up

log = structlog.get_logger()
_HOME = "https://unsplash.com"
_FOUND = 10     # photos to choose from: what comes later fits the words less
_REFERRER = {"utm_source": "redrive", "utm_medium": "referral"}  # the guidelines ask for it on links to Unsplash
_CROP = {"w": "1800", "fit": "max", "fm": "jpg", "q": "80"}


class _Urls(BaseModel):
    raw: str


class _Links(BaseModel):
    html: str = ""
    download_location: str = ""


class _User(BaseModel):
    name: str
    links: _Links = _Links()


class _Photo(BaseModel):
    urls: _Urls
    user: _User
    links: _Links = _Links()
    alt_description: str | None = None
    description: str | None = None


class _Found(BaseModel):
    results: list[_Photo]


class UnsplashPainter:
    name = "unsplash"
    is_sample = False

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError that names the setting that is missing or cannot be used."""
        secret = settings.unsplash_access_key
        key = secret.get_secret_value().strip() if secret else ""
        if not key:
            raise ValueError("REDRIVE_PAINTERS names unsplash: set UNSPLASH_ACCESS_KEY")
        if not (key.isascii() and key.isprintable()):
            raise ValueError("UNSPLASH_ACCESS_KEY holds a character that cannot be sent; copy it again without line breaks")
        base_url = settings.unsplash_base_url.rstrip("/")
        if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise ValueError("REDRIVE_UNSPLASH_BASE_URL is no http(s) address")
        self._endpoint = Endpoint(
            base_url, key, settings.model_timeout_seconds, base_url_setting="REDRIVE_UNSPLASH_BASE_URL", key_setting="UNSPLASH_ACCESS_KEY",
            model_setting="UNSPLASH_ACCESS_KEY")
        self._headers = {"authorization": f"Client-ID {key}", "accept-version": "v1"}
        self._fetching = Fetching(self._endpoint)

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]:
        spent = spent or Spent()
        photo = await self._search(brief, spent)
        picture = await self._fetching.fetch(self._cropped(photo.urls.raw))
        if answered:
            answered()
        attribution = _("Photo by {name} on Unsplash").format(name=photo.user.name)
        cover = await work_up(
            make_cover, picture, alt_text=_alt_text(photo, brief), attribution=attribution,
            attribution_url=_referred(photo.user.links.html))
        await self._report_download(photo)
        return Written(cover, self.name, self.is_sample, calls=spent.calls)

    async def close(self) -> None:
        await self._fetching.close()

    async def _search(self, brief: CoverBrief, spent: Spent) -> _Photo:
        """One of the best matches of the title, or of its first topics when nobody took a photo of the title."""
        for words in dict.fromkeys(filter(None, (f"{brief.roadmap_title} {brief.note}".strip(), *brief.topics[:2]))):
            spent.calls += 1
            query = {"query": words[:200], "orientation": "landscape", "per_page": str(_FOUND), "content_filter": "high"}
            if brief.language == "zh":
                query["lang"] = "zh"
            found = self._found(await self._fetching.fetch(
                str(httpx2.URL(f"{self._endpoint.base_url}/search/photos", params=query)), headers=self._headers))
            if found.results:
                return random.choice(found.results[:_FOUND])  # another try should find another photo
        raise ItemError(ErrorKind.CONTENT_NO_PICTURE, _("Unsplash has no photo for this title and its topics."))

    def _found(self, answer: bytes) -> _Found:
        try:
            return _Found.model_validate_json(answer)
        except ValidationError as exc:
            raise self._endpoint.error(
                ErrorKind.MODEL_INVALID_JSON, _("{address} did not answer as Unsplash does. Check REDRIVE_UNSPLASH_BASE_URL.").format(
                    address=self._endpoint.address), answer[:500].decode("utf-8", "replace")) from exc

    def _cropped(self, raw: str) -> str:
        parsed = _parsed(raw)
        if parsed is None:
            raise self._endpoint.error(
                ErrorKind.CONTENT_NO_PICTURE, _("Unsplash answered with an address of a photo that is none:"), raw[:500])
        return str(parsed.copy_merge_params(_CROP))

    async def _report_download(self, photo: _Photo) -> None:
        """The key goes to the API only. A report that fails is logged: the photo is there, and was paid for with a call."""
        at, own = _parsed(photo.links.download_location), httpx2.URL(self._endpoint.base_url)
        if at is None or (at.scheme, at.host, at.port) != (own.scheme, own.host, own.port):
            return
        try:
            await self._fetching.fetch(str(at), headers=self._headers)
        except ItemError as error:
            log.warning("unsplash_download_not_reported", error=error.message)


def _alt_text(photo: _Photo, brief: CoverBrief) -> str:
    return (photo.alt_description or photo.description or "").strip() or _("Photo for {title}").format(title=brief.roadmap_title)


def _referred(url: str) -> str:
    """The photographer's own page; that of Unsplash where none is named that can be opened."""
    return str((_parsed(url) or httpx2.URL(_HOME)).copy_merge_params(_REFERRER))


def _parsed(url: str) -> httpx2.URL | None:
    """None: no http(s) address."""
    try:
        found = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    is_address = found.scheme in ("http", "https") and found.host and "%" not in found.host  # escaped: no name can have that letter
    return found if is_address else None
