"""roadmap_cover_images: what the platform is told about the cover of a roadmap. Each change of state is one guarded UPDATE."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, TextClause, func, select, text, update

from backend.content.status import CoverStatus
from backend.storage.ops_tables import cover_versions
from backend.storage.platform_tables import roadmap_cover_images as covers
from backend.storage.platform_tables import roadmap_metadata

_IS_NO_SUCCESS = "c.generation_status <> 'success'"
_IS_UNPUBLISHED = f"({_IS_NO_SUCCESS} or btrim(coalesce(c.cover_image_url, '')) = '')"
_FIND = text("select generation_status, cover_image_url, error_message, retry_count from public.roadmap_cover_images "
             "where roadmap_id = :roadmap_id")


@dataclass(frozen=True, slots=True)
class CoverRow:
    status: str
    url: str
    error_message: str
    retry_count: int


@dataclass(frozen=True, slots=True)
class KeptCover:
    roadmap_id: str
    url: str
    thumbnail_url: str  # "": the platform's own, which has none


def find(connection: Connection, roadmap_id: str) -> CoverRow | None:
    row = connection.execute(_FIND, {"roadmap_id": roadmap_id}).one_or_none()
    return CoverRow(row.generation_status, row.cover_image_url or "", row.error_message or "", row.retry_count) if row else None


def begin(connection: Connection, roadmap_id: str, now: datetime) -> None:
    """-> generating, with a row where there is none. What the last try said stays until this one ends; so does a published picture."""
    _upsert(connection, roadmap_id, now, _IS_UNPUBLISHED, generation_status=CoverStatus.GENERATING)


def publish(connection: Connection, roadmap_id: str, url: str, now: datetime) -> None:
    """-> success with that picture."""
    _upsert(connection, roadmap_id, now, generation_status=CoverStatus.SUCCESS, cover_image_url=url, error_message=None)


def publish_first(connection: Connection, roadmap_id: str, url: str, now: datetime) -> bool:
    """The same, where nobody has published a picture. False: somebody has, and it stays."""
    return _upsert(connection, roadmap_id, now, _IS_UNPUBLISHED, generation_status=CoverStatus.SUCCESS, cover_image_url=url,
                   error_message=None)


def mark_failed(connection: Connection, roadmap_id: str, message: str, now: datetime) -> None:
    """generating, or not begun -> failed. A picture that somebody published in the meantime stays."""
    _upsert(connection, roadmap_id, now, _IS_NO_SUCCESS, generation_status=CoverStatus.FAILED, error_message=message)


def count_retry(connection: Connection, roadmap_id: str) -> None:
    """One more try after a failure has come to its end."""
    connection.execute(update(covers).where(covers.c.roadmap_id == roadmap_id).values(retry_count=covers.c.retry_count + 1))


def put_back(connection: Connection, roadmap_id: str, status: str | None) -> None:
    """generating -> what it was before; "pending" where there was no row. As old as its roadmap: what was missing is so at once again."""
    since = select(roadmap_metadata.c.created_at).where(roadmap_metadata.c.roadmap_id == covers.c.roadmap_id).scalar_subquery()
    connection.execute(update(covers).where(
        covers.c.roadmap_id == roadmap_id, covers.c.generation_status == CoverStatus.GENERATING,
    ).values(generation_status=status or CoverStatus.PENDING, updated_at=func.coalesce(since, covers.c.created_at)))


def _upsert(connection: Connection, roadmap_id: str, now: datetime, condition: str = "true", **values: object) -> bool:
    """False: the row is there, and is not so."""
    return connection.scalar(_upserting(tuple(values), condition), {"roadmap_id": roadmap_id, "now": now, **values}) is not None


@cache
def _upserting(names: tuple[str, ...], condition: str) -> TextClause:
    return text(
        f"insert into public.roadmap_cover_images as c (roadmap_id, retry_count, created_at, updated_at, {', '.join(names)}) "
        f"values (:roadmap_id, 0, :now, :now, {', '.join(f':{name}' for name in names)}) on conflict (roadmap_id) do update "
        f"set updated_at = :now, {', '.join(f'{name} = :{name}' for name in names)} where {condition} returning roadmap_id")


def mark_gone(connection: Connection, roadmap_id: str, url: str, message: str) -> bool:
    """success -> pending: its picture is not in the store any more. False: it has another one by now.

    updated_at stays: it is not new, so it is missing at once and not after the grace of what is young.
    """
    return connection.execute(update(covers).where(
        covers.c.roadmap_id == roadmap_id, covers.c.generation_status == CoverStatus.SUCCESS, covers.c.cover_image_url == url,
    ).values(generation_status=CoverStatus.PENDING, cover_image_url=None, error_message=message)).rowcount == 1


def kept_under(connection: Connection, root_url: str, after: str, limit: int) -> list[KeptCover]:
    """Published covers whose picture is below that address, in the order of their roadmaps."""
    rows = connection.execute(
        select(covers.c.roadmap_id, covers.c.cover_image_url, func.coalesce(cover_versions.c.thumbnail_url, "").label("thumbnail_url"))
        .outerjoin(cover_versions, (cover_versions.c.roadmap_id == covers.c.roadmap_id) & cover_versions.c.is_published
                   & (cover_versions.c.large_url == covers.c.cover_image_url))
        .where(
            covers.c.roadmap_id > after, covers.c.generation_status == CoverStatus.SUCCESS,
            func.starts_with(covers.c.cover_image_url, text(":root").bindparams(root=f"{root_url}/")))
        .order_by(covers.c.roadmap_id).limit(limit))
    return [KeptCover(*row) for row in rows]
