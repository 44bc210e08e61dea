"""Chapters from the click to the row: routing, retry, workers in this process, drafts, versions."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, breaker, chapters, dispatcher, retry, withdrawals
from backend.actions.actors import Actor, ReasonNeeded, Role
from backend.actions.attempts import Attempt
from backend.actions.cancel import cancel_operation
from backend.bootstrap import connect
from backend.content.chapters import DraftState, Route, StripState
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.content.stopping import CancelReason
from backend.content.written import Chapter, Choosable, Written
from backend.storage.ops_tables import items
from backend.views import chapters as views
from backend.views.detection import counts_and_problems
from backend.views.novels import novel_page, novel_row
from tests.factories import add_novel
from workers.chunk import run_chunk

FAILED = {"status": "failed", "content": "Half a", "error_message": "The model sent nothing.", "has_options": False}
CHAPTER = Chapter(title="New", content="A new text.", options=[Choosable(text="Go", impact="Far"), Choosable(text="Stay", impact="")])


def three_chapters(redrive, last=FAILED) -> str:
    return add_novel(redrive.engine, chapters=[{}, {}, last])


def queued(redrive) -> list[int]:
    dispatcher.dispatch(redrive)
    with redrive.engine.connect() as connection:
        return list(connection.scalars(select(items.c.item_id).where(items.c.state == ItemState.QUEUED).order_by(items.c.item_id)))


def work(redrive) -> dict[str, int]:
    return run_chunk(redrive, queued(redrive))


def begun(redrive) -> Attempt:
    found = attempts.begin(redrive, queued(redrive)[0])
    assert isinstance(found, Attempt), found
    return found


def written(content=CHAPTER) -> Written:
    return Written(content, generator="test-model", is_sample=False)


def count(redrive, query: str) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text(query))


def view(redrive, number: int = 3) -> views.ChapterView:
    found = views.chapter(redrive, "n1", number)
    assert found is not None
    return found


def test_a_failed_chapter_is_archived_and_written_again(redrive, operator):
    three_chapters(redrive)

    generation = chapters.generate(redrive, operator, "n1")
    outcome = work(redrive)

    assert (generation.route, generation.chapter_number, outcome) == (Route.FAILED, 3, {"succeeded": 1})
    found = view(redrive)
    assert (found.state, found.chapter_id) == (StripState.COMPLETED, generation.chapter_id)
    assert found.choice
    assert found.choice.text == "Go on"
    assert len(found.options) == 3
    assert [(draft.content, draft.error_message) for draft in found.failed_tries] == [("Half a", "The model sent nothing.")]
    assert "Go on" in found.content


def test_ten_simultaneous_clicks_are_one_generation(settings, redrive, operator):
    three_chapters(redrive)
    wide = connect(settings, pool_size=10)
    together = threading.Barrier(10)

    def click(_number: int):
        together.wait()
        return chapters.generate(wide, operator, "n1", 3)

    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(click, range(10)))
    wide.close()

    assert sorted(generation.route for generation in found) == [Route.FAILED] + [Route.GENERATING] * 9
    assert len({(generation.chapter_id, generation.operation_id) for generation in found}) == 1
    assert count(redrive, "select count(*) from ops.items") == 1
    assert count(redrive, "select count(*) from user_choices where chapter_id = 'n1-2'") == 1


def test_a_chapter_of_a_novel_that_cannot_be_listed_is_written_when_a_person_asks_for_it(redrive, operator):
    add_novel(redrive.engine, created_at="infinity", chapters=[{}, {}, FAILED | {"created_at": "infinity"}])

    generation = chapters.generate(redrive, operator, "n1", 3)

    assert work(redrive) == {"succeeded": 1}
    assert chapters.generate(redrive, operator, "n1").route is Route.COMPLETED
    assert generation.chapter_number == 3


def test_the_first_chapter_needs_no_choice(redrive, operator):
    add_novel(redrive.engine)

    generation = chapters.generate(redrive, operator, "n1")
    work(redrive)

    assert (generation.route, generation.chapter_number, view(redrive, 1).state) == (Route.NONE, 1, StripState.COMPLETED)


def test_a_missing_choice_names_the_chapter_before(redrive, operator):
    add_novel(redrive.engine, chapters=[{}, {}])

    with pytest.raises(chapters.ChoiceMissing, match="end of chapter 2"):
        chapters.generate(redrive, operator, "n1", 3)

    assert count(redrive, "select count(*) from ops.items") == 0


def test_a_completed_chapter_is_refused_and_a_running_one_is_joined(redrive, operator):
    three_chapters(redrive, {})

    assert chapters.generate(redrive, operator, "n1").is_refused
    with redrive.engine.begin() as connection:
        connection.execute(text("update chapters set status = 'failed' where id = 'n1-3'"))
    first = chapters.generate(redrive, operator, "n1")
    second = chapters.generate(redrive, operator, "n1")

    assert (second.route, second.chapter_id, second.operation_id) == (Route.GENERATING, first.chapter_id, first.operation_id)


def test_a_failure_keeps_the_partial_text(redrive, settings, operator):
    from backend.actions.chapter_attempts import keep_partial

    three_chapters(redrive)
    chapters.generate(redrive, operator, "n1")
    attempt = begun(redrive)
    keep_partial(redrive, attempt.item, attempt.stream_id, "T", "So far")

    attempts.fail(redrive, attempt, ItemError(ErrorKind.MODEL_CUT_STREAM, "It broke."))

    found = view(redrive)
    assert (found.state, found.content, found.error_message) == (StripState.FAILED, "So far", "It broke.")
    assert not attempts.save(redrive, attempt, written())


def test_an_offline_fault_keeps_what_was_told(settings, redrive, operator):
    faulty = connect(settings.model_copy(update={"offline_faults": "cut_stream:1"}))
    three_chapters(redrive)
    chapters.generate(redrive, operator, "n1")

    assert work(faulty) == {"failed": 1}

    found = view(redrive)
    assert found.state is StripState.FAILED
    assert found.content.startswith("(Sample text")
    faulty.close()


def test_a_chapter_that_is_cancelled_before_it_began_is_failed_and_not_left_generating(redrive, operator):
    three_chapters(redrive)
    generation = chapters.generate(redrive, operator, "n1")

    cancel_operation(redrive, generation.operation_id, operator, CancelReason.NOT_NEEDED)

    assert view(redrive).state is StripState.FAILED


def test_readers_choices_of_a_broken_chapter_outlive_its_retry(redrive, operator):
    add_novel(redrive.engine, chapters=[{}, {"content": "  "}, {}])

    generation = chapters.generate(redrive, operator, "n1", 2)
    work(redrive)

    assert generation.route is Route.FAILED
    found = view(redrive, 2)
    assert (found.state, [option.text for option in found.options], found.chosen) == (StripState.COMPLETED, ["Go on", "Go on"], (0,))


EDITOR = Actor("editor", Role.OPERATOR)


def fail_once(redrive, operator) -> None:
    attempts.fail(redrive, begun(redrive), ItemError(ErrorKind.MODEL_CUT_STREAM, "It broke."))


def cancel_once(redrive, operator) -> None:
    attempt = begun(redrive)
    cancel_operation(redrive, attempt.item.operation_id, operator, CancelReason.NOT_NEEDED)
    assert withdrawals.confirm_cancelled(redrive, attempt.item)


@pytest.mark.parametrize("end", [fail_once, cancel_once], ids=lambda end: end.__name__)
def test_a_chapter_that_was_tried_too_often_is_refused_by_the_rule_until_an_admin_overrides_it(redrive, operator, end):
    three_chapters(redrive)
    for _try in range(redrive.settings.maximum_attempts_per_day):
        chapters.generate(redrive, EDITOR, "n1", 3)
        end(redrive, operator)

    for actor in (EDITOR, operator):
        with pytest.raises(chapters.TriedTooOften, match=r"Chapter 3 is not begun: 5 tries in the last 24 hours. Poison"):
            chapters.generate(redrive, actor, "n1", 3)
    assert view(redrive).state is StripState.FAILED
    counts_and_problems(redrive)
    key = ContentKey(ContentKind.CHAPTER, "n1", "3")
    plan = retry.plan(redrive, Scope.of(key), operator, overrides_limits=True)
    assert retry.confirm(redrive, plan, operator, "the prompt was mended").item_count == 1
    assert chapters.generate(redrive, EDITOR, "n1", 3).operation_id  # joined


def test_what_was_cancelled_before_it_began_is_no_try(redrive, operator):
    three_chapters(redrive)
    for _try in range(redrive.settings.maximum_attempts_per_day + 1):
        generation = chapters.generate(redrive, EDITOR, "n1", 3)
        cancel_operation(redrive, generation.operation_id, operator, CancelReason.NOT_NEEDED)

    assert chapters.generate(redrive, EDITOR, "n1", 3).route is Route.FAILED


def test_everything_that_is_broken_is_retried_by_one_action(redrive, operator):
    add_novel(redrive.engine, "n1", chapters=[{}, FAILED])
    add_novel(redrive.engine, "n2", chapters=[{"has_options": False}])
    add_novel(redrive.engine, "n3")
    add_novel(redrive.engine, "n4", chapters=[{"status": "generating", "content": "Stale half", "has_options": False}])
    assert counts_and_problems(redrive).problems

    confirmed = retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
    outcome = work(redrive)
    dispatcher.complete_operations(redrive)

    assert (confirmed.item_count, outcome) == (4, {"succeeded": 4})
    assert not counts_and_problems(redrive).problems
    assert views.chapter(redrive, "n4", 1).failed_tries[0].content == "Stale half"
    assert count(redrive, "select count(*) from tasks where task_type = 'chapter' and status = 'completed' and novel_id is not null") == 4


def drafted(redrive, operator, content=CHAPTER, number: int = 1) -> str:
    regeneration = chapters.regenerate(redrive, operator, f"n1-{number}", note="Shorter.", model="other", temperature=0.5)
    attempt = begun(redrive)
    assert (attempt.brief.note, attempt.brief.model, attempt.brief.temperature) == ("Shorter.", "other", 0.5)
    assert attempts.save(redrive, attempt, written(content))
    return regeneration.draft_id


def test_a_draft_stands_beside_the_published_text(redrive, operator):
    three_chapters(redrive, {})

    draft_id = drafted(redrive, operator)

    found = view(redrive, 1)
    assert (found.content, [(draft.draft_id, draft.state) for draft in found.drafts]) == (
        "Once upon a time.", [(draft_id, DraftState.READY)])
    compared = views.compare(redrive, draft_id)
    assert compared
    assert compared.published == "Once upon a time."
    assert compared.draft.content == "A new text."
    assert compared.chosen == (0,)


def test_a_draft_that_is_being_written_changes_nothing_of_the_novel(redrive, operator):
    three_chapters(redrive, {})
    chapters.regenerate(redrive, operator, view(redrive, 1).chapter_id)
    dispatcher.dispatch(redrive)

    shown, strip = novel_page(redrive), novel_row(redrive, "n1").strip
    assert [cell.state for cell in strip] == [StripState.COMPLETED] * 3
    assert (shown.counts[StripState.COMPLETED], shown.counts[StripState.GENERATING]) == (3, 0)
    assert novel_page(redrive, states=[StripState.GENERATING]).rows == ()
    assert view(redrive, 1).state is StripState.COMPLETED


def test_accepting_keeps_chosen_options_and_flags_later_chapters(redrive, operator):
    three_chapters(redrive, {})
    draft_id = drafted(redrive, operator)

    published = chapters.accept(redrive, operator, draft_id, expected_version=view(redrive, 1).version)

    assert (published.options_kept, published.later_chapters) == (True, (2, 3))
    found = view(redrive, 1)
    assert (found.content, found.version, [option.text for option in found.options]) == ("A new text.", published.version, ["Go on"] * 2)
    assert view(redrive, 3).older_text == (1,)
    assert view(redrive, 1).older_text == ()


def test_options_nobody_chose_are_those_of_the_draft_and_a_roll_back_brings_the_old_ones(redrive, operator):
    three_chapters(redrive, {})
    draft_id = drafted(redrive, operator, number=3)
    published = chapters.accept(redrive, operator, draft_id, expected_version=view(redrive).version)
    assert [option.text for option in view(redrive).options] == ["Go", "Stay"]

    version = view(redrive).versions[0]
    back = chapters.roll_back(redrive, operator, "n1-3", version.draft_id, expected_version=published.version)

    found = view(redrive)
    assert (found.content, [option.text for option in found.options], back.options_kept) == ("Once upon a time.", ["Go on"] * 2, False)
    assert [draft.content for draft in found.versions] == ["A new text.", "Once upon a time."]


def test_the_second_editor_learns_that_the_text_moved_on(redrive, operator):
    three_chapters(redrive, {})
    seen = view(redrive, 1).version
    first = drafted(redrive, operator)
    second = drafted(redrive, operator, CHAPTER.model_copy(update={"content": "Another."}))
    chapters.accept(redrive, operator, first, expected_version=seen)

    with pytest.raises(chapters.TextMovedOn, match="changed in the meantime"):
        chapters.accept(redrive, operator, second, expected_version=seen)

    found = view(redrive, 1)
    assert found.content == "A new text."
    assert next(draft for draft in found.drafts if draft.draft_id == second).is_outdated(found.version)


def test_a_rejection_needs_a_reason_and_is_final(redrive, operator):
    three_chapters(redrive, {})
    draft_id = drafted(redrive, operator)

    with pytest.raises(ReasonNeeded):
        chapters.reject(redrive, operator, draft_id, reason=" ")
    chapters.reject(redrive, operator, draft_id, reason="Too short.")

    with pytest.raises(chapters.ChapterRefused):
        chapters.accept(redrive, operator, draft_id, expected_version=view(redrive, 1).version)


def test_a_viewer_may_not(redrive):
    three_chapters(redrive)

    with pytest.raises(Exception, match="needs the role operator"):
        chapters.generate(redrive, Actor("viewer", Role.VIEWER), "n1")


def test_the_page_of_novels_has_problems_first_and_finds_words(redrive):
    add_novel(redrive.engine, "n0", chapters=[{}, {}])
    three_chapters(redrive)
    counts_and_problems(redrive)

    page = novel_page(redrive)

    assert [(row.novel_id, [cell.state.value for cell in row.strip]) for row in page.rows] == [
        ("n1", ["completed", "completed", "failed"]), ("n0", ["completed", "completed"])]
    assert [row.novel_id for row in novel_page(redrive, states=[StripState.FAILED]).rows] == ["n1"]
    assert [row.novel_id for row in novel_page(redrive, search="half A").rows] == ["n1"]
    assert novel_page(redrive, language="zh").total == 0
    assert novel_row(redrive, "nowhere") is None


def test_a_time_limit_fails_the_chapter_with_its_partial_text(settings, redrive, operator):
    slow = connect(settings.model_copy(update={"offline_delay_seconds": 0.5, "chapter_seconds": 0.7}))
    three_chapters(redrive)
    chapters.generate(redrive, operator, "n1")
    breaker.note_failure(slow, ItemError(ErrorKind.MODEL_TIMEOUT, "no answer"))

    assert work(slow) == {"failed": 1}

    found = view(redrive)
    assert "0.7 seconds" in found.error_message
    assert found.content.startswith("(Sample text")
    with redrive.engine.connect() as connection:
        assert breaker.current(slow, connection).failures == 1  # running out of time is no answer of the model
    slow.close()


@pytest.mark.parametrize(("search", "found"), [
    ("雨夜", ["n2"]), ("灯", ["n2"]), ("LIGHTHOUSE keep", ["n1"]), ("ÉTÉ", ["n1"]), ("100%", ["n1"]), ("100_", []), ("_", [])])
def test_novels_are_found_by_words_of_any_language_whatever_their_case(redrive, search, found):
    add_novel(redrive.engine, "n1", chapters=[{"content": "The lighthouse keeper saw 100% of an été."}])
    add_novel(redrive.engine, "n2", chapters=[{"content": "山中的雨夜，灯火通明。"}], language="zh")

    assert [row.novel_id for row in novel_page(redrive, search=search).rows] == found


def test_the_search_in_texts_of_chapters_has_an_index(redrive):
    with redrive.engine.begin() as connection:
        connection.execute(text("insert into novels (id, user_id, title) select 'n' || n, 'u', 'Novel' from generate_series(1, 500) n"))
        connection.execute(text("insert into chapters (id, novel_id, chapter_number, content, status) select 'c' || n, 'n' || n, 1, "
                                "repeat(md5(n::text) || ' ', 40), 'completed' from generate_series(1, 500) n"))
        connection.execute(text("analyze chapters"))
        plan = "\n".join(connection.scalars(text("explain select novel_id from chapters where content ilike '%lighthouse keeper%'")))

    assert "ix_chapters_content_words" in plan
