"""Novels: filters and search in the URL, what the strips tell, what is chosen and retried across novels."""

import pytest
from sqlalchemy import select, text

from backend.actions import chapters, dispatcher
from backend.content.keys import ContentKey, ContentKind
from backend.storage.ops_tables import items
from dashboard import novel_reads
from dashboard.components.novel_list import novel_data
from tests.factories import add_novel
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, words_of

FAILED = {"status": "failed", "content": "Half a", "error_message": "<b>The model sent nothing.</b>", "has_options": False}
STALE = {"status": "generating", "content": "Half", "has_options": False}


@pytest.fixture
def shelf(redrive):
    """Three novels: n1 with a failed and a stale chapter, n2 in Chinese with a failed one, n3 whole."""
    add_novel(redrive.engine, "n1", chapters=[{}, FAILED | {"has_options": True}, STALE], title="Tides")
    add_novel(redrive.engine, "n2", chapters=[{"content": "山中的雨夜，灯火通明。"}, FAILED], title="雨夜", language="zh")
    add_novel(redrive.engine, "n3", chapters=[{}, {}], title="Harbour")
    return redrive


def confirmed(redrive) -> list[tuple[str, str]]:
    with redrive.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(items.c.owner_id, items.c.part).order_by(items.c.owner_id, items.c.part))]


def states(page) -> list[str]:
    """Of the filter: "Failed 2"."""
    return [str(option).rpartition("} ")[2] for option in page.button_group[0].options]


def drawn(chosen=()):
    return novel_data(novel_reads.novel_page((), "", "", 1, 20).rows, chosen)["novels"]


@pytest.mark.parametrize(("query", "novels"), [
    ({}, 3), ({"state": "failed"}, 2), ({"state": ["stale", "missing"]}, 1), ({"state": "completed"}, 3), ({"language": "zh"}, 1),
    ({"text": "tides"}, 1), ({"text": "灯火"}, 1), ({"text": "HALF A"}, 2), ({"text": "half a", "language": "en"}, 1)])
def test_novels_are_filtered_and_searched_in_the_url(open_page: OpenPage, shelf, query, novels):
    page = open_page("novels", **query)

    assert not page.exception
    assert f"1 to {novels} of {novels}." in words_of(page)


def test_states_are_counted_in_what_the_search_finds(open_page: OpenPage, shelf):
    assert states(open_page("novels")) == ["Completed 4", "Failed 2", "Stale 1"]
    assert states(open_page("novels", text="tides")) == ["Completed 1", "Failed 1", "Stale 1"]


def test_what_nobody_knows_is_told_and_a_filter_that_finds_nothing_is_cleared(open_page: OpenPage, shelf):
    page = open_page("novels", state="nonsense", page="99")
    assert any("state=nonsense" in warning.value.replace("\\", "") for warning in page.warning)
    assert "1 to 3 of 3" in words_of(page)

    page = open_page("novels", text="no such words")
    assert "No novel matches these filters." in words_of(page)
    button(page, "Clear filters").click().run()
    assert page.query_params == {}


def test_a_strip_tells_each_chapter_and_what_is_broken_with_its_error_and_its_text(open_page: OpenPage, shelf):
    open_page("novels")

    tides, rain, harbour = drawn([ContentKey(ContentKind.CHAPTER, "n1", "2")])

    assert [square["state"] for square in tides["strip"]] == ["completed", "failed", "stale"]
    assert len({square["symbol"] for square in tides["strip"]}) == 3
    assert tides["strip"][1]["address"] == "/chapter?novel=n1&number=2"
    assert tides["count"] == "2 broken"
    failed = tides["broken"][0]
    assert (failed["word"], failed["facts"]) == ("Failed", "6 characters")
    assert failed["why"] == "Failed: <b>The model sent nothing.</b>"  # set as text by the browser
    assert (rain["title"], rain["told"]) == ("雨夜", "Chinese · 2 chapters")
    assert (harbour["broken"], harbour["count"]) == ([], "")


def test_tries_of_redrive_are_counted(open_page: OpenPage, shelf):
    open_page("novels")
    with shelf.engine.begin() as connection:
        connection.execute(text("update ops.problems set attempts = 2 where owner_id = 'n2'"))
    forget_cached_reads()

    assert drawn()[1]["broken"][0]["facts"] == "2 tries · 6 characters"


def test_everything_broken_is_retried_across_novels(open_page: OpenPage, shelf):
    page = open_page("novels")

    button(page, "Retry 3 broken chapters").click().run()

    assert confirmed(shelf) == [("n1", "2"), ("n1", "3"), ("n2", "2")]
    assert any("Retry of 3 items" in toast.value for toast in page.toast)


def test_a_retry_keeps_to_the_states_and_the_search_that_are_shown(open_page: OpenPage, shelf):
    page = open_page("novels", state="failed", text="tides")

    button(page, "Retry 1 broken chapter").click().run()

    assert confirmed(shelf) == [("n1", "2")]


def test_a_large_retry_is_planned_first_and_a_viewer_starts_none(environment, open_page: OpenPage, shelf, dialog_above_one):
    page = open_page("novels")
    button(page, "Retry 3 broken chapters").click().run()
    assert has_button(page, "Confirm")
    assert confirmed(shelf) == []

    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    forget_cached_reads()
    novel_reads.reads.connected.clear()
    assert button(open_page("novels"), "Retry 3 broken chapters").disabled


def test_a_chapter_that_is_written_is_no_problem_and_its_strip_follows(open_page: OpenPage, shelf, operator):
    chapters.generate(shelf, operator, "n2", 2)
    dispatcher.dispatch(shelf)

    page = open_page("novels")

    assert states(page) == ["Completed 4", "Being written 1", "Failed 1", "Stale 1"]
    assert [square["state"] for novel in drawn() if novel["id"] == "n2" for square in novel["strip"]] == ["completed", "generating"]
    assert "1 to 1 of 1." in words_of(open_page("novels", state="generating"))
