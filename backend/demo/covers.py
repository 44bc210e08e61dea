"""Real pictures for the covers of the demo that are there: painted from their titles, and marked as samples."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy import Connection

from backend.content.cover_art import paint_cover
from backend.content.covers import new_picture_path
from backend.content.framework import read_framework
from backend.content.language import language_of
from backend.content.status import CoverStatus
from backend.content.written import Cover, CoverBrief, Written
from backend.demo.platform import DemoPlatform, Rows
from backend.storage import cover_versions
from backend.storage.cover_versions import StoredPictures
from backend.storage.objects import Objects

AT_ONCE = 4
Painted = tuple[Written[Cover], StoredPictures]


def paint(objects: Objects, demo: DemoPlatform) -> dict[str, Painted]:
    """By roadmap_id: a cover of each roadmap that has one, kept in the store. All of them take about half a second."""
    roadmaps = {row["roadmap_id"]: row for row in demo.roadmap_metadata}
    there = [row["roadmap_id"] for row in demo.roadmap_cover_images if row["generation_status"] == CoverStatus.SUCCESS]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        painted = threads.map(lambda roadmap_id: paint_cover(_brief(roadmaps[roadmap_id])), there)
        return {roadmap_id: (Written(cover, "offline", is_sample=True), _kept(objects, cover))
                for roadmap_id, cover in zip(there, painted, strict=True)}


def with_addresses(demo: DemoPlatform, painted: Mapping[str, Painted]) -> Rows:
    """The rows of covers, each with the address of its picture."""
    return tuple(row | {"cover_image_url": painted[row["roadmap_id"]][1].large_url} if row["roadmap_id"] in painted else row
                 for row in demo.roadmap_cover_images)


def note_versions(connection: Connection, painted: Mapping[str, Painted], now: datetime) -> None:
    """What is told of each picture: thumbnail, alt text, that it is a sample."""
    for roadmap_id, (written, pictures) in painted.items():
        cover_versions.insert_made(connection, roadmap_id, written, pictures, made_by="", now=now, is_published=True)


def _brief(roadmap: Mapping[str, object]) -> CoverBrief:
    concepts = read_framework(roadmap["framework_data"]).concepts
    topics = tuple(dict.fromkeys(concept.stage_name for concept in concepts if concept.stage_name))
    title = str(roadmap["title"])
    return CoverBrief(str(roadmap["roadmap_id"]), title, language_of(title), topics)


def _kept(objects: Objects, cover: Cover) -> StoredPictures:
    return StoredPictures(*(objects.put_picture(new_picture_path(), picture) for picture in (cover.large, cover.thumbnail)))
