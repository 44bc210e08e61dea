"""ops.problems: what a drain keeps, leaves alone and forgets, and that nobody waits for it."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import ProblemKind
from backend.storage import problems as kept
from backend.views.detection import counts_and_problems
from tests.factories import add_novel, add_roadmap, add_task, ago, concept, framework
from tests.oracle import expected_problems

R1 = Owner(OwnerKind.ROADMAP, "r1")
QUIZ = ContentKey(ContentKind.QUIZ, "r1", "a")


@pytest.fixture
def broken_roadmap(redrive) -> str:
    """A roadmap with one missing quiz, already listed."""
    add_roadmap(redrive.engine, concepts=[concept("a"), concept("b")], unsaved=[(ContentKind.QUIZ, "a")])
    drain(redrive)
    return "r1"


def drain(redrive, **options) -> kept.Drained:
    return kept.drain(redrive.engine, options.pop("clock", utc_now), redrive.limits, **options)


def execute(engine: Engine, *statements: str, **parameters: object) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), parameters)


def listed(redrive, columns: str) -> list[tuple]:
    with redrive.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"select {columns} from ops.problems order by kind, owner_id, part"))]


def found(redrive) -> dict[ContentKey, ProblemKind]:
    return {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}


def oracle(redrive) -> dict[ContentKey, ProblemKind]:
    with redrive.engine.connect() as connection:
        return expected_problems(connection, utc_now(), redrive.limits)


@pytest.mark.parametrize("odd", [None, [], "text", {"stages": 7}, {"stages": [{"modules": [{"concepts": [{"concept_id": 5}]}]}]}])
def test_a_roadmap_that_cannot_be_read_hides_no_other(redrive, odd):
    add_roadmap(redrive.engine, "bad", framework_data=odd)
    add_roadmap(redrive.engine, "good", concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")])

    assert found(redrive) == {
        ContentKey(ContentKind.FRAMEWORK, "bad"): ProblemKind.UNREADABLE, ContentKey(ContentKind.QUIZ, "good", "a"): ProblemKind.MISSING}


def test_concepts_beside_a_fault_are_judged_all_the_same(redrive):
    data = framework(concept("a", quiz_status="failed"))
    data["stages"].append({"modules": "odd"})
    add_roadmap(redrive.engine, framework_data=data)

    problems = {problem.key: problem for problem in counts_and_problems(redrive).problems}

    assert {key.kind: problem.kind for key, problem in problems.items()} == {
        ContentKind.FRAMEWORK: ProblemKind.UNREADABLE, ContentKind.TUTORIAL: ProblemKind.MISSING,
        ContentKind.RESOURCES: ProblemKind.MISSING, ContentKind.QUIZ: ProblemKind.FAILED}
    assert problems[ContentKey(ContentKind.FRAMEWORK, "r1")].detail == "$.stages[1].modules: a list was expected, a text is there"


@pytest.mark.parametrize("unstorable", ["\\u0000", "\\ud83d", "1e999999"])
def test_json_that_the_database_itself_cannot_read_hides_no_other_roadmap(redrive, unstorable):
    execute(redrive.engine, "alter table roadmap_metadata alter column framework_data type json")
    for number in range(9):
        add_roadmap(redrive.engine, f"r{number}", concepts=[concept("a")], unsaved=[(ContentKind.QUIZ, "a")] if number % 2 else [])
    value = unstorable if unstorable[0] == "1" else f'"{unstorable}"'
    execute(redrive.engine, "update roadmap_metadata set framework_data = cast(:data as json) where roadmap_id = 'r4'",
            data=f'{{"stages": [], "note": {value}}}')

    problems = {problem.key: problem for problem in counts_and_problems(redrive).problems}

    assert {key: problem.kind for key, problem in problems.items()} == {
        ContentKey(ContentKind.FRAMEWORK, "r4"): ProblemKind.UNREADABLE,
        **{ContentKey(ContentKind.QUIZ, f"r{number}", "a"): ProblemKind.MISSING for number in (1, 3, 5, 7)}}
    assert problems[ContentKey(ContentKind.FRAMEWORK, "r4")].detail.startswith("$: ")


def test_the_time_a_problem_was_first_seen_stays_when_it_is_found_again(redrive, broken_roadmap):
    first_seen = listed(redrive, "first_seen_at")

    execute(redrive.engine, "update roadmap_metadata set title = 'New title'")
    drain(redrive, clock=lambda: utc_now() + timedelta(hours=1))

    assert listed(redrive, "first_seen_at, owner_title") == [(*first_seen[0], "New title")]


def test_a_problem_that_was_gone_and_came_back_is_seen_anew(redrive, broken_roadmap):
    first_seen = listed(redrive, "first_seen_at")
    execute(redrive.engine, "insert into quiz_metadata (quiz_id, concept_id, roadmap_id, questions) values ('q', 'a', 'r1', '[{}]')")
    drain(redrive)

    execute(redrive.engine, "delete from quiz_metadata where quiz_id = 'q'")
    drain(redrive)

    assert listed(redrive, "first_seen_at") > first_seen


def test_what_did_not_change_is_not_written_again(redrive, broken_roadmap):
    before = listed(redrive, "xmin::text, ctid::text")

    kept.mark_all_dirty(redrive.engine)
    drained = drain(redrive)

    assert drained == kept.Drained(owners=1, problems=1)
    assert listed(redrive, "xmin::text, ctid::text") == before


def test_a_drain_with_nothing_to_do_looks_at_nobody(redrive, broken_roadmap):
    assert drain(redrive) == kept.Drained(owners=0, problems=0)


@pytest.mark.parametrize("removal", [
    "delete from roadmap_metadata where roadmap_id = 'r1'", "update roadmap_metadata set deleted_at = now()",
    "update roadmap_metadata set roadmap_id = 'renamed', framework_data = '{\"stages\": []}'"])
def test_problems_of_an_owner_that_is_gone_vanish(redrive, broken_roadmap, removal):
    execute(redrive.engine, removal)
    drain(redrive)

    assert [row for row in listed(redrive, "owner_id") if row[0] == "r1"] == []


def test_a_rebuild_forgets_owners_that_vanished_behind_the_triggers(redrive, broken_roadmap):
    add_novel(redrive.engine, "n1")
    drain(redrive)
    execute(redrive.engine, "truncate roadmap_metadata, novels cascade", "delete from ops.dirty")  # as if no trigger had fired

    kept.mark_all_dirty(redrive.engine)
    drain(redrive)

    assert listed(redrive, "kind") == []


def test_a_roadmap_and_a_novel_of_the_same_id_keep_their_problems_apart(redrive, broken_roadmap):
    add_novel(redrive.engine, "r1")
    drain(redrive)

    execute(redrive.engine, "delete from novels")
    drain(redrive)

    assert found(redrive) == {QUIZ: ProblemKind.MISSING}


def test_a_good_row_beside_broken_ones_makes_the_key_healthy(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    execute(
        redrive.engine,
        "insert into quiz_metadata (quiz_id, concept_id, roadmap_id, questions) values ('other', 'a', 'r1', '[]')",
        "insert into tutorial_metadata (tutorial_id, concept_id, roadmap_id, content_status, content_version) "
        "values ('other', 'a', 'r1', 'failed', 2)")

    assert found(redrive) == {}


@pytest.mark.parametrize("blank", [None, "", " \n\t", "\u00a0", "\u3000\u3000"])
def test_a_chapter_of_nothing_but_blanks_is_invalid(redrive, blank):
    add_novel(redrive.engine, chapters=[{}, {"content": blank}])

    problems = counts_and_problems(redrive).problems

    assert [(problem.key.part, problem.kind, problem.detail) for problem in problems] == [("2", ProblemKind.INVALID, "no text")]


@pytest.mark.parametrize("blank", [None, "", " \n\t", "\u00a0", "\u3000\u3000"])
def test_a_tutorial_whose_address_is_nothing_but_blanks_is_invalid(redrive, blank):
    add_roadmap(redrive.engine, concepts=[concept("a")])
    with redrive.engine.begin() as connection:
        connection.execute(text("update tutorial_metadata set content_url = :blank"), {"blank": blank})

    assert found(redrive) == {ContentKey(ContentKind.TUTORIAL, "r1", "a"): ProblemKind.INVALID}


def test_a_problem_is_kept_with_its_cause_age_titles_and_search_text(redrive):
    add_roadmap(redrive.engine, title="智能体 Agents", concepts=[concept("a", status="failed", name="Back Pressure")], saved=[])
    add_task(redrive.engine, roadmap_id="r1", status="failed", updated_at=ago(hours=5), failed_concepts={
        "a": {"reason": "Request timed out.", "content_type": "quiz", "timestamp": "2026-01-02T03:04:05+00:00"}})
    drain(redrive)

    columns = "p.error_kind, p.title, p.owner_title, p.since_at::text, p.search_text, c.title, c.origin, p.attempts"
    with redrive.engine.connect() as connection:
        row = connection.execute(text(
            f"select {columns} from ops.problems p join ops.causes c using (cause_id) where kind = 'quiz'")).one()

    assert tuple(row) == (
        ErrorKind.MODEL_TIMEOUT, "Back Pressure", "智能体 Agents", "2026-01-02 03:04:05+00",
        "back pressure 智能体 agents r1 a  request timed out.", "Request timed out.", "model", 0)


def test_time_alone_brings_a_problem_without_any_write(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a", status=None)], saved=[], created_at=utc_now())
    early = drain(redrive), listed(redrive, "kind")

    drain(redrive, clock=lambda: utc_now() + timedelta(seconds=redrive.limits.grace_seconds))

    assert early[1] == []
    assert listed(redrive, "kind, problem_kind") == [("quiz", "missing"), ("resources", "missing"), ("tutorial", "missing")]


def test_an_owner_that_was_marked_again_and_again_is_looked_at_once(redrive):
    add_roadmap(redrive.engine, "r1")
    add_roadmap(redrive.engine, "r2")
    drain(redrive)
    execute(redrive.engine, "insert into ops.dirty (owner_kind, owner_id) select 'roadmap', 'r' || n "
            "from unnest(array[1, 2, 1, 1, 2, 1]) with ordinality u(n, place) order by place")

    batches = []
    while drained := kept.drain_batch(redrive.engine, utc_now, redrive.limits, batch_owners=1):
        batches.append(drained.owners)

    assert batches == [1, 1]


def test_two_drains_at_once_lose_nothing_and_end(redrive):
    names = [f"r{number}" for number in range(60)]
    for name in names:
        add_roadmap(redrive.engine, name, concepts=[concept("a", quiz_status=None), concept("b")], unsaved=[(ContentKind.QUIZ, "a")])
    start = Barrier(3)

    def drain_again_and_again() -> None:
        start.wait()
        for _round in range(5):
            drain(redrive, batch_owners=7)

    def write_again_and_again() -> None:
        start.wait()
        for number in range(5):
            for name in names[number::5]:  # each one dirty, and due to be looked at again
                execute(
                    redrive.engine, "update quiz_metadata set questions = '[]' where roadmap_id = :name",
                    "insert into ops.rechecks (owner_kind, owner_id, due_at) values ('roadmap', :name, now()) on conflict do nothing",
                    "update roadmap_metadata set updated_at = now() where roadmap_id = :name", name=name)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(drain_again_and_again), threads.submit(drain_again_and_again), threads.submit(write_again_and_again)]:
            done.result(timeout=120)
    drain(redrive)

    assert found(redrive) == oracle(redrive)
    assert len(found(redrive)) == 120


def test_drains_at_once_of_owners_that_are_all_due_do_not_wait_for_each_other_for_ever(redrive):
    names = [f"r{number}" for number in range(40)]
    for name in names:
        add_roadmap(redrive.engine, name, concepts=[concept("a", status="generating")], saved=[], created_at=utc_now())
    start = Barrier(2)

    def drain_again_and_again() -> None:
        start.wait()
        for _round in range(10):
            execute(redrive.engine, "insert into ops.dirty (owner_kind, owner_id) select 'roadmap', roadmap_id from roadmap_metadata "
                    "order by random()")
            for name in random.sample(names, 20):
                execute(redrive.engine, "update ops.rechecks set due_at = now() - random() * interval '1 hour' where owner_id = :name",
                        name=name)
            drain(redrive, batch_owners=5)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(drain_again_and_again) for _thread in range(2)]:
            done.result(timeout=120)

    drain(redrive, clock=lambda: utc_now() + timedelta(seconds=redrive.limits.silence_seconds))
    assert set(listed(redrive, "problem_kind")) == {("stale",)}


def test_a_writer_of_the_platform_never_waits_for_a_drain(redrive, broken_roadmap):
    def write_hastily() -> None:
        execute(redrive.engine, "set local lock_timeout = 500",
                "update roadmap_metadata set title = title", "update quiz_metadata set questions = '[]'",
                "delete from tutorial_metadata where concept_id = 'b'", "insert into novels (id, user_id, title) values ('n', 'u', 't')")

    kept.mark_all_dirty(redrive.engine)
    with redrive.engine.begin() as connection:
        kept.refresh(connection, [R1], utc_now(), redrive.limits)
        connection.execute(text("delete from ops.dirty"))
        write_hastily()  # times out if anything of the open drain stands in its way

    assert ContentKey(ContentKind.TUTORIAL, "r1", "b") in found(redrive)


def test_a_drain_never_waits_for_a_writer_of_the_platform(redrive, broken_roadmap):
    with redrive.engine.begin() as writer:
        writer.execute(text("update roadmap_metadata set title = 'Unfinished'"))
        writer.execute(text("delete from quiz_metadata"))
        kept.mark_all_dirty(redrive.engine)
        with redrive.engine.begin() as connection:
            connection.execute(text("set local lock_timeout = 500"))
            kept.refresh(connection, [R1], utc_now(), redrive.limits)
        seen_meanwhile = listed(redrive, "part, owner_title")

    assert seen_meanwhile == [("a", "Roadmap r1")]
    assert found(redrive) == {QUIZ: ProblemKind.MISSING, ContentKey(ContentKind.QUIZ, "r1", "b"): ProblemKind.MISSING}


def test_a_drain_that_breaks_off_leaves_its_owners_dirty(redrive, broken_roadmap):
    execute(redrive.engine, "delete from quiz_metadata")
    readings = iter([utc_now()])

    with pytest.raises((StopIteration, RuntimeError)):
        drain(redrive, clock=readings.__next__)  # the second look at the clock, in the middle of a batch, fails

    assert found(redrive) == {QUIZ: ProblemKind.MISSING, ContentKey(ContentKind.QUIZ, "r1", "b"): ProblemKind.MISSING}
