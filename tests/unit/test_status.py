"""The stored states fit together, and the indexes and triggers speak of the same ones."""

import re

import pytest
from sqlalchemy import Table

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, OwnerKind
from backend.content.status import (
    ACTIVE_OPERATION_STATES,
    LIVE_ITEM_STATES,
    LIVE_TASK_STATUSES,
    SETTLED_ITEM_STATES,
    ChapterStatus,
    ContentStatus,
    CoverStatus,
    ItemState,
    OperationState,
    TaskStatus,
)
from backend.storage.migrations.dirty_triggers import OWNER_OF
from backend.storage.ops_tables import items, operations
from backend.storage.platform_tables import platform

UNSETTLED = {ItemState.PLANNED, *LIVE_ITEM_STATES}


def states_in(condition: str) -> set[str]:
    return set(re.findall(r"'(\w+)'", condition))


def index_states(table: Table, name: str) -> set[str]:
    """The states that a partial index speaks of."""
    (index,) = (index for index in table.indexes if index.name == name)
    return states_in(str(index.dialect_options["postgresql"]["where"]))


def test_an_item_is_planned_or_live_or_settled_and_never_two_of_them():
    assert set(ItemState) == UNSETTLED | SETTLED_ITEM_STATES
    assert not UNSETTLED & SETTLED_ITEM_STATES
    assert {state for state in ItemState if state.is_settled} == SETTLED_ITEM_STATES


def test_an_operation_is_active_until_it_is_completed_stopped_cancelled_or_undone():
    assert set(OperationState) - ACTIVE_OPERATION_STATES == {
        OperationState.COMPLETED, OperationState.STOPPED, OperationState.CANCELLED, OperationState.UNDONE}


def test_a_task_is_alive_until_it_has_an_outcome():
    assert {TaskStatus.PENDING, TaskStatus.PROCESSING} == LIVE_TASK_STATUSES


@pytest.mark.parametrize(("table", "index", "states"), [
    (items, "uq_items_live", LIVE_ITEM_STATES), (items, "ix_items_unsettled", UNSETTLED),
    (operations, "ix_operations_active", ACTIVE_OPERATION_STATES)])
def test_a_partial_index_speaks_of_exactly_the_states_of_its_set(table, index, states):
    assert index_states(table, index) == {state.value for state in states}


def test_the_guard_against_doing_a_thing_twice_is_unique_over_the_whole_key():
    (guard,) = (index for index in items.indexes if index.name == "uq_items_live")

    assert guard.unique
    assert [column.name for column in guard.columns] == ["kind", "owner_id", "part"]


def test_every_platform_table_marks_its_owner():
    assert {*OWNER_OF, "tasks"} == set(platform.tables)


def test_statuses_of_one_meaning_have_one_spelling():
    assert ContentStatus.COMPLETED == ChapterStatus.COMPLETED == TaskStatus.COMPLETED
    assert ContentStatus.GENERATING == ChapterStatus.GENERATING == CoverStatus.GENERATING
    assert ContentStatus.FAILED == ChapterStatus.FAILED == CoverStatus.FAILED == ItemState.FAILED == TaskStatus.FAILED


@pytest.mark.parametrize("kind", ContentKind)
def test_only_chapters_belong_to_a_novel(kind):
    assert kind.owner_kind is (OwnerKind.NOVEL if kind is ContentKind.CHAPTER else OwnerKind.ROADMAP)


def test_concepts_have_three_kinds_of_content():
    assert set(ContentKind) - set(CONCEPT_KINDS) == {ContentKind.COVER, ContentKind.CHAPTER, ContentKind.FRAMEWORK}


@pytest.mark.parametrize("key", [
    ContentKey(ContentKind.QUIZ, "r1", "a"), ContentKey(ContentKind.COVER, "r1"), ContentKey(ContentKind.TUTORIAL, "r 1", "a:b"),
    ContentKey(ContentKind.CHAPTER, "潮汐", "12")])
def test_a_key_that_was_written_as_text_is_read_back(key):
    assert ContentKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "quiz", "quiz:", "quiz:r1", "poem:r1:a", ":r1:a", "quiz::a"])
def test_a_text_that_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="not a"):
        ContentKey.parse(text)
