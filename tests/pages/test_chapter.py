"""Chapter: reading, states and their buttons, regeneration, comparison, two editors, untrusted text."""

import re

import pytest
from sqlalchemy import select, text

from backend.actions import attempts, chapters, dispatcher
from backend.actions.actors import Actor, Role
from backend.clock import utc_now
from backend.content import wording
from backend.content.chapters import DraftState, StripState
from backend.content.written import Chapter, Choosable, Written
from backend.storage.ops_tables import drafts, items, operations
from backend.views import chapters as chapter_views
from backend.views.detection import counts_and_problems
from dashboard.components.chapter_live import live_data
from dashboard.components.chapter_words import CHAPTER_STATES, DRAFT_STATES, chapter_address, language_attribute
from dashboard.stream_tokens import check_token
from tests.factories import add_item, add_novel, add_operation
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, words_of

FAILED = {"status": "failed", "content": "Half a text", "error_message": "The model sent nothing.", "has_options": False}
NEW = Chapter(title="New", content="Once upon another time.", options=[Choosable(text="Turn back", impact="Home again")])


def count(redrive, table) -> int:
    with redrive.engine.connect() as connection:
        return len(connection.execute(select(table)).all())


def write_draft(redrive, operator, content: Chapter = NEW) -> str:
    """A ready draft of chapter 2 of n1."""
    found = chapters.regenerate(redrive, operator, "n1-2", note="darker")
    dispatcher.dispatch(redrive)
    with redrive.engine.connect() as connection:
        item_id = connection.scalar(select(items.c.item_id).order_by(items.c.item_id.desc()).limit(1))
    attempts.save(redrive, attempts.begin(redrive, item_id), Written(content, generator="test-model", is_sample=False))
    return found.draft_id


@pytest.fixture
def novel(redrive) -> str:
    return add_novel(redrive.engine, chapters=[{}, {}, {}])


def test_a_completed_chapter_is_read_with_the_choice_that_led_here_and_its_options(open_page: OpenPage, novel):
    page = open_page("chapter", novel="n1", number="2")

    words = words_of(page)
    assert page.subheader[0].value == "Chapter 2 of Novel n1"
    assert "<p>Once upon a time.</p>" in words
    assert "Chosen at the end of chapter 1" in words
    assert '<article class="rd-read" lang="en">' in words
    assert '<li class="rd-chosen">Go on' in words
    assert not page.get("bidi_component")
    assert not has_button(page, "Write it again")


def test_a_chinese_chapter_is_marked_as_chinese(open_page: OpenPage, redrive):
    add_novel(redrive.engine, language="zh", chapters=[{"title": "第一章", "content": "夜色沉沉。\n\n他推开门。"}])

    page = open_page("chapter", novel="n1", number="1")

    assert '<article class="rd-read" lang="zh"><h2 class="rd-chapter-title">第一章</h2><p>夜色沉沉。</p><p>他推开门。</p>' in words_of(page)


@pytest.mark.parametrize("number", [2, 3])
def test_nothing_of_a_models_text_is_markup(open_page: OpenPage, redrive, number):
    evil = '<img src="https://evil.example/x.png" onerror=alert(1)><script>alert(2)</script>![x](https://evil.example)'
    chapter = {"title": evil, "content": f"{evil}\n\n{evil}"}
    add_novel(redrive.engine, title=evil, language='zh" onclick="x', chapters=[
        chapter, chapter, {**FAILED, **chapter, "error_message": evil}])
    with redrive.engine.begin() as connection:
        connection.execute(text("update options set option_text = :evil, impact_description = :evil"), {"evil": evil})

    page = open_page("chapter", novel="n1", number=str(number))

    html = "".join(found.proto.body for found in page.get("html"))
    assert not page.exception
    assert not re.search(r"<(img|script)|onclick=\"", html)
    assert "&lt;img src=" in html
    markdown = [found.value for found in [*page.markdown, *page.subheader, *page.caption, *page.warning]]
    assert not [value for value in markdown if re.search(r"(?<!\\)(<img|!\[|\]\()", value)]


def test_a_failed_chapter_tells_its_error_its_text_and_is_written_again_once(open_page: OpenPage, redrive):
    add_novel(redrive.engine, chapters=[{}, {}, FAILED])
    page = open_page("chapter", novel="n1", number="3")
    assert "The model sent nothing." in words_of(page)
    assert "<p>Half a text</p>" in words_of(page)

    again = button(page, "Write it again")
    for _click in range(10):
        again.click()
    again.click().run()

    assert count(redrive, operations) == 1
    assert "being written again" in words_of(page)
    assert not has_button(page, "Write it again")
    assert next(found.proto.label for found in page.get("expander")).endswith("9 characters")
    assert len(page.get("bidi_component")) == 1
    assert button(page, "Cancel the writing")


def add_poison(redrive) -> None:
    add_novel(redrive.engine, chapters=[{}, {}, FAILED])
    add_operation(redrive.engine, state="completed", settled_at=utc_now(), outcome={"healthy": 0, "problems": {}})
    add_item(redrive.engine, "3", kind="chapter", owner_id="n1", state="failed", attempt=5, settled_at=utc_now())
    counts_and_problems(redrive)


def test_a_chapter_that_was_tried_too_often_opens_its_plan_for_an_admin(open_page: OpenPage, redrive):
    add_poison(redrive)
    page = open_page("chapter", novel="n1", number="3")

    button(page, "Write it again").click().run()

    assert "1 item left out as poison" in words_of(page)
    assert button(page, "Include them")
    assert count(redrive, operations) == 1


@pytest.mark.parametrize(("state", "started_at", "is_told"), [
    ("cancelled", None, False), ("queued", None, False), ("skipped", utc_now(), False), ("failed", utc_now(), True)])
def test_an_attempt_that_was_never_begun_is_not_told_of_a_chapter(open_page: OpenPage, redrive, novel, state, started_at, is_told):
    add_operation(redrive.engine)
    add_item(redrive.engine, "3", kind="chapter", owner_id="n1", state=state, attempt=2, started_at=started_at)

    page = open_page("chapter", novel="n1", number="3")

    assert f"</span> {wording.ITEM_STATES[state]}" in words_of(page)
    assert ("attempt 2" in words_of(page)) is is_told


def test_a_chapter_that_was_tried_too_often_is_refused_to_others(environment, open_page: OpenPage, redrive):
    add_poison(redrive)
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")
    forget_cached_reads()
    page = open_page("chapter", novel="n1", number="3")

    button(page, "Write it again").click().run()

    assert "5 tries in the last 24 hours" in words_of(page)
    assert count(redrive, operations) == 1


def test_the_operation_that_writes_a_chapter_leads_to_it(open_page: OpenPage, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, {}, FAILED])
    operation_id = chapters.generate(redrive, operator, "n1", 3).operation_id

    page = open_page("operations", operation=operation_id)

    link = next(found.proto for found in page.get("page_link") if found.proto.label == "Novel n1")
    assert (link.page, link.query_string) == ("chapter", "novel=n1&number=3")
    assert page.dataframe[0].value["open"][0] == "/chapter?novel=n1&number=3"


def test_a_second_window_that_clicks_later_joins(open_page: OpenPage, redrive):
    add_novel(redrive.engine, chapters=[{}, {}, FAILED])
    first, second = open_page("chapter", novel="n1", number="3"), open_page("chapter", novel="n1", number="3")

    button(first, "Write it again").click().run()
    button(second, "Write it again").click().run()

    assert count(redrive, operations) == 1
    assert "you are watching it" in words_of(second)


def test_a_missing_choice_names_the_chapter_and_leads_there(open_page: OpenPage, redrive):
    add_novel(redrive.engine, chapters=[{}, FAILED])
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from user_choices"))

    page = open_page("chapter", novel="n1", number="2")

    assert any("Chapter 1 has no choice" in warning.value for warning in page.warning)
    assert button(page, "Write it again").disabled
    assert "Open chapter 1" in [link.proto.label for link in page.get("page_link")]


def test_a_missing_first_chapter_is_generated(open_page: OpenPage, redrive):
    add_novel(redrive.engine)
    page = open_page("chapter", novel="n1", number="1")
    assert "There is no text yet." in words_of(page)

    button(page, "Generate").click().run()

    assert count(redrive, operations) == 1
    assert page.get("bidi_component")


def test_a_chapter_that_is_being_written_is_cancelled_by_itself(open_page: OpenPage, redrive, operator):
    add_novel(redrive.engine, chapters=[{}, {}, FAILED])
    chapters.generate(redrive, operator, "n1", 3)
    page = open_page("chapter", novel="n1", number="3")

    button(page, "Cancel the writing").click().run()
    button(page, "Cancel it").click().run()
    forget_cached_reads()
    page.run()

    assert has_button(page, "Write it again")
    assert "Cancelled before it was complete." in words_of(page)


@pytest.mark.parametrize(("query", "words"), [
    ({"novel": "nobody", "number": "1"}, "There is no novel with the id"), ({"novel": "n1", "number": "9"}, "There is no chapter **9**"),
    ({"novel": "n1", "number": "99999999999"}, "There is no chapter"), ({"novel": "n1", "number": "²"}, "There is no chapter")])
def test_what_nobody_knows_is_told(open_page: OpenPage, novel, query, words):
    page = open_page("chapter", **query)

    assert not page.exception
    assert any(words in warning.value for warning in page.warning)


def test_a_novel_without_a_number_offers_its_chapters(open_page: OpenPage, novel):
    page = open_page("chapter", novel="n1")

    assert not page.warning
    assert "Choose a chapter." in words_of(page)
    assert "/chapter?novel=n1&amp;number=2" in words_of(page)


def test_a_chapter_is_regenerated_as_a_draft_with_a_note_a_model_and_a_temperature(environment, open_page: OpenPage, redrive, novel):
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    page = open_page("chapter", novel="n1", number="2")
    button(page, "Regenerate").click().run()
    page.text_area(key="regenerate_note").input("darker").run()
    page.text_input(key="regenerate_model").input("other-model").run()
    page.toggle(key="regenerate_own_temperature").set_value(True).run()
    page.slider(key="regenerate_temperature").set_value(0.4).run()

    button(page, "Write a draft").click().run()

    with redrive.engine.connect() as connection:
        draft = connection.execute(select(drafts)).one()
    assert (draft.note, draft.model, draft.temperature, draft.state) == ("darker", "other-model", 0.4, DraftState.GENERATING)
    assert not has_button(page, "Write a draft")
    assert "<p>Once upon a time.</p>" in words_of(page)
    assert "The draft that is being written" in words_of(page)
    assert len(page.get("bidi_component")) == 1


def test_a_draft_is_compared_and_accepted_and_the_version_before_comes_back(open_page: OpenPage, redrive, operator, novel):
    write_draft(redrive, operator)
    page = open_page("chapter", novel="n1", number="2")
    button(page, "Compare").click().run()
    words = words_of(page)
    assert "<ins>another</ins>" in words
    assert "<del>a</del>" in words
    assert "Readers have chosen an option" in words
    assert "chapter 3 count as written for an older text" in words

    button(page, "Accept").click().run()

    assert "<p>Once upon another time.</p>" in words_of(page)
    assert "its options stayed as they were" in words_of(page)
    assert "Written for an older text from now on" in words_of(page)
    assert any("Written for an older text" in warning.value for warning in open_page("chapter", novel="n1", number="3").warning)

    version = chapter_views.chapter(redrive, "n1", 2).versions[0]
    page = open_page("chapter", novel="n1", number="2", draft=version.draft_id)
    button(page, "Roll back to this version").click().run()

    assert "<p>Once upon a time.</p>" in words_of(page)


def test_a_draft_that_is_written_beside_it_leaves_the_chapter_complete(open_page: OpenPage, redrive, operator, novel):
    chapters.regenerate(redrive, operator, "n1-2")
    dispatcher.dispatch(redrive)
    with redrive.engine.connect() as connection:
        attempts.begin(redrive, connection.scalar(select(items.c.item_id)))

    page = open_page("chapter", novel="n1", number="2")

    assert "<p>Once upon a time.</p>" in words_of(page)
    assert len(page.get("bidi_component")) == 1  # the draft
    assert button(page, "Regenerate").disabled
    assert button(page, "Cancel the draft")


def test_words_are_compared_in_one_text_too(open_page: OpenPage, redrive, operator, novel):
    page = open_page("chapter", novel="n1", number="2", draft=write_draft(redrive, operator))

    page.button_group(key="compare-layout").set_value("inline").run()

    assert "<del>a</del><ins>another</ins>" in words_of(page)


def test_a_rejection_needs_a_reason_and_keeps_it(open_page: OpenPage, redrive, operator, novel):
    draft_id = write_draft(redrive, operator)
    page = open_page("chapter", novel="n1", number="2", draft=draft_id)
    assert button(page, "Reject").disabled

    page.text_input(key=f"reject-reason-{draft_id}").input("too dark").run()
    button(page, "Reject").click().run()

    assert "Rejected" in words_of(page)
    assert "too dark" in words_of(page)
    assert "<p>Once upon a time.</p>" in words_of(page)


def test_the_second_editor_learns_that_the_text_moved_on(open_page: OpenPage, redrive, operator, novel):
    first = write_draft(redrive, operator)
    second = write_draft(redrive, operator, NEW.model_copy(update={"content": "Once upon a third time."}))
    page = open_page("chapter", novel="n1", number="2", draft=second)
    seen = chapter_views.chapter(redrive, "n1", 2).version
    chapters.accept(redrive, Actor("ana", Role.OPERATOR), first, expected_version=seen)

    button(page, "Accept").click().run()

    assert any("was changed in the meantime" in warning.value for warning in page.warning)
    assert chapter_views.chapter(redrive, "n1", 2).content == NEW.content


def test_other_chapters_that_are_being_written_are_watched_at_once(open_page: OpenPage, redrive, operator):
    add_novel(redrive.engine, chapters=[{**FAILED, "has_options": True}, {}, FAILED])
    chapters.generate(redrive, operator, "n1", 1)
    chapters.generate(redrive, operator, "n1", 3)
    page = open_page("chapter", novel="n1", number="3")
    assert len(page.get("bidi_component")) == 1

    page.toggle(key="watch-others").set_value(True).run()

    assert len(page.get("bidi_component")) == 2
    assert page.query_params["watch"] == "all"


def test_a_viewer_reads_and_begins_nothing(environment, open_page: OpenPage, redrive, operator, novel):
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    draft_id = write_draft(redrive, operator)

    assert button(open_page("chapter", novel="n1", number="2"), "Regenerate").disabled
    page = open_page("chapter", novel="n1", number="2", draft=draft_id)
    assert button(page, "Accept").disabled
    assert button(page, "Reject").disabled


def test_every_run_brings_a_fresh_token_for_this_text_alone():
    data = live_data("c1", "Text", "zh", utc_now(), utc_now())

    check_token("c1", data["token"])
    assert data["id"] == "c1"


def test_every_state_has_its_look():
    assert set(CHAPTER_STATES) == set(StripState)
    assert set(DRAFT_STATES) == set(DraftState)


def test_an_address_holds_no_more_than_a_novel_and_a_number():
    assert chapter_address("a&b=c d", 3) == "/chapter?novel=a%26b%3Dc%20d&number=3"
    assert language_attribute('zh" x="') == ""
