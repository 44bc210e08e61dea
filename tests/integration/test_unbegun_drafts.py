"""Chapters, drafts of them and versions of covers are marked with their item: they end when it ends without ever being begun."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from backend.actions import attempts, chapters, covers, dispatcher, retry, supervision
from backend.actions.actors import Actor
from backend.content.chapters import DraftState
from backend.content.covers import CoverVersionState
from backend.content.errors import ErrorKind, ItemError
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.redrive import Redrive
from backend.views.detection import counts_and_problems
from tests.factories import add_novel, ago
from tests.integration.test_attempts import item_row
from tests.integration.test_covers import add_bare, begin_one, painted

UNDER_WAY = "select state, error_message from ops.{table} where item_id = (select max(item_id) from ops.items)"


def cover_version(redrive: Redrive, actor: Actor) -> str:
    add_bare(redrive, "r1")
    attempts.save(redrive, begin_one(redrive, actor), painted())
    covers.regenerate(redrive, actor, "r1")
    return "cover_versions"


def chapter_draft(redrive: Redrive, actor: Actor) -> str:
    add_novel(redrive.engine, "n1", chapters=[{}])
    with redrive.engine.connect() as connection:
        chapter_id = connection.scalar(text("select id from chapters"))
    chapters.regenerate(redrive, actor, chapter_id)
    return "drafts"


def told(redrive: Redrive, table: str) -> tuple[str, str]:
    with redrive.engine.connect() as connection:
        return tuple(connection.execute(text(UNDER_WAY.format(table=table))).one())


def newest_item(redrive: Redrive) -> int:
    with redrive.engine.connect() as connection:
        return connection.scalar(text("select max(item_id) from ops.items"))


@pytest.fixture(params=[cover_version, chapter_draft])
def table(request: pytest.FixtureRequest, redrive: Redrive, operator: Actor) -> str:
    """Where a row of it is under way, whose item waits."""
    make: Callable[[Redrive, Actor], str] = request.param
    found = make(redrive, operator)
    assert told(redrive, found)[0] == CoverVersionState.GENERATING == DraftState.GENERATING
    return found


def test_a_draft_ends_when_its_item_cannot_even_be_begun(redrive, table):
    dispatcher.dispatch(redrive)

    assert attempts.refuse(redrive, newest_item(redrive), ItemError(ErrorKind.SAVE_REJECTED, "odd"))

    assert told(redrive, table) == ("failed", "odd")


def stop_groups(redrive: Redrive) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.groups set state = 'stopped', stop_rule = 'budget_spent', stop_words = 'spent'"))
    supervision.supervise(redrive)


def chapter_row(redrive: Redrive) -> tuple[str, str | None]:
    with redrive.engine.connect() as connection:
        return tuple(connection.execute(text("select status, error_message from chapters")).one())


@pytest.mark.parametrize("state", [ItemState.PLANNED, ItemState.QUEUED])
def test_a_chapter_ends_when_its_operation_is_stopped_before_it_was_begun(redrive, operator, state):
    add_novel(redrive.engine, "n1", chapters=[{"status": "failed", "content": ""}])
    chapters.generate(redrive, operator, "n1", 1)
    if state is ItemState.QUEUED:
        dispatcher.dispatch(redrive)
    assert item_row(redrive, newest_item(redrive)).state == state

    stop_groups(redrive)

    assert item_row(redrive, newest_item(redrive)).state == ItemState.SKIPPED
    assert chapter_row(redrive) == ("failed", "It was never begun: its operation was stopped.")


def test_a_chapter_that_another_program_left_generating_is_left_as_it_is(redrive, operator):
    add_novel(redrive.engine, "n1", chapters=[{"status": "generating", "content": "", "created_at": ago(days=2)}])
    counts_and_problems(redrive)
    retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
    dispatcher.dispatch(redrive)
    before = chapter_row(redrive)

    stop_groups(redrive)

    assert item_row(redrive, newest_item(redrive)).state == ItemState.SKIPPED
    assert chapter_row(redrive) == before == ("generating", None)
