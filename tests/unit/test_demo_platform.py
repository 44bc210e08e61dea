"""The demo platform shows what it says it shows, and nothing is broken by accident."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from backend.content.checks import check, check_storable, texts_in
from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.problems import ProblemKind
from backend.content.status import ContentStatus, CoverStatus, TaskStatus
from backend.demo import incidents
from backend.demo.catalogue import FOLDER, read_novel, read_roadmap
from backend.demo.incidents import AGENT, LEARNING, NIGHT_SKY, PHOTOGRAPHY, POSTGRES, RUNS, TEA, ChapterFaultKind, ConceptFault, Saved
from backend.demo.platform import DemoPlatform, build
from backend.demo.samples import write_sample
from backend.storage.platform_tables import platform

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEMO = build(NOW)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def roadmap_row(roadmap_id: str) -> dict:
    return next(row for row in DEMO.roadmap_metadata if row["roadmap_id"] == roadmap_id)


def concepts_of(roadmap_id: str) -> list[dict]:
    """Concepts of framework_data, in order; an object that stands for a list of modules is read all the same."""
    found = []
    for stage in roadmap_row(roadmap_id)["framework_data"]["stages"]:
        modules = stage["modules"]
        for module in modules.values() if isinstance(modules, dict) else modules:
            found += module["concepts"]
    return found


def rows_of(table: str, roadmap_id: str) -> dict[str, dict]:
    return {row["concept_id"]: row for row in getattr(DEMO, table) if row["roadmap_id"] == roadmap_id}


def creation_task(roadmap_id: str) -> dict:
    return next(row for row in DEMO.tasks if row["roadmap_id"] == roadmap_id and row["task_type"] == "creation")


def all_rows(demo: DemoPlatform) -> list[tuple[str, dict]]:
    return [(table.name, row) for table in platform.sorted_tables for row in getattr(demo, table.name)]


def test_the_retry_that_did_nothing():
    concepts = concepts_of(AGENT)
    task = creation_task(AGENT)
    retry = next(row for row in DEMO.tasks if row["roadmap_id"] == AGENT and row["task_type"] == "retry_batch")

    assert len(concepts) == 21
    assert rows_of("tutorial_metadata", AGENT) == {}
    assert Counter(concept["content_status"] for concept in concepts) == {None: 11, "processing": 10}
    assert all(concept["resources_status"] == concept["quiz_status"] == "completed" for concept in concepts)
    assert len(rows_of("resource_recommendation_metadata", AGENT)) == len(rows_of("quiz_metadata", AGENT)) == 21
    assert task["status"] == "failed"
    assert "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00" in task["error_message"]
    assert task["failed_concepts"] is None
    assert retry["status"] == "completed"
    assert retry["execution_summary"]["total"] == 0
    assert retry["created_at"] > task["completed_at"]


def test_its_sibling_has_eleven_to_retry():
    concepts = concepts_of(POSTGRES)
    saved = rows_of("tutorial_metadata", POSTGRES)
    failed = creation_task(POSTGRES)["failed_concepts"]

    unsaved = [concept for concept in concepts if concept["concept_id"] not in saved]

    assert len(concepts) == 21
    assert Counter(concept["content_status"] for concept in concepts) == {"completed": 10, "failed": 6, None: 3, "processing": 2}
    assert [concept["content_status"] for concept in concepts if concept["concept_id"] in saved] == ["completed"] * 10
    assert len(unsaved) == 11
    assert set(failed) == {concept["concept_id"] for concept in concepts if concept["content_status"] == "failed"}
    assert all(set(told) == {"reason", "content_type", "timestamp"} for told in failed.values())
    assert all(datetime.fromisoformat(told["timestamp"]).tzinfo for told in failed.values())


def test_the_save_that_took_everything_down():
    concepts = concepts_of(LEARNING)
    task = creation_task(LEARNING)
    fields = ("content_status", "content_ref", "resources_status", "resources_id", "quiz_status", "quiz_id")

    assert len(concepts) == 34
    assert {concept[name] for concept in concepts for name in fields} == {None}
    assert task["status"] == "failed"
    assert task["failed_concepts"] is None
    assert task["error_message"].startswith(
        'IntegrityError: duplicate key value violates unique constraint "tutorial_metadata_pkey"\nDETAIL:  Key (tutorial_id)=(')
    for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"):
        assert list(rows_of(table, LEARNING)) == [concept["concept_id"] for concept in concepts[:10]]
    assert all(row["content_url"] for row in rows_of("tutorial_metadata", LEARNING).values())


def test_the_key_that_was_a_duplicate_is_one_that_had_been_saved():
    named = re.search(r"\(tutorial_id\)=\((.+)\)", creation_task(LEARNING)["error_message"]).group(1)

    assert named in {row["tutorial_id"] for row in rows_of("tutorial_metadata", LEARNING).values()}


def problem_of(fault: ConceptFault) -> ProblemKind:
    if fault.roadmap_id == NIGHT_SKY:
        return ProblemKind.CANCELLED
    if fault.saved is not Saved.NONE:
        return {Saved.GOOD: ProblemKind.DRIFTED, Saved.BROKEN: ProblemKind.INVALID, Saved.FAILED: ProblemKind.FAILED}[fault.saved]
    if fault.declared == ContentStatus.FAILED:
        return ProblemKind.FAILED
    return ProblemKind.STALE if fault.declared in ("generating", "processing") else ProblemKind.MISSING


def test_the_expected_problems_are_the_declared_faults():
    hidden = (PHOTOGRAPHY, TEA)  # deleted; being created
    declared = Counter()
    for fault in incidents.CONCEPT_FAULTS:
        if fault.roadmap_id not in hidden:
            declared[fault.kind, problem_of(fault)] += len(fault.positions)
    for fault in incidents.COVER_FAULTS:
        if fault.roadmap_id not in hidden:
            kind = {"failed": ProblemKind.FAILED, "generating": ProblemKind.STALE}.get(fault.generation_status, ProblemKind.MISSING)
            declared[ContentKind.COVER, kind] += 1
    chapter_problems = {
        ChapterFaultKind.FAILED_HALFWAY: ProblemKind.FAILED, ChapterFaultKind.SILENT: ProblemKind.STALE,
        ChapterFaultKind.NEVER_WRITTEN: ProblemKind.MISSING}
    for fault in incidents.CHAPTER_FAULTS:
        declared[ContentKind.CHAPTER, chapter_problems.get(fault.kind, ProblemKind.INVALID)] += 1
    for run in RUNS:
        declared[ContentKind.FRAMEWORK, ProblemKind.UNREADABLE] += run.has_object_for_list

    assert declared == incidents.EXPECTED


def test_every_kind_of_problem_occurs():
    assert {problem for _kind, problem in incidents.EXPECTED} == set(ProblemKind)
    assert {kind for kind, _problem in incidents.EXPECTED} == set(ContentKind)
    for kind in CONCEPT_KINDS:
        assert {problem for of, problem in incidents.EXPECTED if of is kind} == set(ProblemKind) - {ProblemKind.UNREADABLE}


def test_no_two_faults_claim_one_content_key():
    claimed = Counter(
        (fault.roadmap_id, fault.kind, position) for fault in incidents.CONCEPT_FAULTS for position in fault.positions)
    recorded = Counter(
        (fault.roadmap_id, position) for fault in incidents.CONCEPT_FAULTS if fault.error for position in fault.positions)

    assert set(claimed.values()) == {1}
    assert set(recorded.values()) == {1}  # failed_concepts has one entry for a concept
    for fault in incidents.CONCEPT_FAULTS:
        assert max(fault.positions) < len(read_roadmap(fault.roadmap_id).concepts)


def test_four_roadmaps_and_two_novels_are_wholly_healthy():
    broken = {fault.roadmap_id for fault in chain(incidents.CONCEPT_FAULTS, incidents.COVER_FAULTS)}
    whole = [run.roadmap_id for run in RUNS if run.roadmap_id not in broken and not run.has_object_for_list]
    broken_novels = {fault.novel_id for fault in incidents.CHAPTER_FAULTS}

    assert len(whole) >= 4
    assert len([run for run in incidents.NOVEL_RUNS if run.novel_id not in broken_novels]) >= 2
    for roadmap_id in whole:
        assert creation_task(roadmap_id)["status"] == TaskStatus.COMPLETED
        for concept in concepts_of(roadmap_id):
            _assert_healthy(roadmap_id, concept)


def _assert_healthy(roadmap_id: str, concept: dict) -> None:
    tutorial = rows_of("tutorial_metadata", roadmap_id)[concept["concept_id"]]
    resources = rows_of("resource_recommendation_metadata", roadmap_id)[concept["concept_id"]]
    quiz = rows_of("quiz_metadata", roadmap_id)[concept["concept_id"]]
    assert concept["content_status"] == concept["resources_status"] == concept["quiz_status"] == "completed"
    assert (concept["content_ref"], concept["content_summary"], concept["content_version"]) == (
        tutorial["tutorial_id"], tutorial["summary"], tutorial["content_version"])
    assert tutorial["is_latest"]
    assert tutorial["content_status"] == "completed"
    assert DEMO.objects[tutorial["content_url"]].startswith(f"# {concept['name']}\n")
    assert (concept["resources_id"], concept["resources_count"]) == (resources["id"], len(resources["resources"]))
    assert resources["resources_count"] == len(resources["resources"]) > 0
    assert (concept["quiz_id"], concept["quiz_questions_count"]) == (quiz["quiz_id"], len(quiz["questions"]))
    assert quiz["total_questions"] == quiz["easy_count"] + quiz["medium_count"] + quiz["hard_count"] == len(quiz["questions"]) > 0


def test_the_same_clock_gives_the_same_platform_and_a_later_one_moves_every_time():
    later = timedelta(days=3, hours=5)

    moved = [
        (table, {name: value - later if isinstance(value, datetime) else value for name, value in row.items()})
        for table, row in all_rows(build(NOW + later)) if table != "tasks"]

    assert build(NOW) == DEMO
    assert moved == [(table, row) for table, row in all_rows(DEMO) if table != "tasks"]


def test_a_naive_clock_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        build(datetime(2026, 11, 22))


def test_rows_have_the_columns_of_their_table_and_no_id_twice():
    for table in platform.sorted_tables:
        rows = getattr(DEMO, table.name)
        keys = [tuple(row[column.name] for column in table.primary_key) for row in rows]

        assert rows
        assert len(keys) == len(set(keys))
        assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
        assert set(rows[0]) <= set(table.columns.keys())
        for column in table.columns:
            if not column.nullable and column.server_default is None:
                assert all(row[column.name] is not None for row in rows), column


def test_rows_refer_to_rows_that_are_there():
    concepts = {(run.roadmap_id, concept["concept_id"]) for run in RUNS for concept in concepts_of(run.roadmap_id)}
    chapters = {row["id"] for row in DEMO.chapters}
    options = {row["id"]: row["chapter_id"] for row in DEMO.options}
    novels = {row["id"] for row in DEMO.novels}
    roadmaps = {row["roadmap_id"] for row in DEMO.roadmap_metadata}

    for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"):
        assert {(row["roadmap_id"], row["concept_id"]) for row in getattr(DEMO, table)} <= concepts
    assert {row["roadmap_id"] for row in DEMO.roadmap_cover_images} <= roadmaps
    assert {row["novel_id"] for row in DEMO.chapters} <= novels
    assert set(options.values()) <= chapters
    assert all(options[row["option_id"]] == row["chapter_id"] for row in DEMO.user_choices)
    assert {row["roadmap_id"] or row["novel_id"] for row in DEMO.tasks} <= roadmaps | novels
    assert {row["content_url"] for row in DEMO.tutorial_metadata} - {None} == set(DEMO.objects)


def test_every_reader_choice_leads_to_a_chapter_except_where_a_fault_says_so():
    numbers = {row["id"]: (row["novel_id"], row["chapter_number"]) for row in DEMO.chapters}
    unwritten = {
        (fault.novel_id, fault.chapter_number)
        for fault in incidents.CHAPTER_FAULTS if fault.kind is ChapterFaultKind.NEVER_WRITTEN}

    led_to = {(novel_id, number + 1) for novel_id, number in (numbers[row["chapter_id"]] for row in DEMO.user_choices)}

    assert led_to - set(numbers.values()) == {key for key in unwritten if key[1] > 1}
    assert {(novel_id, 1) for novel_id in {row["id"] for row in DEMO.novels}} - set(numbers.values()) == {
        key for key in unwritten if key[1] == 1}


def test_no_text_holds_what_postgresql_cannot_store_and_no_time_is_naive():
    for table, row in all_rows(DEMO):
        for where, text in texts_in(row):
            check_storable(text, f"{table}.{where}")
        for value in row.values():
            assert not isinstance(value, datetime) or (value.tzinfo is UTC and value <= NOW)
    for path, text in DEMO.objects.items():
        check_storable(text, path)


def test_chinese_and_english_both_occur():
    titles = [row["title"] for row in chain(DEMO.roadmap_metadata, DEMO.novels)]

    assert sum(bool(CHINESE.search(title)) for title in titles) >= 5
    assert sum(not CHINESE.search(title) for title in titles) >= 5
    assert sum(bool(CHINESE.search(text)) for text in DEMO.objects.values()) >= 30


def test_sizes_are_those_of_a_small_real_platform():
    chapter_counts = Counter(row["novel_id"] for row in DEMO.chapters)

    assert all(10 <= len(concepts_of(run.roadmap_id)) <= 40 for run in RUNS)
    assert all(3 <= count <= 12 for count in chapter_counts.values())
    assert len(chapter_counts) == 6
    assert DEMO.concept_count == sum(len(concepts_of(run.roadmap_id)) for run in RUNS)


def test_every_data_file_is_used_and_every_chapter_is_really_written():
    assert {path.stem for path in (FOLDER / "roadmaps").glob("*.json")} == {run.roadmap_id for run in RUNS}
    assert {path.stem for path in (FOLDER / "novels").glob("*.json")} == {run.novel_id for run in incidents.NOVEL_RUNS}
    for run in incidents.NOVEL_RUNS:
        novel = read_novel(run.novel_id)
        for chapter in novel.chapters:
            length = len(chapter.content) / 2 if novel.language == "zh" else len(chapter.content.split())
            assert 100 <= length <= 300, (run.novel_id, chapter.chapter_number, length)
            assert len({option.text for option in chapter.options}) == 3
            assert all(option.impact for option in chapter.options)


def test_every_sample_passes_the_check_that_written_content_must_pass():
    for run in RUNS:
        roadmap = read_roadmap(run.roadmap_id)
        for concept in roadmap.concepts:
            sample = write_sample(roadmap, concept)
            check(sample.tutorial)
            check(sample.resources)
            check(sample.quiz)
            assert all(resource.url.startswith("https://example.org/") for resource in sample.resources.resources)
            assert all(len(question.options) == len(set(question.options)) >= 3 for question in sample.quiz.questions)


def test_a_roadmap_in_creation_shows_life_now_and_the_deleted_one_says_who_deleted_it():
    deleted = roadmap_row(PHOTOGRAPHY)

    assert creation_task(TEA)["status"] == TaskStatus.PROCESSING
    assert creation_task(TEA)["updated_at"] == NOW
    assert creation_task(TEA)["completed_at"] is None
    assert deleted["deleted_at"] < NOW
    assert deleted["deleted_by"]
    assert [row["roadmap_id"] for row in DEMO.roadmap_metadata if row["deleted_at"]] == [PHOTOGRAPHY]


def test_faults_are_hours_to_twelve_days_old():
    broken = {fault.roadmap_id for fault in incidents.CONCEPT_FAULTS} - {TEA}
    ages = [NOW - creation_task(roadmap_id)["updated_at"] for roadmap_id in broken]

    assert min(ages) < timedelta(hours=6)
    assert timedelta(days=11) < max(ages) <= timedelta(days=12)


def test_covers_show_every_status():
    by_status = Counter(row["generation_status"] for row in DEMO.roadmap_cover_images)

    assert set(by_status) == set(CoverStatus)
    assert by_status["success"] > len(RUNS) / 2
    assert len(RUNS) - len(DEMO.roadmap_cover_images) == 1
    assert incidents.ARCHITECTURE not in {row["roadmap_id"] for row in DEMO.roadmap_cover_images}
