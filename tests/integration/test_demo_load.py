"""Loading and resetting the demo in a real database, and what the detector says about it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, text

from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.demo.incidents import AGENT, EXPECTED, LEARNING, NIGHT_SKY, PHOTOGRAPHY, POSTGRES, TEA
from backend.demo.load import DemoCounts, NotTheDemo, load_demo, reset_demo
from backend.redrive import Redrive
from backend.storage.ops_tables import audit_log, items
from backend.storage.platform_tables import platform, roadmap_metadata, tasks, tutorial_metadata
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap


def count_rows(redrive: Redrive) -> dict[str, int]:
    with redrive.engine.connect() as connection:
        return {table.name: connection.scalar(select(func.count()).select_from(table)) for table in platform.sorted_tables}


def problems_of(redrive: Redrive, owner_id: str) -> Counter:
    found = counts_and_problems(redrive, rebuild=True).problems
    return Counter((problem.key.kind, problem.kind) for problem in found if problem.key.owner_id == owner_id)


def test_the_detector_finds_exactly_the_problems_that_the_demo_declares(redrive):
    load_demo(redrive)

    found = counts_and_problems(redrive, rebuild=True).problems

    assert Counter((problem.key.kind, problem.kind) for problem in found) == EXPECTED
    assert {PHOTOGRAPHY, TEA}.isdisjoint(problem.key.owner_id for problem in found)


def test_the_detector_finds_both_incidents(redrive):
    load_demo(redrive)

    assert problems_of(redrive, AGENT) == {
        (ContentKind.TUTORIAL, ProblemKind.MISSING): 11, (ContentKind.TUTORIAL, ProblemKind.STALE): 10}
    assert problems_of(redrive, POSTGRES) == {
        (ContentKind.TUTORIAL, ProblemKind.MISSING): 3, (ContentKind.TUTORIAL, ProblemKind.STALE): 2,
        (ContentKind.TUTORIAL, ProblemKind.FAILED): 6}
    assert problems_of(redrive, LEARNING) == {
        (kind, problem): count
        for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ)
        for problem, count in ((ProblemKind.DRIFTED, 10), (ProblemKind.MISSING, 24))}
    assert set(problems_of(redrive, NIGHT_SKY).values()) == {8}


def test_loading_says_how_much_it_loaded(redrive):
    counts = load_demo(redrive)

    rows = count_rows(redrive)
    assert counts == DemoCounts(
        roadmaps=rows["roadmap_metadata"], concepts=222, novels=rows["novels"], chapters=rows["chapters"], tasks=rows["tasks"],
        objects=137)
    assert all(rows.values())


def test_every_saved_tutorial_can_be_read_from_the_object_store(redrive):
    load_demo(redrive)
    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(tutorial_metadata.c.title, tutorial_metadata.c.content_url).where(tutorial_metadata.c.content_url.is_not(None))).all()

    assert len(rows) == 137
    for title, url in rows:
        assert redrive.objects.get_text(url).startswith(f"# {title}\n")


def test_absent_json_is_sql_null_and_not_a_json_null(redrive):
    load_demo(redrive)

    with redrive.engine.connect() as connection:
        recorded = connection.scalars(
            select(tasks.c.roadmap_id).where(tasks.c.failed_concepts.is_not(None)).order_by(tasks.c.roadmap_id)).all()

    assert recorded == ["distributed-systems", "postgresql-in-production", "rust-in-practice", "street-photography"]


def test_load_refuses_a_database_that_holds_rows_and_leaves_it_alone(redrive):
    add_roadmap(redrive.engine)
    before = count_rows(redrive)

    with pytest.raises(NotTheDemo, match="already holds rows"):
        load_demo(redrive)

    assert count_rows(redrive) == before


def test_two_processes_that_load_at_once_load_one_demo(redrive):
    def load(_number: int) -> str:
        try:
            load_demo(redrive)
        except NotTheDemo:
            return "refused"
        return "loaded"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(load, range(2)))

    assert outcomes == ["loaded", "refused"]
    assert count_rows(redrive)["roadmap_metadata"] == 15


def test_reset_refuses_a_database_without_the_mark_and_deletes_nothing(redrive):
    add_roadmap(redrive.engine)
    before = count_rows(redrive)

    with pytest.raises(NotTheDemo, match="nothing was deleted"):
        reset_demo(redrive)

    assert count_rows(redrive) == before


def test_reset_brings_back_the_beginning_as_of_now(redrive):
    counts = load_demo(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_metadata where roadmap_id = 'music-theory'"))
        connection.execute(text("update tasks set updated_at = updated_at - interval '9 days'"))
        connection.execute(insert(audit_log).values(actor_id="a", actor_role="admin", action="retry"))
        connection.execute(insert(roadmap_metadata).values(roadmap_id="mine", user_id="user-1", title="Mine"))
    counts_and_problems(redrive, rebuild=True)

    again = reset_demo(redrive)

    assert again == counts
    with redrive.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audit_log)) == 0
        newest = connection.scalar(select(func.max(tasks.c.updated_at)))
    assert datetime.now(UTC) - newest < timedelta(minutes=1)
    found = counts_and_problems(redrive, rebuild=True).problems
    assert Counter((problem.key.kind, problem.kind) for problem in found) == EXPECTED


def test_reset_never_gives_the_id_of_an_old_item_to_a_new_one(redrive):
    load_demo(redrive)
    item = {
        "operation_id": "o1", "kind": "tutorial", "owner_id": AGENT, "part": "latency-budget", "action": "generate",
        "state": "planned", "problem_kind": "missing"}
    with redrive.engine.begin() as connection:
        before = connection.scalar(insert(items).values(item).returning(items.c.item_id))

    reset_demo(redrive)

    with redrive.engine.begin() as connection:
        assert connection.scalar(insert(items).values(item).returning(items.c.item_id)) > before
