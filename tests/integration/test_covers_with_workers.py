"""A hundred covers in one action, with real workers, a real images API on loopback, and a bound on how many are painted at once."""

from collections import Counter

from pydantic import SecretStr
from sqlalchemy import select, text

from backend.actions import retry
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.storage.ops_tables import items
from backend.views.detection import counts_and_problems
from backend.views.triggered import triggered
from tests.factories import add_roadmap
from tests.integration.test_covers import add_bare
from tests.integration.test_retry_with_workers import completed
from tests.model_server import ModelServer
from tests.processes import MAINTENANCE, started, worker

COVERS = 100
CONCURRENCY = 8


def most_at_once(requests) -> int:
    """How many were being answered at the same time."""
    turns = sorted([(request.started_at, 1) for request in requests] + [(request.finished_at, -1) for request in requests])
    most = now = 0
    for _moment, step in turns:
        now += step
        most = max(most, now)
    return most


def test_a_hundred_covers_are_painted_once_each_and_those_that_are_there_stay_untouched(redrive, settings, operator):
    keys = add_bare(redrive, *(f"r{number:03}" for number in range(COVERS)))
    good = [ContentKey(ContentKind.COVER, add_roadmap(redrive.engine, f"good{number}")) for number in range(5)]
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        before = connection.execute(text("select * from roadmap_cover_images where roadmap_id like 'good%' order by 1")).all()
    plan = retry.plan(redrive, Scope.of(*good, *keys), operator)
    assert len(plan.included) == COVERS
    assert {(skipped.key, skipped.rule) for skipped in plan.excluded} == {(key, ExclusionRule.ALREADY_MADE) for key in good}

    with ModelServer(latency_seconds=0.1) as server:
        painting = settings.model_copy(update={
            "openai_base_url": server.base_url, "openai_api_key": SecretStr("test-key"), "image_model": "loopback-painter",
            "concurrency": CONCURRENCY})
        with started(painting, MAINTENANCE, worker("bulk")):
            operation_id = retry.confirm(redrive, plan, operator).operation_id
            progress = completed(redrive, operation_id)

    with redrive.engine.connect() as connection:
        states = Counter(connection.scalars(select(items.c.state)))
        after = connection.execute(text("select * from roadmap_cover_images where roadmap_id like 'good%' order by 1")).all()
        addresses = set(connection.scalars(text(
            "select cover_image_url from roadmap_cover_images where generation_status = 'success' and roadmap_id like 'r%'")))
    assert states == {ItemState.SUCCEEDED: COVERS}
    skipped, = triggered(redrive, operation_id, names=5).skipped
    assert (skipped.rule, skipped.count, sorted(skipped.names)) == (ExclusionRule.ALREADY_MADE, 5, sorted(key.owner_id for key in good))
    assert progress.outcome_healthy == COVERS
    assert after == before
    assert len(addresses) == COVERS
    assert len(server.requests) == COVERS
    assert 1 < most_at_once(server.requests) <= CONCURRENCY
