"""A cause: everything about it on one page, what people decide about it, and what a plan makes of that."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from backend.actions import triage
from backend.actions.actors import Actor, Role
from backend.clock import utc_now
from backend.content.causes import cause_id_of, classify
from backend.content.keys import ContentKind
from backend.content.triage import CauseState
from backend.storage import cause_records, lookers, problems
from backend.storage.ops_tables import audit_log, causes, items, operations
from tests.factories import add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, shown_titles, words_of

POOL = "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"
TIMEOUT = "Request timed out."
ADA = Actor("Ada", Role.ADMIN)


def id_of(message: str) -> str:
    return cause_id_of(classify(message), message)


def break_roadmap(redrive, roadmap_id: str = "r1", message: str = POOL, *, count: int = 2) -> str:
    """So many tutorials failed by this message an hour ago; returns the id of their cause."""
    parts = [f"c{number}" for number in range(count)]
    add_roadmap(redrive.engine, roadmap_id, concepts=[concept(part, content_status="failed") for part in parts],
                unsaved=[(ContentKind.TUTORIAL, part) for part in parts])
    at = ago(hours=1)
    add_task(redrive.engine, f"task-{roadmap_id}", roadmap_id=roadmap_id, status="partial_failure", updated_at=at, completed_at=at,
             failed_concepts={part: {"reason": message, "content_type": "tutorial", "timestamp": at.isoformat()} for part in parts})
    problems.drain(redrive.engine, utc_now, redrive.limits)
    return id_of(message)


def state_of(redrive, cause_id: str) -> str:
    with redrive.engine.connect() as connection:
        return connection.scalar(select(causes.c.state).where(causes.c.cause_id == cause_id))


def add_retry(redrive, cause_id: str, *, state: str = "running") -> None:
    """Two minutes ago Ada started a retry: one of its items has succeeded, one failed, one waits."""
    add_operation(redrive.engine, actor_id="Ada", state=state, created_at=ago(minutes=2), name="broken tutorials")
    for part, ended in (("x", "succeeded"), ("y", "failed"), ("z", "planned")):
        add_item(redrive.engine, part, owner_id="elsewhere", state=ended, planned_cause_id=cause_id,
                 settled_at=None if ended == "planned" else ago(minutes=1))


def plainly(page) -> str:
    return words_of(page).replace("\\", "")


def test_everything_about_a_cause_stands_on_its_page(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    break_roadmap(redrive, "r2", count=1)
    add_retry(redrive, cause_id, state="completed")
    triage.note(redrive, cause_id, ADA, "The pool has 5 connections.")
    with redrive.engine.begin() as connection:
        cause_records.sample(connection, ago(minutes=10))

    page = open_page("cause", id=cause_id)

    assert not page.exception
    words = plainly(page)
    for told in ("Saving: connection pool exhausted", "2 roadmaps or novels", "3 in 24 h", "1 of 2 retries succeeded (50 %)",
                 "Check pool settings", POOL, "The pool has 5 connections.", "broken tutorials", "seen to by nobody"):
        assert told in words, told
    assert len(shown_titles(page)) == 3
    assert has_button(page, "Retry all of it")
    assert len(page.get("vega_lite_chart")) == 1


def test_a_novel_with_the_cause_is_linked_as_one(open_page: OpenPage, redrive):
    failed = {"status": "failed", "content": "", "error_message": POOL}
    add_novel(redrive.engine, "n1", title="A town", chapters=[{}, failed, failed])
    problems.drain(redrive.engine, utc_now, redrive.limits)

    page = open_page("cause", id=id_of(POOL))

    assert ("A town (2)", "chapter", "novel=n1&number=2") in [
        (link.proto.label.replace("\\", ""), link.proto.page, link.proto.query_string) for link in page.get("page_link")]


@pytest.mark.parametrize(("query", "told"), [({"id": "nowhere"}, "There is no cause with the id"), ({}, "Choose a cause in the list")])
def test_without_a_cause_the_page_says_so(open_page: OpenPage, redrive, query, told):
    page = open_page("cause", **query)

    assert not page.exception
    assert told in plainly(page)
    assert not has_button(page, "Retry all of it")


def test_a_cause_without_problems_says_so_and_offers_no_retry(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_metadata"))

    page = open_page("cause", id=cause_id)

    assert "No problem has this cause now." in plainly(page)
    assert "Nobody has retried it yet." in plainly(page)
    assert button(page, "Retry all of it").disabled


def test_when_the_database_is_away_the_page_says_so(open_page: OpenPage, redrive, stop_database):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)

    stop_database()
    page.run()

    assert "PostgreSQL does not answer" in plainly(page)
    assert not has_button(page, "Retry all of it")


def test_one_click_retries_all_of_a_cause_and_nothing_else(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    break_roadmap(redrive, "r2", TIMEOUT)
    page = open_page("cause", id=cause_id)

    button(page, "Retry all of it").click().run()

    with redrive.engine.connect() as connection:
        planned = connection.execute(select(items.c.owner_id, items.c.planned_cause_id)).all()
    assert [tuple(row) for row in planned] == [("r1", cause_id)] * 2
    assert "Retry of 2 items starts in 50 s" in page.toast[0].value


@pytest.mark.parametrize(("label", "state", "others"), [
    ("Acknowledge", CauseState.ACKNOWLEDGED, {"Acknowledge": False, "Resolve": True, "Reopen": True}),
    ("Resolve", CauseState.RESOLVED, {"Acknowledge": False, "Resolve": False, "Reopen": True})])
def test_a_decision_is_kept_told_and_audited_and_offers_what_may_follow(open_page: OpenPage, redrive, label, state, others):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)

    button(page, label).click().run()

    assert state_of(redrive, cause_id) == state
    assert {name: has_button(page, name) for name in others} == others
    assert "by local operator" in plainly(page)
    with redrive.engine.connect() as connection:
        assert connection.scalars(select(audit_log.c.action)).all() == [f"cause_{state}"]


def test_what_is_ignored_is_left_out_of_plans_until_it_is_reopened(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)

    page.selectbox(key="ignore-until").select("1d").run()
    page.text_input(key="ignore-words").input("the pool is being changed").run()
    button(page, "Ignore it").click().run()

    assert "Ignored" in plainly(page)
    assert "the pool is being changed" in plainly(page)
    assert button(page, "Retry all of it").disabled
    with redrive.engine.connect() as connection:
        until = connection.scalar(select(causes.c.ignored_until_at).where(causes.c.cause_id == cause_id))
    assert timedelta(hours=23) < until - utc_now() < timedelta(hours=25)
    listed = open_page("problems", view="cause")
    assert button(listed, "Retry all").disabled
    button(listed, "Retry everything that is broken").click().run()
    assert "Its cause is ignored." in "\n".join(expander.label for expander in listed.expander).replace("\\", "")
    page = open_page("cause", id=cause_id)
    button(page, "Reopen").click().run()
    assert not button(page, "Retry all of it").disabled


def test_ignoring_until_a_number_asks_for_the_number(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)

    page.selectbox(key="ignore-until").select("count").run()
    page.number_input(key="ignore-count").set_value(40).run()
    button(page, "Ignore it").click().run()

    assert "until it has 40 problems" in plainly(page)


def test_a_decision_that_somebody_else_has_made_in_the_meantime_is_told(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)
    triage.acknowledge(redrive, cause_id, ADA)

    button(page, "Acknowledge").click().run()

    assert any("This cause is acknowledged" in warning.value for warning in page.warning)
    assert "by Ada" in plainly(page)


def test_assigning_and_notes_are_shown(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    page = open_page("cause", id=cause_id)

    button(page, "I do").click().run()
    page.text_input(key="cause-note").input("Pool raised to 20.").run()
    button(page, "Note it").click().run()

    assert "seen to by local operator" in plainly(page)
    assert "Pool raised to 20." in plainly(page)
    assert page.text_input(key="cause-note").value == ""
    assert not has_button(page, "I do")
    button(page, "Note it").click().run()
    assert any("Write something first" in warning.value for warning in page.warning)


def test_merging_shows_the_other_cause_with_all_problems_and_taking_out_undoes_it(open_page: OpenPage, redrive):
    pool, timeout = break_roadmap(redrive), break_roadmap(redrive, "r2", TIMEOUT)
    page = open_page("cause", id=pool)

    page.selectbox(key="cause-into").select(timeout).run()
    button(page, "Merge").click().run()

    assert page.query_params == {"id": timeout}
    assert len(shown_titles(page)) == 4
    assert "was merged into this one" in plainly(open_page("cause", id=pool))
    button(page, "Take out").click().run()
    assert len(shown_titles(page)) == 2


def test_before_a_second_person_clicks_the_retry_of_the_first_is_told(dialog_above_one, open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    add_retry(redrive, cause_id)
    words = "A retry of 3 items with the same cause was started 2 min ago by Ada, and is at work: 2 done so far."

    page = open_page("cause", id=cause_id)
    assert words in plainly(page)
    button(page, "Retry all of it").click().run()

    assert [info.value.replace("\\", "") for info in page.info].count(words) == 2  # on the page, and in the dialog


@pytest.mark.parametrize(("actor_id", "told"), [("Ada", ["2 min ago by Ada, and is at work: 2 done so far."]), ("local operator", [])])
def test_one_click_tells_what_somebody_else_has_begun_for_the_same_cause(open_page: OpenPage, redrive, actor_id, told):
    add_retry(redrive, break_roadmap(redrive))
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(actor_id=actor_id))
    page = open_page("problems")

    button(page, "Retry everything that is broken").click().run()

    assert "Retry of 2 items starts in 50 s" in page.toast[0].value
    infos = [info.value.replace("\\", "") for info in page.info]
    assert [words.partition("A retry of 3 items with the same cause was started ")[2] for words in infos if "same cause" in words] == told


def test_a_retry_of_yesterday_is_told_in_the_history_only(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    add_retry(redrive, cause_id, state="completed")
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(created_at=ago(days=1)))

    page = open_page("cause", id=cause_id)

    assert "with the same cause" not in plainly(page)
    assert "1 of 2 retries succeeded (50 %)" in plainly(page)


def test_who_else_looks_is_told_and_forgotten_when_they_are_gone(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    with redrive.engine.begin() as connection:
        for window, who, seen_at in (
                ("w1", "Ada", ago(seconds=3)), ("w2", "local operator", ago(seconds=-9)),
                ("left", "local operator", ago(seconds=3)), ("w3", "Bob", ago(minutes=2))):
            lookers.look(connection, cause_id, window_id=window, actor_id=who, now=seen_at)

    page = open_page("cause", id=cause_id)

    assert "Looking at it now: Ada, you, in another window" in plainly(page)
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.cause_lookers set seen_at = now() - interval '1 minute'"))
    assert "Looking at it now" not in plainly(open_page("cause", id=cause_id))


def test_when_it_cannot_be_told_who_looks_everything_else_is_shown(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(text("drop table ops.cause_lookers"))

    page = open_page("cause", id=cause_id)

    assert not page.exception
    assert len(shown_titles(page)) == 2


def test_who_may_look_only_sees_buttons_that_cannot_be_pressed(open_page: OpenPage, environment, redrive):
    environment.setenv("REDRIVE_OPERATOR_ROLE", "viewer")
    cause_id = break_roadmap(redrive)

    page = open_page("cause", id=cause_id)

    for label in ("Retry all of it", "Acknowledge", "Resolve", "Assign", "Note it", "Merge"):
        assert button(page, label).disabled, label


def test_the_list_of_causes_tells_where_each_stands(open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive)
    triage.acknowledge(redrive, cause_id, ADA)
    triage.assign(redrive, cause_id, ADA, "Ada")
    add_retry(redrive, cause_id, state="completed")

    words = plainly(open_page("problems", view="cause"))

    for told in ("Acknowledged", "seen to by Ada", "2 in 24 h", "1 of 2 retries succeeded (50 %)"):
        assert told in words, told


def test_the_dialog_tells_the_rule_of_what_is_included_and_reopens_what_was_cancelled(dialog_above_one, open_page: OpenPage, redrive):
    cause_id = break_roadmap(redrive, count=3)
    add_operation(redrive.engine, "earlier", state="cancelled")
    add_item(redrive.engine, "c0", operation_id="earlier", state="cancelled", settled_at=ago(minutes=5), cancelled_by="Ada")
    page = open_page("cause", id=cause_id)

    button(page, "Retry all of it").click().run()

    labels = [expander.label.replace("\\", "") for expander in page.expander]
    assert "2 · Broken: it is made again." in labels
    assert "1 · Somebody cancelled it. Reopen it here, or choose the item by itself." in labels
    button(page, "Reopen them").click().run()
    labels = [expander.label.replace("\\", "") for expander in page.expander]
    assert "1 · Left out by a filter, but chosen by itself or reopened." in labels
    assert has_button(page, "Leave out what was cancelled")
    assert "the offline writer makes sample text" in plainly(page)
    assert [found.proto.label for found in page.get("download_button")] == ["CSV"]
    forget_cached_reads()
