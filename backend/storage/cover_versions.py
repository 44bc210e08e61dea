"""ops.cover_versions: pictures of a roadmap, made, uploaded or taken over from the platform; at most one of them is published.

Whoever changes them holds the roadmap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, select, text, update

from backend.content.covers import CoverVersionState
from backend.content.written import Cover, Written
from backend.storage.ops_tables import cover_versions


@dataclass(frozen=True, slots=True)
class CoverVersion:
    version_id: str
    roadmap_id: str
    state: CoverVersionState
    made_by: str
    large_url: str
    thumbnail_url: str
    alt_text: str
    attribution: str
    attribution_url: str
    generator: str
    note: str
    error_message: str
    is_sample: bool
    is_published: bool
    item_id: int | None
    created_at: datetime
    made_at: datetime | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPictures:
    large_url: str
    thumbnail_url: str


def insert_wanted(connection: Connection, roadmap_id: str, *, item_id: int, made_by: str, note: str, now: datetime) -> str:
    """A version that is to be made, beside what is published."""
    return _insert(connection, roadmap_id=roadmap_id, state=CoverVersionState.GENERATING, made_by=made_by, note=note, item_id=item_id,
                   created_at=now)


def insert_made(
    connection: Connection, roadmap_id: str, written: Written[Cover], pictures: StoredPictures, *, made_by: str, now: datetime,
    item_id: int | None = None, is_published: bool = False,
) -> str:
    """A version that is ready; with `is_published` in place of the one that was."""
    version_id = str(uuid4())
    connection.execute(_INSERT_MADE, {
        "version_id": version_id, "roadmap_id": roadmap_id, "made_by": made_by, "item_id": item_id, "is_published": is_published,
        "published_at": now if is_published else None, **_made(written, pictures, now)})
    return version_id


_INSERT_MADE = text(
    "with withdrawn as (update ops.cover_versions set is_published = false "
    "  where cast(:is_published as boolean) and roadmap_id = :roadmap_id and is_published returning version_id) "
    "insert into ops.cover_versions (version_id, roadmap_id, state, made_by, large_url, thumbnail_url, alt_text, attribution, "
    "  attribution_url, generator, is_sample, is_published, item_id, created_at, made_at, published_at) "
    "select :version_id, :roadmap_id, 'ready', :made_by, :large_url, :thumbnail_url, :alt_text, :attribution, :attribution_url, "
    "  :generator, :is_sample, :is_published, :item_id, :made_at, :made_at, cast(:published_at as timestamptz) "
    "from (select count(*) from withdrawn) w")  # counted, so that it is withdrawn before


def insert_taken_over(connection: Connection, roadmap_id: str, url: str, now: datetime) -> str:
    """What the platform itself had published: to go back to."""
    return _insert(connection, roadmap_id=roadmap_id, state=CoverVersionState.READY, made_by="", generator="platform", large_url=url,
                   created_at=now, made_at=None)


def _insert(connection: Connection, **values: object) -> str:
    version_id = str(uuid4())
    connection.execute(insert(cover_versions).values(version_id=version_id, **values))
    return version_id


def _made(written: Written[Cover], pictures: StoredPictures, now: datetime) -> dict[str, object]:
    cover = written.content
    return {
        "large_url": pictures.large_url, "thumbnail_url": pictures.thumbnail_url, "alt_text": cover.alt_text,
        "attribution": cover.attribution, "attribution_url": cover.attribution_url, "generator": written.generator,
        "is_sample": written.is_sample, "made_at": now}


def finish(connection: Connection, item_id: int, written: Written[Cover], pictures: StoredPictures, now: datetime) -> bool:
    """generating -> ready. False: it is gone."""
    return connection.execute(update(cover_versions).where(
        cover_versions.c.item_id == item_id, cover_versions.c.state == CoverVersionState.GENERATING,
    ).values(state=CoverVersionState.READY, **_made(written, pictures, now))).rowcount == 1


def mark_failed(connection: Connection, item_id: int, message: str) -> None:
    """generating -> failed."""
    connection.execute(update(cover_versions).where(
        cover_versions.c.item_id == item_id, cover_versions.c.state == CoverVersionState.GENERATING,
    ).values(state=CoverVersionState.FAILED, error_message=message))


def mark_gone(connection: Connection, version_id: str, message: str) -> bool:
    """ready -> failed, of one that is not published: its picture is not in the store any more."""
    return connection.execute(update(cover_versions).where(
        cover_versions.c.version_id == version_id, cover_versions.c.state == CoverVersionState.READY, ~cover_versions.c.is_published,
    ).values(state=CoverVersionState.FAILED, error_message=message)).rowcount == 1


def describe(connection: Connection, version_id: str, alt_text: str) -> CoverVersion | None:
    """The words that tell a picture. The version as it was before; None: there is no such one, or it has no picture."""
    before = find(connection, version_id)
    if before is None or before.state is not CoverVersionState.READY:
        return None
    connection.execute(update(cover_versions).where(cover_versions.c.version_id == version_id).values(alt_text=alt_text))
    return before


def mark_published(connection: Connection, roadmap_id: str, version_id: str, now: datetime) -> None:
    withdraw(connection, roadmap_id)
    connection.execute(update(cover_versions).where(cover_versions.c.version_id == version_id).values(is_published=True, published_at=now))


def withdraw(connection: Connection, roadmap_id: str) -> None:
    """None of them is published any more."""
    connection.execute(update(cover_versions).where(
        cover_versions.c.roadmap_id == roadmap_id, cover_versions.c.is_published).values(is_published=False))


def find(connection: Connection, version_id: str) -> CoverVersion | None:
    return _one(connection, cover_versions.c.version_id == version_id)


def of_item(connection: Connection, item_id: int) -> CoverVersion | None:
    return _one(connection, cover_versions.c.item_id == item_id)


def of_address(connection: Connection, roadmap_id: str, url: str) -> CoverVersion | None:
    return _one(connection, (cover_versions.c.roadmap_id == roadmap_id) & (cover_versions.c.large_url == url))


def of_roadmap(connection: Connection, roadmap_id: str) -> tuple[CoverVersion, ...]:
    """Newest first."""
    rows = connection.execute(select(cover_versions).where(cover_versions.c.roadmap_id == roadmap_id)
                              .order_by(cover_versions.c.created_at.desc(), cover_versions.c.version_id))
    return tuple(map(_version, rows))


def published_of(connection: Connection, roadmap_ids: Sequence[str]) -> dict[str, CoverVersion]:
    rows = connection.execute(select(cover_versions).where(
        cover_versions.c.roadmap_id.in_(roadmap_ids), cover_versions.c.is_published))
    return {row.roadmap_id: _version(row) for row in rows}


def _one(connection: Connection, condition: Any) -> CoverVersion | None:
    row = connection.execute(select(cover_versions).where(condition).order_by(cover_versions.c.created_at.desc()).limit(1)).one_or_none()
    return _version(row) if row else None


def _version(row: Any) -> CoverVersion:
    return CoverVersion(**(dict(row._mapping) | {"state": CoverVersionState(row.state)}))
