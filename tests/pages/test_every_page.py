"""What every page owes: full, empty and in an outage, in words; an as-of time; what the writer is."""

import pytest

from backend.clock import utc_now
from backend.content.keys import ContentKind
from backend.content.scopes import ProblemFilter
from backend.storage.ops_tables import dirty, heartbeats
from backend.views.listing import cause_rows
from tests.factories import add_item, add_novel, add_operation, add_roadmap, ago, concept
from tests.pages.conftest import OpenPage, button, forget_cached_reads, forget_reads, has_button, places, words_of

PAGES = ("overview", "problems", "operations", "roadmap", "tasks", "workers", "cause", "automatic", "covers", "novels", "chapter")


def add_broken(redrive) -> None:
    add_roadmap(redrive.engine, concepts=[concept("a", status="failed"), concept("b")], saved=[ContentKind.QUIZ])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_tells_as_of_when_it_is_true_and_who_would_write(open_page: OpenPage, redrive, name):
    add_broken(redrive)

    page = open_page(name)

    assert not page.exception
    assert page.title[0].value.split()[0] == name.capitalize()
    assert "As of " in words_of(page)
    assert "Offline writer" in words_of(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_banner_leaves_all_that_is_below_it_in_its_place(open_page: OpenPage, redrive, name):
    """Or the browser would draw it anew: a text that grows, the focus of who chooses by keys."""
    add_broken(redrive)
    page = open_page(name)
    before = places(page)

    with redrive.engine.begin() as connection:
        connection.execute(heartbeats.delete())
    forget_reads()
    page.run()

    assert "Maintenance is silent" in words_of(page)
    assert places(page) == before


@pytest.mark.parametrize("name", ["overview", "problems", "roadmap", "cause", "covers", "novels", "chapter"])  # which tell what ended
def test_an_operation_that_ended_leaves_all_that_is_below_it_in_its_place(open_page: OpenPage, redrive, name):
    add_broken(redrive)
    page = open_page(name)
    before = places(page)

    add_operation(redrive.engine, "over", state="completed", settled_at=utc_now(), outcome={"healthy": 1, "problems": {}})
    forget_reads()
    page.run()

    assert has_button(page, "Hide")
    assert places(page) == before


@pytest.mark.parametrize(("name", "words"), [
    ("overview", "Nothing is broken."), ("problems", "Nothing is broken"), ("roadmap", "There is no roadmap"),
    ("operations", "Nothing has been retried yet"), ("cause", "Choose a cause in the list of causes."),
    ("automatic", "Nothing is retried by itself."), ("covers", "There is no roadmap on this platform yet"),
    ("novels", "There is no novel on this platform yet."),
    ("chapter", "Choose a chapter in the list of novels"),
    ("tasks", "The platform has no task yet."), ("workers", "Nothing is planned, queued or running.")])
def test_an_empty_platform_is_told_in_words(open_page: OpenPage, name, words):
    page = open_page(name)

    assert not page.exception
    assert words in words_of(page)
    assert not page.dataframe
    assert not has_button(page, "Retry everything that is broken")


def test_a_novel_that_cannot_be_read_is_told_on_every_page_and_breaks_none(open_page: OpenPage, redrive):
    chapters = [{"created_at": "infinity", "status": "failed", "error_message": "Refused"}]
    add_novel(redrive.engine, "n1", title="Tides", created_at="infinity", chapters=chapters)
    add_operation(redrive.engine)
    add_item(redrive.engine, "", kind="chapter", owner_id="n1", state="failed", error_kind="unexpected", cause_id="c",
             settled_at=ago(hours=1))
    open_page("overview")
    (cause,) = cause_rows(redrive, ProblemFilter())

    pages = {
        "cause": open_page("cause", id=cause.cause_id), "operations": open_page("operations", operation="o1"),
        "problems": open_page("problems"), "novels": open_page("novels"), "novel": open_page("chapter", novel="n1"),
        "chapter": open_page("chapter", novel="n1", number="1"), "overview": open_page("overview")}

    assert (cause.problem_count, cause.owner_count) == (1, 1)
    for name, page in pages.items():
        assert not page.exception, name
        assert not page.error, (name, [error.value for error in page.error])
    assert "timestamp too large" in words_of(pages["novel"])
    links = [(link.proto.label.replace("\\", ""), link.proto.page, link.proto.query_string) for link in pages["cause"].get("page_link")]
    assert ("Tides (1)", "chapter", "novel=n1") in links


@pytest.mark.parametrize("name", PAGES)
def test_an_outage_is_never_shown_as_an_empty_platform_and_ends_by_itself(
    open_page: OpenPage, redrive, stop_database, start_database, name,
):
    add_broken(redrive)
    page = open_page(name)

    stop_database()
    page.run()

    assert not page.exception
    assert "PostgreSQL does not answer." in page.error[0].value
    assert not page.dataframe
    assert "Nothing is broken" not in words_of(page)

    start_database()
    page.run()

    assert not page.error
    assert "As of " in words_of(page)


@pytest.mark.parametrize("name", PAGES)
def test_redis_down_is_told_as_parked_and_never_as_no_workers(open_page: OpenPage, redrive, stop_redis, name):
    add_broken(redrive)
    page = open_page(name)

    stop_redis()
    page.run()

    assert not page.exception
    assert "sending is parked" in page.warning[0].value
    assert "No worker is alive" not in words_of(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_silent_maintenance_is_told(open_page: OpenPage, redrive, name):
    page = open_page(name)
    with redrive.engine.begin() as connection:
        connection.execute(heartbeats.delete())
    forget_reads()

    page.run()

    assert any("Maintenance is silent so far: sending is parked" in warning.value for warning in page.warning)
    assert "Maintenance is silent" in words_of(page)


def test_a_page_without_servers_names_the_next_step(environment, open_page: OpenPage):
    page = open_page("overview")
    environment.delenv("DATABASE_URL")
    forget_reads()

    page.run()

    assert "make run" in page.error[0].value
    assert not page.exception


def test_a_defect_is_told_without_a_traceback(open_page: OpenPage, monkeypatch):
    page = open_page("overview")
    monkeypatch.setattr("dashboard.reads.read_overview", lambda: 1 / 0)

    page.run()

    assert "met a fault of its own" in page.error[0].value
    assert not page.exception
    assert "ZeroDivisionError" not in words_of(page)


def test_a_viewer_sees_everything_and_cannot_retry(environment, open_page: OpenPage, redrive):
    add_broken(redrive)
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")

    page = open_page("problems")

    everything = button(page, "Retry everything that is broken")
    assert everything.disabled
    assert "needs the role operator" in everything.help


@pytest.mark.parametrize("name", ["overview", "problems"])
def test_a_list_that_is_behind_never_says_that_nothing_is_broken(open_page: OpenPage, redrive, name):
    page = open_page(name)
    with redrive.engine.begin() as connection:
        connection.execute(dirty.insert().values(owner_kind="roadmap", owner_id="r9", marked_at=ago(minutes=3)))
    forget_cached_reads()

    page.run()

    assert any("This list is 3 min behind" in warning.value for warning in page.warning)
    assert "Nothing is broken" not in words_of(page)
