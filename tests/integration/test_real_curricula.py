"""Real input: two curricula of 199 concepts, a third of their content broken in five ways, mended with one action."""

from pathlib import Path

import pytest
from sqlalchemy import select, text

from backend.actions import retry
from backend.actions.imports import import_files
from backend.content.framework import read_framework
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.storage.contents import lock_roadmap, patch_concept
from backend.storage.platform_tables import roadmap_metadata
from backend.views.detection import counts_and_problems
from tests.factories import add, add_content
from tests.integration.test_retry_with_workers import completed
from tests.processes import MAINTENANCE, started, worker

CURRICULA = Path(__file__).resolve().parents[3] / "shared" / "data" / "roadmaps"
ROWS = {ContentKind.TUTORIAL: "tutorial_metadata", ContentKind.RESOURCES: "resource_recommendation_metadata",
        ContentKind.QUIZ: "quiz_metadata"}
STATUS = {ContentKind.TUTORIAL: "content_status", ContentKind.RESOURCES: "resources_status", ContentKind.QUIZ: "quiz_status"}
EMPTIED = {ContentKind.TUTORIAL: "content_url = ''", ContentKind.RESOURCES: "resources = '[]'", ContentKind.QUIZ: "questions = '[]'"}

pytestmark = pytest.mark.skipif(not CURRICULA.is_dir(), reason="the curricula of ../shared/data are not here")


def written_platform(redrive, operator) -> list[ContentKey]:
    """Both curricula, every concept written and healthy, with covers. Returns all keys of concepts."""
    import_files(redrive, operator, sorted(CURRICULA.glob("*.json")))
    keys = []
    with redrive.engine.begin() as connection:
        for row in connection.execute(select(roadmap_metadata.c.roadmap_id, roadmap_metadata.c.framework_data)).all():
            add(connection, "roadmap_cover_images", {
                "roadmap_id": row.roadmap_id, "cover_image_url": "file:///c.webp", "generation_status": "success"})
            for concept in read_framework(row.framework_data).concepts:
                patch_concept(connection, row.roadmap_id, concept, dict.fromkeys(STATUS.values(), "completed"))
                for kind in CONCEPT_KINDS:
                    add_content(connection, row.roadmap_id, concept.concept_id, kind)
                    keys.append(ContentKey(kind, row.roadmap_id, concept.concept_id))
        connection.execute(text("update roadmap_metadata set created_at = now() - interval '1 day'"))
    return keys


def break_content(redrive, key: ContentKey, way: ProblemKind) -> None:
    row = {"r": key.owner_id, "c": key.part}
    with redrive.engine.begin() as connection:
        if way in (ProblemKind.FAILED, ProblemKind.MISSING, ProblemKind.STALE):
            connection.execute(text(f"delete from {ROWS[key.kind]} where roadmap_id = :r and concept_id = :c"), row)
        if way is ProblemKind.INVALID:
            connection.execute(text(f"update {ROWS[key.kind]} set {EMPTIED[key.kind]} where roadmap_id = :r and concept_id = :c"), row)
        declared = {ProblemKind.FAILED: "failed", ProblemKind.STALE: "generating", ProblemKind.DRIFTED: None}.get(way, "completed")
        concept = lock_roadmap(connection, key.owner_id).framework.concept(key.part)
        patch_concept(connection, key.owner_id, concept, {STATUS[key.kind]: declared})


def test_a_third_of_real_content_broken_in_five_ways_is_mended_with_one_action(redrive, settings, operator):
    keys = written_platform(redrive, operator)
    assert counts_and_problems(redrive).problems == ()
    ways = [ProblemKind.FAILED, ProblemKind.MISSING, ProblemKind.STALE, ProblemKind.INVALID, ProblemKind.DRIFTED]
    broken = {key: ways[at % len(ways)] for at, key in enumerate(keys[::3])}
    for key, way in broken.items():
        break_content(redrive, key, way)

    found = {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}
    with started(settings, MAINTENANCE, worker("bulk")):
        plan = retry.plan(redrive, Scope.everything(), operator)
        progress = completed(redrive, retry.confirm(redrive, plan, operator).operation_id, seconds=120)

    assert len(keys) == 199 * 3
    assert found == broken
    assert plan.keys == set(broken)
    assert plan.repairs == sum(way is ProblemKind.DRIFTED for way in broken.values())
    assert progress.counts[ItemState.SUCCEEDED] == len(broken) == 199
    assert counts_and_problems(redrive).problems == ()
