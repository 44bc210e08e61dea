"""Covers: the gallery and its filters, what is chosen and retried, one cover with its versions, uploads."""

import io

import pytest
from PIL import Image
from sqlalchemy import select

from backend.actions import attempts, covers
from backend.clock import utc_now
from backend.content.keys import ContentKey, ContentKind
from backend.storage import cover_versions
from backend.storage.ops_tables import audit_log, items, operations
from backend.views.covers import CoverState, Picture
from backend.views.detection import counts_and_problems
from dashboard import cover_reads
from dashboard.components.cover_gallery import gallery_data
from dashboard.components.cover_words import COVER_STATES, VERSION_STATES, credit, image
from tests.factories import add, add_roadmap
from tests.integration.test_covers import COVER, add_bare, begin_one, painted, row_of, versions
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, places, words_of


def confirmed(redrive) -> list[tuple[str, int]]:
    """(kind, owner) of every item, by owner."""
    with redrive.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(items.c.kind, items.c.owner_id).order_by(items.c.owner_id))]


@pytest.fixture
def covered(redrive, operator):
    """r1 with a cover that Redrive made."""
    add_bare(redrive, "r1")
    attempts.save(redrive, begin_one(redrive, operator), painted())
    return redrive


def test_states_are_counted_filtered_and_searched_in_the_url(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", "r2")
    add_bare(redrive, "r3", generation_status="failed", error_message="timed out")
    add_roadmap(redrive.engine, "tides", title="Tides")

    assert "1 to 4 of 4" in words_of(open_page("covers"))
    page = open_page("covers", state="failed")
    assert "1 to 1 of 1" in words_of(page)
    assert [option for option in page.button_group[0].options if "Missing 2" in str(option)]
    assert "1 to 1 of 1" in words_of(open_page("covers", text="tides"))
    page = open_page("covers", text="no such title")
    assert "No cover matches these filters." in words_of(page)
    button(page, "Clear filters").click().run()
    assert page.query_params == {}


def test_without_any_roadmap_there_is_nothing_to_narrow(open_page: OpenPage, redrive):
    page = open_page("covers")

    assert "so there is no cover" in words_of(page)
    assert not page.text_input
    assert open_page("covers", text="tides").text_input  # to take the search back


def test_a_state_in_the_url_that_nobody_knows_is_told(open_page: OpenPage, redrive):
    add_bare(redrive, "r1")

    page = open_page("covers", state="nonsense", page="99")

    assert any("state=nonsense" in warning.value.replace("\\", "") for warning in page.warning)
    assert "1 to 1 of 1" in words_of(page)


def test_the_gallery_tells_each_cover_in_words_and_boxes_only_what_is_broken(open_page: OpenPage, covered):
    add_bare(covered, "r2", generation_status="failed", error_message="The painter refused.")
    open_page("covers")
    data = gallery_data(cover_reads.gallery((), "", 1, 24).rows, [ContentKey(ContentKind.COVER, "r2")])

    broken, good = data["cards"]
    assert (broken["word"], broken["why"], broken["may_mark"], broken["is_marked"]) == ("Failed", "The painter refused.", True, True)
    assert (good["word"], good["may_mark"], good["why"]) == ("There", False, "")
    assert good["picture"].startswith("/covers/")
    assert (good["alt"], good["credit"], good["credit_url"]) == (COVER.alt_text, COVER.attribution, COVER.attribution_url)


def test_what_is_missing_is_offered_once_and_made_by_one_click(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", "r2")
    add_roadmap(redrive.engine, "good")
    page = open_page("covers")
    assert "2 roadmaps have no cover." in words_of(page)

    button(page, "Generate all that are missing").click().run()

    assert confirmed(redrive) == [("cover", "r1"), ("cover", "r2")]
    assert "have no cover" not in words_of(page)
    assert not has_button(page, "Generate all that are missing")  # they are being made


def test_an_offer_that_is_waved_away_stays_away_and_leaves_its_button(open_page: OpenPage, redrive):
    add_bare(redrive, "r1")
    page = open_page("covers")
    before = places(page)

    button(page, "Not now").click().run()

    assert places(page) == before
    assert "has no cover" not in words_of(page)
    assert has_button(page, "Generate all that are missing")
    assert confirmed(redrive) == []


def test_a_large_number_of_missing_covers_is_planned_first(open_page: OpenPage, redrive, dialog_above_one):
    add_bare(redrive, "r1", "r2")
    page = open_page("covers")

    button(page, "Generate all that are missing").click().run()

    assert "missing cover" in words_of(page) or "roadmaps without a cover" in words_of(page)
    assert has_button(page, "Confirm")
    assert confirmed(redrive) == []


def test_missing_covers_are_made_by_themselves_once_when_the_setting_says_so(environment, open_page: OpenPage, redrive):
    environment.setenv("REDRIVE_COVERS_AUTOMATIC", "true")
    add_bare(redrive, "r1")

    page = open_page("covers")
    page.run()
    open_page("covers")

    with redrive.engine.connect() as connection:
        assert len(connection.execute(select(operations)).all()) == 1
    assert confirmed(redrive) == [("cover", "r1")]


def test_a_viewer_starts_nothing_by_opening_the_page(environment, open_page: OpenPage, redrive):
    environment.setenv("REDRIVE_COVERS_AUTOMATIC", "true")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    add_bare(redrive, "r1")

    page = open_page("covers")

    assert not page.exception
    assert confirmed(redrive) == []
    assert button(page, "Generate all that are missing").disabled


def test_all_that_is_broken_in_the_states_shown_is_retried(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", "r2")
    add_bare(redrive, "r3", generation_status="failed")
    page = open_page("covers", state="failed")

    button(page, "Retry 1 broken cover").click().run()

    assert confirmed(redrive) == [("cover", "r3")]


def test_a_batch_says_what_it_triggered_and_what_was_successful_already(open_page: OpenPage, redrive):
    keys = add_bare(redrive, "r1", "r2", "r3", "r4")
    page = open_page("covers")
    page.session_state["selected"] = dict.fromkeys(keys)
    page.run()
    with redrive.engine.begin() as connection:  # in the meantime: two are there, one roadmap is gone
        for roadmap_id in ("r2", "r3"):
            add(connection, "roadmap_cover_images", {
                "roadmap_id": roadmap_id, "generation_status": "success", "cover_image_url": "https://cdn.example.org/there.png"})
        connection.exec_driver_sql("update roadmap_metadata set deleted_at = now() where roadmap_id = 'r4'")
    counts_and_problems(redrive)

    button(page, "Retry 4 items").click().run()

    words = "Triggered 1, skipped 2 already successful (r2, r3), skipped 1 unknown or deleted (r4)"
    assert any(words in info.value.replace("\\", "") for info in page.info)
    assert confirmed(redrive) == [("cover", "r1")]
    with redrive.engine.connect() as connection:
        operation_id = connection.scalar(select(operations.c.operation_id))
    assert words in words_of(open_page("operations", operation=operation_id)).replace("\\", "")


def test_a_used_up_limit_of_calls_is_told_with_its_end(environment, open_page: OpenPage, redrive):
    environment.setenv("REDRIVE_PAINTERS", "unsplash")
    environment.setenv("REDRIVE_COVER_CALLS_PER_PERSON", "1/hour")
    add_bare(redrive, "r1", "r2")

    page = open_page("covers")

    assert "the rest waits for the limit of calls and goes on at" in words_of(page)


def test_the_plan_says_when_the_limit_of_calls_lets_it_go_on(environment, open_page: OpenPage, redrive, dialog_above_one):
    environment.setenv("REDRIVE_PAINTERS", "unsplash")
    environment.setenv("REDRIVE_COVER_CALLS_PER_PERSON", "2/hour")
    add_bare(redrive, "r1", "r2", "r3")
    page = open_page("covers")

    button(page, "Retry 3 broken covers").click().run()

    assert any("2 of 3 items can be made now; the rest waits for the limit of calls and goes on at" in warning.value.replace("\\", "")
               for warning in page.warning)
    assert has_button(page, "Confirm")


def test_one_cover_is_compared_with_another_version_and_the_choice_is_published(open_page: OpenPage, covered, operator):
    covers.upload(covered, operator, "r1", picture(), alt_text="A teal square")
    before = row_of(covered).cover_image_url
    page = open_page("covers", id="r1")
    assert "Published now" in words_of(page)
    assert "an upload" in words_of(page)

    button(page, "Publish this one instead").click().run()

    assert row_of(covered).cover_image_url != before
    assert "The one before is kept" in words_of(page)


def test_another_version_is_made_with_a_note_and_nothing_published_changes(open_page: OpenPage, covered):
    before = row_of(covered)
    page = open_page("covers", id="r1")

    page.text_input(key="cover-note-r1").input("warmer").run()
    button(page, "Make it").click().run()

    assert row_of(covered) == before
    assert versions(covered)[0].note == "warmer"
    assert "It is being made." in words_of(page)
    assert button(page, "Make it").disabled
    assert page.file_uploader[0].disabled


def test_nothing_else_is_published_while_another_version_is_being_made(open_page: OpenPage, covered, operator):
    covers.upload(covered, operator, "r1", picture(), alt_text="A teal square")
    page = open_page("covers", id="r1")
    assert not button(page, "Publish this one instead").disabled
    older = versions(covered)[1].version_id

    button(page, "Make it").click().run()
    page.query_params["version"] = older
    page.run()

    assert button(page, "Publish this one instead").disabled


def test_a_cover_that_failed_says_why_and_is_made_at_a_click(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", generation_status="failed", error_message="<b>refused</b>")
    page = open_page("covers", id="r1")
    assert "&lt;b&gt;refused&lt;/b&gt;" in words_of(page)

    button(page, "Make it now").click().run()

    assert confirmed(redrive) == [("cover", "r1")]


def test_a_cover_that_failed_is_made_by_a_note(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", generation_status="failed", error_message="refused")
    page = open_page("covers", id="r1")

    page.text_input(key="cover-note-r1").input("no people").run()
    button(page, "Make it by this note").click().run()

    assert versions(redrive)[0].note == "no people"
    assert "It is being made." in words_of(page)
    assert not has_button(page, "Make it now")


def test_every_version_can_be_reached_and_the_published_one_is_on_every_page(open_page: OpenPage, covered):
    with covered.engine.begin() as connection:
        first = cover_versions.of_roadmap(connection, "r1")[0]
        later = [cover_versions.insert_taken_over(connection, "r1", f"https://cdn.example.org/{number}.webp", utc_now())
                 for number in range(25)]

    def listed(page) -> set[str]:
        return {one.key.removeprefix("compare-") for one in page.button if (one.key or "").startswith("compare-")}

    pages = [open_page("covers", id="r1", versions=str(number)) for number in (1, 2, 3)]

    assert [len(listed(page)) for page in pages] == [12, 12, 1]
    assert set.union(*map(listed, pages)) == set(later)
    assert all("Published" in words_of(page) and first.version_id not in listed(page) for page in pages)
    assert "25 to 26 of 26" in words_of(pages[2])


def test_an_alt_text_is_edited_on_the_page(open_page: OpenPage, covered):
    version_id = versions(covered)[0].version_id
    page = open_page("covers", id="r1")

    page.text_area(key=f"alt-{version_id}").input("A red lighthouse").run()
    button(page, "Save").click().run()

    assert "Alt text: A red lighthouse" in words_of(page)
    page.text_area(key=f"alt-{version_id}").input(" ").run()
    button(page, "Save").click().run()
    assert any("Not saved" in error.value for error in page.error)
    assert versions(covered)[0].alt_text == "A red lighthouse"


def test_a_roadmap_that_nobody_knows_is_told_and_the_gallery_is_shown(open_page: OpenPage, redrive):
    add_bare(redrive, "r1")

    page = open_page("covers", id="never")

    assert any("There is no roadmap with the id" in warning.value for warning in page.warning)
    assert "1 to 1 of 1" in words_of(page)


def picture(width=900, height=600):
    kept = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(kept, "PNG")
    return kept.getvalue()


def choose(page, content: bytes, alt_text="A teal square"):
    page.file_uploader[0].set_value(("cover.png", content, "image/png")).run()
    page.text_input(key="cover-alt-r1").input(alt_text).run()


def upload(page, content: bytes):
    choose(page, content)
    return button(page, "Publish this picture").click().run()


def test_a_picture_of_ones_own_is_checked_published_and_written_down(open_page: OpenPage, redrive):
    add_bare(redrive, "r1")
    page = open_page("covers", id="r1")
    assert button(page, "Publish this picture").disabled

    upload(page, picture())

    assert row_of(redrive).generation_status == "success"
    assert versions(redrive)[0].alt_text == "A teal square"
    assert "Your picture is published" in words_of(page)
    with redrive.engine.connect() as connection:
        assert list(connection.scalars(select(audit_log.c.action))) == ["upload_cover"]


@pytest.mark.parametrize(("content", "words"), [
    (b"not a picture", "This is no PNG, JPEG, WebP or GIF picture"), (picture(64, 64), "64 x 64 pixels; a cover needs at least"),
    (picture()[:-40], "The picture is broken")], ids=["no picture", "small", "broken"])
def test_a_bad_upload_is_told_in_words_and_changes_nothing(open_page: OpenPage, redrive, content, words):
    add_bare(redrive, "r1")
    page = open_page("covers", id="r1")

    upload(page, content)

    assert any(words in error.value for error in page.error)
    assert versions(redrive) == ()
    assert row_of(redrive) is None or row_of(redrive).generation_status != "success"


def test_a_picture_that_was_taken_out_in_the_last_moment_is_missed_in_words(open_page: OpenPage, redrive):
    add_bare(redrive, "r1")
    page = open_page("covers", id="r1")
    choose(page, picture())

    page.file_uploader[0].set_value([])
    button(page, "Publish this picture").click().run()

    assert "There is no picture yet" in words_of(page)
    assert versions(redrive) == ()


def test_every_state_has_its_look():
    assert set(COVER_STATES) == set(CoverState)
    assert len({look.word for look in COVER_STATES.values()}) == len(COVER_STATES)
    assert len(VERSION_STATES) == 3


def test_words_of_others_are_no_markup():
    hostile = Picture("/covers/x.webp", "/covers/x.webp", '"><script>', "<i>me</i>", 'javascript:alert("x")')

    assert "<script>" not in image(hostile, "")
    assert credit(hostile) == "&lt;i&gt;me&lt;/i&gt;"
    named = credit(Picture("/x", "/x", "", "Ana", "https://unsplash.com/@ana?a=1&b=2"))
    assert 'rel="noopener noreferrer nofollow"' in named
    assert "a=1&amp;b=2" in named


def test_cards_follow_what_is_made(open_page: OpenPage, redrive, operator):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    page = open_page("covers")
    assert any("Being made 1" in str(option) for option in page.button_group[0].options)

    attempts.save(redrive, attempt, painted())
    forget_cached_reads()
    page.run()

    assert any("There 1" in str(option) for option in page.button_group[0].options)


def test_a_cover_whose_picture_went_says_so_and_not_that_nobody_made_one(open_page: OpenPage, redrive):
    add_bare(redrive, "r1", generation_status="pending", error_message="The stored picture is gone.")
    counts_and_problems(redrive)

    told = words_of(open_page("covers", id="r1"))

    assert "The stored picture is gone." in told
    assert "Nobody has made a cover" not in told
