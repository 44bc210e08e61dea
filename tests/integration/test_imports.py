"""Importing roadmaps and novels: all files of a call or none, and every refusal names the file and the place."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.actions.actors import Actor, NotAllowed, Role
from backend.actions.imports import ImportedCounts, ImportRefused, import_files
from backend.content.problems import ProblemKind
from backend.redrive import Redrive
from backend.storage.ops_tables import audit_log
from backend.storage.platform_tables import chapters, novels, options, platform, roadmap_metadata, user_choices
from backend.views.detection import counts_and_problems
from tests.factories import add_novel, add_roadmap

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ADMIN = Actor("test admin", Role.ADMIN)


def roadmap(roadmap_id: str = "knots", **fields: Any) -> dict[str, Any]:
    concepts = [
        {"concept_id": "m:bowline", "name": "Bowline", "estimated_hours": 2.5, "keywords": ["loop"]},
        {"concept_id": "m:sheet-bend", "name": "Sheet bend", "estimated_hours": 4, "prerequisites": ["m:bowline"]}]
    return {
        "roadmap_id": roadmap_id, "title": "Knots",
        "stages": [{"stage_id": "s", "name": "Stage", "modules": [{"module_id": "m", "name": "Module", "concepts": concepts}]}],
        **fields}


def novel(novel_id: str = "tale", *, count: int = 3, **fields: Any) -> dict[str, Any]:
    return {
        "novel": novel_id, "title": "A Tale", "author": "Nobody", "language": "en",
        "chapters": [{"chapter_number": n, "title": f"Part {n}", "content": f"Text {n}."} for n in range(1, count + 1)], **fields}


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path
    return write


def count_all(redrive: Redrive) -> int:
    with redrive.engine.connect() as connection:
        return sum(connection.scalar(select(func.count()).select_from(table)) for table in platform.sorted_tables)


def refusal(redrive: Redrive, *paths: Path) -> tuple[str, ...]:
    before = count_all(redrive)
    with pytest.raises(ImportRefused) as refused:
        import_files(redrive, ADMIN, paths)
    assert count_all(redrive) == before
    return refused.value.faults


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_real_curricula_and_books_are_imported_in_one_go(redrive):
    counts = import_files(redrive, ADMIN, sorted(SHARED.glob("*/*.json")))

    assert counts == ImportedCounts(roadmaps=2, novels=2, concepts=199, chapters=24)
    with redrive.engine.connect() as connection:
        title = connection.scalar(select(novels.c.title).where(novels.c.id == "journey-to-the-west"))
        last_options = connection.scalars(
            select(options.c.option_text).join(chapters, chapters.c.id == options.c.chapter_id)
            .where(chapters.c.chapter_number.in_((11, 12))).order_by(chapters.c.novel_id, chapters.c.chapter_number)).all()
    assert title == "西游记"
    assert last_options == ["Read on: Alice's Evidence", "The end", "继续：第十二回 玄奘秉诚建大会 观音显象化金蝉", "全书完"]
    found = counts_and_problems(redrive, rebuild=True).problems
    assert {problem.key.owner_id for problem in found}.isdisjoint({"alice", "journey-to-the-west"})


def test_an_imported_roadmap_is_pending_and_keeps_keys_that_nobody_knows(redrive, write):
    given = roadmap(licence="MIT", recommended_completion_weeks=3)
    given["stages"][0]["modules"][0]["concepts"][0] |= {"content_status": "completed", "content_ref": "t-1", "emoji": "🪢"}

    counts = import_files(redrive, ADMIN, [write("knots.json", given)])

    assert counts == ImportedCounts(roadmaps=1, novels=0, concepts=2, chapters=0)
    with redrive.engine.connect() as connection:
        row = connection.execute(select(roadmap_metadata)).one()
    first, second = row.framework_data["stages"][0]["modules"][0]["concepts"]
    assert (row.user_id, row.title, row.total_estimated_hours, row.recommended_completion_weeks) == ("test admin", "Knots", 6.5, 3)
    assert row.framework_data["licence"] == "MIT"
    assert row.framework_data["total_estimated_hours"] == 6.5
    assert (first["emoji"], first["keywords"], second["prerequisites"]) == ("🪢", ["loop"], ["m:bowline"])
    for concept in (first, second):
        assert concept["content_status"] == concept["resources_status"] == concept["quiz_status"] == "pending"
        assert concept["content_ref"] is concept["resources_id"] is concept["quiz_id"] is None


def test_an_imported_roadmap_is_missing_its_content_once_the_grace_period_is_over(redrive, write):
    import_files(redrive, ADMIN, [write("knots.json", roadmap())])
    fresh = counts_and_problems(redrive, rebuild=True).problems
    with redrive.engine.begin() as connection:
        connection.execute(roadmap_metadata.update().values(created_at=func.now() - func.make_interval(0, 0, 0, 2)))

    late = counts_and_problems(redrive, rebuild=True).problems

    assert fresh == ()
    assert {problem.kind for problem in late} == {ProblemKind.MISSING}
    assert len([problem for problem in late if problem.key.part]) == 6


def test_an_imported_novel_is_healthy_and_leads_from_chapter_to_chapter(redrive, write):
    import_files(redrive, ADMIN, [write("tale.json", novel())])

    with redrive.engine.connect() as connection:
        rows = connection.execute(
            select(chapters.c.chapter_number, chapters.c.status, options.c.option_text, user_choices.c.option_id == options.c.id)
            .join(options, options.c.chapter_id == chapters.c.id)
            .outerjoin(user_choices, user_choices.c.chapter_id == chapters.c.id).order_by(chapters.c.chapter_number)).all()
        setting = connection.scalar(select(novels.c.setting))
    assert [tuple(row) for row in rows] == [
        (1, "completed", "Read on: Part 2", True), (2, "completed", "Read on: Part 3", True), (3, "completed", "The end", None)]
    assert setting == "A Tale (Nobody)"
    assert counts_and_problems(redrive, rebuild=True).problems == ()


def test_a_novel_of_one_chapter_needs_no_choice(redrive, write):
    import_files(redrive, ADMIN, [write("tale.json", novel(count=1, language="zh-CN"))])

    with redrive.engine.connect() as connection:
        assert connection.scalars(select(options.c.option_text)).all() == ["全书完"]
    assert counts_and_problems(redrive, rebuild=True).problems == ()


def test_an_import_leaves_a_line_in_the_audit_log(redrive, write):
    import_files(redrive, ADMIN, [write("knots.json", roadmap()), write("tale.json", novel())])

    with redrive.engine.connect() as connection:
        line = connection.execute(select(audit_log)).one()
    assert (line.actor_id, line.actor_role, line.action, line.scope) == ("test admin", "admin", "import", "knots, tale")
    assert line.result == "1 roadmaps with 2 concepts, 1 novels with 3 chapters"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_imports(redrive, write, role):
    with pytest.raises(NotAllowed):
        import_files(redrive, Actor("somebody", role), [write("tale.json", novel())])

    assert count_all(redrive) == 0


def test_an_id_that_exists_is_named_and_nothing_else_of_the_call_is_imported(redrive, write):
    add_roadmap(redrive.engine, "knots")
    add_novel(redrive.engine, "tale")
    fresh = write("fresh.json", novel("fresh"))

    faults = refusal(redrive, fresh, write("a.json", roadmap()), write("b.json", novel()))

    assert faults == ("a.json: knots exists already; nothing was imported", "b.json: tale exists already; nothing was imported")


def test_the_same_id_twice_in_one_call_is_refused(redrive, write):
    assert refusal(redrive, write("a.json", novel()), write("b.json", novel())) == ("b.json: tale is already in a.json",)


def test_a_roadmap_and_a_novel_may_bear_the_same_id(redrive, write):
    counts = import_files(redrive, ADMIN, [write("a.json", roadmap("twin")), write("b.json", novel("twin"))])

    assert (counts.roadmaps, counts.novels) == (1, 1)


def test_the_faults_of_all_files_are_told_at_once(redrive, write):
    broken = novel()
    del broken["chapters"][1]["content"]
    untitled = roadmap(title=" ")
    untitled["stages"][0]["modules"][0]["concepts"][1]["estimated_hours"] = "four"

    faults = refusal(redrive, write("alice.json", broken), write("knots.json", untitled), write("good.json", novel("good")))

    assert faults == (
        "alice.json: chapters[1].content: field required",
        "knots.json: title: it is blank",
        "knots.json: stages[0].modules[0].concepts[1].estimated_hours: input should be a valid number")


def changed(**fields: Any) -> dict[str, Any]:
    """A novel whose second chapter is changed."""
    given = novel()
    given["chapters"][1] |= fields
    return given


@pytest.mark.parametrize(("content", "fault"), [
    (changed(content="a\x00b"), "chapters[1].content holds the character U+0000, which the database cannot store."),
    (changed(title="\ud83d"), "chapters[1].title holds the character U+D83D, which the database cannot store."),
    (changed(**{"no\x00te": 1}), "'no\\x00te' holds the character U+0000, which the database cannot store."),
    (changed(content=" \n"), "chapters[1].content: it is blank"),
    (changed(chapter_number=4), "chapters[1].chapter_number: 4 is there, 2 was expected"),
    (novel(count=0), "chapters: there is none"),
    (novel("a:b"), "novel: up to 200 letters, digits, dots, hyphens and underscores were expected, with no dot or hyphen in front"),
    (novel("../x"), "novel: up to 200 letters, digits, dots, hyphens and underscores were expected, with no dot or hyphen in front"),
    (roadmap(stages=[]), "stages: there is no concept in them"),
    (roadmap(stages={}), "stages: input should be a valid list"),
    (roadmap(note=float("inf")), "Infinity is no number that can be stored"),
    ('{"stages": [], "note": 1e999}', "1e999 is no number that can be stored"),
    ([], "neither a roadmap (an object with stages) nor a novel (an object with chapters)"),
    ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ("[" * 100_000, "nested too deeply"),
])
def test_a_file_that_cannot_be_stored_is_refused_with_its_reason(redrive, write, content, fault):
    assert refusal(redrive, write("x.json", content)) == (f"x.json: {fault}",)


def test_a_concept_id_that_occurs_twice_is_refused_with_its_place(redrive, write):
    twice = roadmap()
    twice["stages"][0]["modules"][0]["concepts"][1]["concept_id"] = "m:bowline"

    assert refusal(redrive, write("x.json", twice)) == (
        "x.json: stages[0].modules[0].concepts[1].concept_id: 'm:bowline' occurs twice",)


def test_a_file_with_a_byte_order_mark_is_read(redrive, write):
    path = write("bom.json", b"\xef\xbb\xbf" + json.dumps(novel()).encode())

    assert import_files(redrive, ADMIN, [path]).novels == 1


def test_an_absent_file_and_no_file_at_all_are_refused(redrive, tmp_path):
    assert refusal(redrive, tmp_path / "absent.json") == ("absent.json: No such file or directory",)
    assert refusal(redrive) == ("No file was named. Name at least one JSON file.",)
