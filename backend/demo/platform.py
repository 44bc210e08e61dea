"""The demo platform as rows: what load writes. Pure: the same `now` gives the same platform."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.demo.catalogue import read_novel, read_roadmap
from backend.demo.incidents import NOVEL_RUNS, RUNS
from backend.demo.novel_rows import NovelRows, build_novel
from backend.demo.roadmap_rows import RoadmapRows, build_roadmap

Rows = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DemoPlatform:
    """Rows by table, each with every column that the demo fills, and the texts for the object store.

    content_url of a tutorial is the path of its text in `objects`: the store knows the address.
    """

    tasks: Rows
    roadmap_metadata: Rows
    tutorial_metadata: Rows
    resource_recommendation_metadata: Rows
    quiz_metadata: Rows
    roadmap_cover_images: Rows
    novels: Rows
    chapters: Rows
    options: Rows
    user_choices: Rows
    objects: Mapping[str, str]  # path -> Markdown
    concept_count: int          # also those of a framework that cannot be read


def build(now: datetime) -> DemoPlatform:
    """The whole platform as it stands at `now` (aware UTC), with the problems that incidents.EXPECTED counts.

    Raises ValueError if `now` is naive.
    """
    if now.tzinfo is None:
        raise ValueError("now has no time zone: pass an aware UTC datetime")
    sources = [read_roadmap(run.roadmap_id) for run in RUNS]
    roadmaps = [
        build_roadmap(source, run, _user_id(number), now)
        for number, (source, run) in enumerate(zip(sources, RUNS, strict=True), start=1)]
    # Every third user reads novels as well.
    novels = [
        build_novel(read_novel(run.novel_id), run, _user_id(3 * number), now)
        for number, run in enumerate(NOVEL_RUNS, start=1)]
    return DemoPlatform(
        tasks=_joined("tasks", *roadmaps, *novels),
        roadmap_metadata=_joined("roadmap_metadata", *roadmaps),
        tutorial_metadata=_joined("tutorial_metadata", *roadmaps),
        resource_recommendation_metadata=_joined("resource_recommendation_metadata", *roadmaps),
        quiz_metadata=_joined("quiz_metadata", *roadmaps),
        roadmap_cover_images=_joined("roadmap_cover_images", *roadmaps),
        novels=_joined("novels", *novels),
        chapters=_joined("chapters", *novels),
        options=_joined("options", *novels),
        user_choices=_joined("user_choices", *novels),
        objects={path: text for rows in roadmaps for path, text in rows.objects.items()},
        concept_count=sum(len(source.concepts) for source in sources),
    )


def _joined(table: str, *owners: RoadmapRows | NovelRows) -> Rows:
    return tuple(row for owner in owners for row in getattr(owner, table))


def _user_id(number: int) -> str:
    return f"user-{number:03}"
