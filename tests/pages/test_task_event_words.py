"""The lines of a task's log, in words."""

from datetime import UTC, datetime

import pytest

from backend.content.keys import ContentKey, ContentKind
from backend.content.status import ItemAction, ItemState
from backend.views.operations import ItemRow
from backend.views.task_log import EventKind, TaskEvent
from backend.views.tasks import FailedConcept
from dashboard.components.task_events import event_words

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
ITEM = ItemRow(1, "o1", ContentKey(ContentKind.QUIZ, "r1", "a"), "Caching", ItemAction.GENERATE, ItemState.QUEUED, 2, None, "", None, "",
               False, AT, None, None)


def told(kind: EventKind, detail: str = "", count: int = 1) -> tuple[str, str]:
    event = TaskEvent(AT, kind, ITEM, count, actor_id="Ann", action="pause", detail=detail,
                      failed=FailedConcept("a", "quiz", "no", AT))
    _look, words, more = event_words(event)
    return words, more


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_has_words(kind):
    assert told(kind)[0]


def test_an_attempt_that_ended_without_an_outcome_says_which_and_why():
    assert told(EventKind.LOST, "its process is gone") == ("Quiz of Caching: worker lost, sent again", "attempt 2, its process is gone")
    assert told(EventKind.GIVEN_BACK) == ("Quiz of Caching given back, it does not count as a try", "attempt 2")
    assert told(EventKind.UNQUEUED, count=3)[0] == "3 items taken back from the queue"
