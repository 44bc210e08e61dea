"""Problems: filters in the URL, a selection that stays with its keys, and the retry of exactly that."""

from sqlalchemy import select

from backend.actions import triage
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.storage import problems
from backend.storage.ops_tables import causes, items, operations
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_roadmap, concept
from tests.pages.conftest import (
    OpenPage,
    button,
    choose_rows,
    forget_cached_reads,
    forget_reads,
    has_button,
    shown_titles,
    type_count,
    words_of,
)


def add_three_broken(redrive) -> None:
    """Tutorials of a and b, the quiz of c."""
    add_roadmap(redrive.engine, "r1", concepts=[concept("a", content_status="failed"), concept("b"), concept("c")],
                unsaved=[(ContentKind.TUTORIAL, "a"), (ContentKind.TUTORIAL, "b"), (ContentKind.QUIZ, "c")])


def test_the_url_narrows_the_list(open_page: OpenPage, redrive):
    add_three_broken(redrive)

    assert shown_titles(open_page("problems", kind="quiz")) == ["Concept c"]
    assert shown_titles(open_page("problems", problem="failed")) == ["Concept a"]
    assert sorted(shown_titles(open_page("problems", owner="r1", problem=["failed", "missing"]))) == ["Concept a", "Concept b", "Concept c"]
    assert "No problem matches these filters." in words_of(open_page("problems", text="not to be found"))
    assert "No problem matches these filters." in words_of(open_page("problems", attempts="3"))
    assert len(shown_titles(open_page("problems", age="1d"))) == 3


def test_a_filter_that_is_chosen_goes_to_the_url_and_its_default_leaves_it(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems", page="7")

    page.selectbox(key="filter-owner").select("r1").run()
    page.text_input(key="filter-text").input("concept").run()

    assert page.query_params == {"owner": "r1", "text": "concept"}
    page.selectbox(key="filter-owner").select(None).run()
    page.text_input(key="filter-text").input("").run()
    assert page.query_params == {}


def test_a_merged_cause_in_the_url_is_told_by_the_title_of_the_one_that_it_belongs_to(open_page: OpenPage, redrive, operator):
    add_three_broken(redrive)
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        (merged, into), titles = sorted(connection.scalars(select(causes.c.cause_id)))[:2], []
    triage.merge(redrive, merged, into, operator)

    for cause_id in (into, merged):
        page = open_page("problems", cause=cause_id)
        box = page.selectbox(key="filter-cause")
        titles.append(box.options[0])
        assert (box.value, len(box.options)) == (cause_id, 1)
        assert cause_id not in words_of(page)

    assert titles[0] == titles[1]


def test_a_filter_in_the_url_that_nobody_knows_is_told(open_page: OpenPage, redrive):
    add_three_broken(redrive)

    page = open_page("problems", problem="nonsense")

    assert any("problem=nonsense" in warning.value.replace("\\", "") for warning in page.warning)
    assert len(shown_titles(page)) == 3


def test_clear_filters_shows_everything_again(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems", text="not to be found")

    button(page, "Clear filters").click().run()

    assert len(shown_titles(page)) == 3
    assert page.query_params == {}


def test_the_bar_names_how_many_are_chosen_and_retries_exactly_them(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems")
    chosen = {shown_titles(page)[position] for position in (0, 2)}

    choose_rows(page, [0, 2])

    assert "2 items chosen by hand" in words_of(page)
    button(page, "Retry 2 items").click().run()
    with redrive.engine.connect() as connection:
        assert {row.title for row in connection.execute(select(items))} == chosen
    assert not has_button(page, "Retry 2 items")


def test_the_selection_stays_with_its_keys_when_sort_filter_and_rows_change(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems")
    choose_rows(page, [0])
    chosen = shown_titles(page)[0]

    page.selectbox(key="table-sort").select("newest").run()

    assert shown_titles(page)[0] != chosen
    assert has_button(page, "Retry 1 item")
    page.query_params["kind"] = "resources"
    page.run()
    page.query_params.pop("kind")
    page.run()
    button(page, "Retry 1 item").click().run()
    with redrive.engine.connect() as connection:
        assert [row.title for row in connection.execute(select(items))] == [chosen]


def test_the_selection_survives_paging(open_page: OpenPage, redrive):
    add_roadmap(redrive.engine, concepts=[concept(f"c{number:03}") for number in range(60)], saved=[ContentKind.QUIZ])
    page = open_page("problems")
    choose_rows(page, [0, 1])

    page.query_params["page"] = "2"
    page.run()

    assert len(shown_titles(page)) == 20
    assert "2 of them on other pages or outside the filter" in words_of(page)
    choose_rows(page, [0])
    assert has_button(page, "Retry 3 items")


def test_what_is_not_broken_any_more_leaves_the_selection(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems")
    choose_rows(page, [0, 1, 2])
    with redrive.engine.begin() as connection:
        add_content(connection, "r1", "c", ContentKind.QUIZ)
    problems.drain(redrive.engine, utc_now, redrive.limits)
    forget_cached_reads()

    page.run()

    assert has_button(page, "Retry 2 items")
    assert any("not broken any more" in info.value for info in page.info)


def test_clear_selection_forgets_it(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems")
    choose_rows(page, [0, 1])

    button(page, "Clear selection").click().run()

    assert button(page, "Retry selected items").disabled


def test_retry_everything_takes_the_scope_shown_and_names_it(dialog_above_one, open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems", kind="tutorial")

    button(page, "Retry everything that is broken").click().run()

    assert "broken tutorial" in words_of(page)
    type_count(page, 2)
    button(page, "Confirm").click().run()
    with redrive.engine.connect() as connection:
        assert {(row.kind, row.part) for row in connection.execute(select(items))} == {("tutorial", "a"), ("tutorial", "b")}


def test_two_clicks_on_confirm_are_one_operation(dialog_above_one, open_page: OpenPage, redrive, monkeypatch):
    add_three_broken(redrive)
    page = open_page("problems")
    button(page, "Retry everything that is broken").click().run()
    type_count(page, 3)
    monkeypatch.setattr("dashboard.session.close_plan", lambda: None)  # the second click arrives before the dialog is gone
    button(page, "Confirm").click().run()

    button(page, "Confirm").click().run()

    with redrive.engine.connect() as connection:
        assert len(connection.execute(select(operations)).all()) == 1


def test_a_database_that_does_not_take_the_retry_is_told_and_the_selection_is_kept(
    open_page: OpenPage, redrive, stop_database, start_database,
):
    add_three_broken(redrive)
    page = open_page("problems")
    choose_rows(page, [0])
    stop_database()

    button(page, "Retry 1 item").click().run()

    assert "PostgreSQL does not answer." in page.error[0].value
    start_database()
    page.run()
    assert any("nothing was started" in error.value for error in page.error)
    assert has_button(page, "Retry 1 item")


def test_grouped_by_cause_each_cause_keeps_the_other_filters(open_page: OpenPage, redrive):
    add_three_broken(redrive)
    page = open_page("problems", view="cause", kind="tutorial", problem="missing")

    button(page, "Retry all").click().run()

    assert "1 item" in words_of(page)
    assert "missing tutorial, cause" in words_of(page).replace("\\", "")


def test_the_actions_ask_the_role_again(open_page: OpenPage, environment, redrive):
    add_three_broken(redrive)
    page = open_page("problems")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    forget_reads()

    button(page, "Retry everything that is broken").click().run()

    assert any("needs the role operator" in warning.value for warning in page.warning)
    assert not has_button(page, "Confirm")
    with redrive.engine.connect() as connection:
        assert not connection.execute(select(operations)).all()


def test_a_row_links_to_its_cell_in_the_roadmap(open_page: OpenPage, redrive):
    add_three_broken(redrive)

    page = open_page("problems", kind="quiz")

    assert list(page.dataframe[0].value["open"]) == [f"/roadmap?id=r1&cell={ContentKey(ContentKind.QUIZ, '', 'c').kind}:c"]
