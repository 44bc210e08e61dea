"""Covers of roadmaps: the gallery, problems first, and one cover with its versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from backend.content.covers import picture_path, token_of
from backend.content.problems import ProblemKind
from backend.content.secrets import without_secrets
from backend.redrive import Redrive
from backend.storage import cover_list, cover_versions
from backend.storage.cover_versions import CoverVersion
from backend.storage.objects import StoreUnreachable
from backend.views.listing import as_of


class PictureUnreachable(Exception):
    """The object store does not answer; str() says how."""


class CoverState(StrEnum):
    """How the cover of a roadmap stands: as the kept problems say, unless somebody works on it."""

    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    INVALID = "invalid"
    CANCELLED = "cancelled"
    UNREADABLE = "unreadable"
    DRIFTED = "drifted"
    MAKING = "making"    # an item waits or runs
    WAITING = "waiting"  # not there, and not late yet
    SUCCESS = "success"


PROBLEM_STATES = tuple(CoverState(kind.value) for kind in ProblemKind)


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the browser finds a picture. Both "": there is none that this process serves."""

    large: str = ""      # path on this server
    thumbnail: str = ""
    alt_text: str = ""
    attribution: str = ""
    attribution_url: str = ""
    is_sample: bool = False
    generator: str = ""
    kept_elsewhere: str = ""  # address in a store that is not ours: nothing outside is loaded


@dataclass(frozen=True, slots=True)
class CoverCard:
    roadmap_id: str
    title: str
    state: CoverState
    picture: Picture
    error_message: str
    detail: str
    retry_count: int
    since_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class CoverPage:
    as_of: datetime
    rows: tuple[CoverCard, ...]
    total: int                      # that match
    counts: dict[CoverState, int]   # by state, of all that match the search


@dataclass(frozen=True, slots=True)
class ShownVersion:
    version: CoverVersion
    picture: Picture


@dataclass(frozen=True, slots=True)
class CoverView:
    as_of: datetime
    card: CoverCard
    url: str                             # that is published now: what `choose` expects
    versions: tuple[ShownVersion, ...]   # newest first


def cover_list_page(
    redrive: Redrive, *, search: str = "", states: Sequence[CoverState] = (), page: int = 1, page_size: int = 24,
) -> CoverPage:
    """One page of the gallery. Without `states` all. `search`: in titles, or a roadmap_id."""
    with redrive.engine.connect() as connection:
        found = cover_list.counts(connection, search=search.strip())
        counts = {state: found.get(state.value, 0) for state in CoverState}
        rows = cover_list.page(
            connection, search=search.strip(), states=[state.value for state in states], limit=page_size, offset=(page - 1) * page_size)
        published = cover_versions.published_of(connection, [row.roadmap_id for row in rows])
        cards = tuple(_card(redrive, row, published.get(row.roadmap_id)) for row in rows)
        return CoverPage(as_of(connection), cards, sum(counts[state] for state in states or CoverState), counts)


def cover(redrive: Redrive, roadmap_id: str) -> CoverView | None:
    """None: the roadmap is unknown or deleted."""
    with redrive.engine.connect() as connection:
        row = cover_list.one(connection, roadmap_id)
        if row is None:
            return None
        versions = cover_versions.of_roadmap(connection, roadmap_id)
        published = next((version for version in versions if version.is_published), None)
        shown = tuple(ShownVersion(version, _picture(redrive, version, version.large_url)) for version in versions)
        return CoverView(as_of(connection), _card(redrive, row, published), row.cover_image_url or "", shown)


def picture(redrive: Redrive, token: str) -> bytes:
    """The bytes of a picture. Raises FileNotFoundError for what is no token or is not there, PictureUnreachable when nobody can tell."""
    path = picture_path(token)
    if path is None:
        raise FileNotFoundError(token)
    try:
        return redrive.objects.get(path)
    except StoreUnreachable as exc:
        raise PictureUnreachable(str(exc)) from exc


def _card(redrive: Redrive, row: Any, published: CoverVersion | None) -> CoverCard:
    return CoverCard(
        row.roadmap_id, row.title, CoverState(row.state), _picture(redrive, published, row.cover_image_url or ""),
        without_secrets(row.problem_message or row.error_message or ""), row.detail or "", row.retry_count, row.since_at, row.updated_at)


def _picture(redrive: Redrive, version: CoverVersion | None, url: str) -> Picture:
    """The picture that the platform says it is; what is told of it comes from its version, where that is the same picture."""
    large = _served(redrive, url)
    if version is None or version.large_url != url:
        return Picture(large, large, kept_elsewhere="" if large else url)
    return Picture(
        large, _served(redrive, version.thumbnail_url) or large, version.alt_text, version.attribution, version.attribution_url,
        version.is_sample, version.generator, "" if large else url)


def _served(redrive: Redrive, url: str) -> str:
    token = token_of(url) if url.startswith(f"{redrive.objects.root_url}/") else ""
    return f"/covers/{token}.webp" if token else ""
