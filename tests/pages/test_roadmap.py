"""Roadmap: the matrix, one cell with what is saved and what went wrong, and its retries."""

from sqlalchemy import select

from backend.content.keys import ContentKey, ContentKind
from backend.storage.ops_tables import items
from backend.views import roadmap
from dashboard.components.matrix import matrix_data
from tests.factories import add_content, add_item, add_roadmap, ago, concept, framework
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, words_of


def add_broken(redrive, **columns) -> None:
    add_roadmap(redrive.engine, "r1", concepts=[concept("a", content_status="failed"), concept("b")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.QUIZ, "b")], title="Deep learning", **columns)


def test_without_a_choice_it_lists_the_roadmaps_with_problems_first(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "healthy", concepts=[concept("a")], title="Fine")
    add_broken(redrive)

    page = open_page("roadmap")

    assert list(page.dataframe[0].value["title"]) == ["Deep learning", "Fine"]


def test_the_search_is_kept_in_the_url(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("roadmap")

    page.text_input(key="roadmap-search").input("nothing like it").run()

    assert page.query_params == {"search": "nothing like it"}
    assert "No roadmap matches." in words_of(page)


def test_a_deep_link_opens_the_roadmap(open_page: OpenPage, redrive):
    add_broken(redrive)

    page = open_page("roadmap", id="r1")

    assert "4 of 6 pieces of content are healthy (67%)" in words_of(page)
    assert "Choose a cell" in words_of(page)


def test_a_roadmap_that_is_not_there_is_told(open_page: OpenPage):
    page = open_page("roadmap", id="nowhere")

    assert any("There is no roadmap with the id" in warning.value for warning in page.warning)


def test_the_matrix_tells_each_state_by_colour_symbol_and_words(open_page: OpenPage, redrive):
    add_broken(redrive)
    open_page("roadmap", id="r1")

    data = matrix_data(roadmap.roadmap(redrive, "r1"), ContentKey(ContentKind.QUIZ, "r1", "b"))

    cells = [cell for row in data["stages"][0]["modules"][0]["concepts"] for cell in row["cells"]]
    assert [(cell["symbol"], cell["word"]) for cell in cells] == [
        ("✕", "Failed"), ("✓", "Healthy"), ("✓", "Healthy"), ("✓", "Healthy"), ("✓", "Healthy"), ("○", "Missing")]
    assert cells[0]["told"].startswith("Tutorial of Concept a: Failed")
    assert len({cell["colour"] for cell in cells}) == 3
    assert data["chosen"] == "quiz:r1:b"


def test_a_cell_shows_its_error_and_is_retried_at_once(open_page: OpenPage, redrive):
    add_broken(redrive)
    page = open_page("roadmap", id="r1", cell="tutorial:a")
    assert "Nothing is saved." in words_of(page)
    assert "Redrive has not retried this yet." in words_of(page)

    button(page, "Retry tutorial").click().run()

    with redrive.engine.connect() as connection:
        assert [(row.kind, row.part) for row in connection.execute(select(items))] == [("tutorial", "a")]
    assert "Retry of 1 item starts in 50 s: Tutorial of Concept a, in Deep learning" in page.toast[0].value.replace("\\", "")
    assert button(page, "Retry tutorial").disabled


def test_what_was_tried_on_a_cell_names_attempts_that_were_begun(open_page: OpenPage, redrive):
    add_broken(redrive)
    add_item(redrive.engine, "a", state="cancelled", settled_at=ago(minutes=3))
    never_begun = words_of(open_page("roadmap", id="r1", cell="tutorial:a"))
    add_item(redrive.engine, "a", state="failed", attempt=2, started_at=ago(minutes=2), settled_at=ago(minutes=1))
    forget_cached_reads()

    begun = words_of(open_page("roadmap", id="r1", cell="tutorial:a"))

    assert "Cancelled" in never_begun
    assert "attempt" not in never_begun
    assert "attempt 2" in begun
    assert "attempt 1" not in begun


def test_a_healthy_cell_cannot_be_retried(open_page: OpenPage, redrive):
    add_broken(redrive)

    page = open_page("roadmap", id="r1", cell="quiz:a")

    assert button(page, "Retry quiz").disabled


def test_all_of_a_roadmap_is_planned_as_such(open_page: OpenPage, redrive):
    add_broken(redrive)
    add_roadmap(redrive.engine, "other", concepts=[concept("a", status="failed")], saved=())
    page = open_page("roadmap", id="r1")

    button(page, "Retry all of this roadmap").click().run()

    assert "Retry of 2 items starts in 50 s" in page.toast[0].value
    assert "Deep learning" in page.toast[0].value
    with redrive.engine.connect() as connection:
        assert {(row.kind, row.owner_id, row.part) for row in connection.execute(select(items))} == {
            ("tutorial", "r1", "a"), ("quiz", "r1", "b")}


def test_saved_texts_are_untrusted(open_page: OpenPage, redrive):
    url = redrive.objects.put_text("t.md", "# Title\n![spy](https://evil.example/pixel.png) <script>alert(1)</script>")
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")], saved=[ContentKind.RESOURCES, ContentKind.QUIZ])
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, content_url=url)

    page = open_page("roadmap", id="r1", cell="tutorial:a")

    text = next(markdown for markdown in page.markdown if "spy" in markdown.value)
    assert "![" not in text.value
    assert not text.proto.allow_html


def test_a_text_that_is_recorded_but_gone_is_told(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")], saved=[ContentKind.RESOURCES, ContentKind.QUIZ])
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "a", ContentKind.TUTORIAL, content_url=f"{redrive.objects.root_url}/gone.md")

    page = open_page("roadmap", id="r1", cell="tutorial:a")

    assert not page.exception
    assert "cannot be read" in words_of(page)


def test_a_sample_is_called_a_sample(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")])
    with redrive.engine.begin() as connection:
        connection.execute(items.insert().values(
            operation_id="o1", kind="quiz", owner_id="r1", part="a", title="Concept a", action="generate", state="succeeded",
            problem_kind="missing", generator="offline", is_sample=True, settled_at=ago(minutes=1)))

    page = open_page("roadmap", id="r1", cell="quiz:a")

    assert "Sample text by the offline writer" in words_of(page)
    assert "sample text by offline" in words_of(page)


def test_faults_of_framework_data_are_told_with_their_path(open_page: OpenPage, redrive):
    data = framework(concept("a"))
    data["stages"].append({"name": "Second", "modules": {"oops": 1}})
    add_roadmap(redrive.engine, "r1", framework_data=data)

    page = open_page("roadmap", id="r1")

    assert "$.stages[1].modules" in page.code[0].value
    assert "cannot be read in 1 place" in page.error[0].value
    assert not page.exception


def test_a_framework_that_is_no_framework_at_all_hides_nothing_else(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, "r1", framework_data=["no", "framework"])

    page = open_page("roadmap", id="r1")

    assert "No concept can be read in this roadmap" in words_of(page)
    assert not has_button(page, "Retry tutorial")
    assert not page.exception
