"""Maintenance and a worker in this process, step by step: what is handed out, begun, answered and settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from backend.actions import attempts, dispatcher, retry, supervision
from backend.actions.actors import Actor
from backend.actions.attempts import Attempt, NotBegun
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.content.written import Spent
from backend.redrive import Redrive
from backend.storage.ops_tables import groups, items, operations
from backend.views.detection import counts_and_problems
from tests.factories import add_content, add_roadmap, concept
from tests.integration.test_attempts import CONTENT, written

NOT_WRITTEN = ItemError(ErrorKind.MODEL_REFUSED, "The model refused.")
Answer = Callable[[ContentKey], ItemError | None]  # None: it writes


def add_broken(redrive: Redrive, causes: dict[str, int]) -> dict[str, list[ContentKey]]:
    """Broken quizzes, so many of each cause: the message of the task that failed. Each cause has a roadmap of its own."""
    keys: dict[str, list[ContentKey]] = {}
    for message, count in causes.items():
        owner_id = f"r-{message.split()[0].lower()}"
        parts = [f"c{number:03}" for number in range(count)]
        add_roadmap(redrive.engine, owner_id, concepts=[concept(part, quiz_status="failed") for part in parts],
                    unsaved=[(ContentKind.QUIZ, part) for part in parts])
        with redrive.engine.begin() as connection:
            add_failed_task(connection, owner_id, parts, message)
        keys[message] = [ContentKey(ContentKind.QUIZ, owner_id, part) for part in parts]
    return keys


def add_failed_task(connection, owner_id: str, parts: Sequence[str], message: str) -> None:
    from tests.factories import add, ago

    add(connection, "tasks", {
        "task_id": f"t-{owner_id}", "user_id": "user-1", "status": "partial_failure", "task_type": "creation", "roadmap_id": owner_id,
        "failed_concepts": {part: {"reason": message, "content_type": "quiz", "timestamp": ago(days=1).isoformat()} for part in parts},
        "created_at": ago(days=2), "updated_at": ago(days=1)})


@dataclass
class Stand:
    """One operation, and a worker that writes so many items at once."""

    redrive: Redrive
    actor: Actor
    answer: Answer = lambda _key: None
    concurrency: int = 8
    tells_tokens: Callable[[], bool] = lambda: True
    calls: list[ContentKey] = field(default_factory=list)    # every time the model was asked, in order
    wasted: list[ContentKey] = field(default_factory=list)
    braked_count: int = 0
    operation_id: str = ""

    def confirm(self, scope: Scope | None = None, **limits: object) -> str:
        counts_and_problems(self.redrive)
        chosen = {"canary_items": 3, "same_cause_window": 20, **limits}
        self.operation_id = retry.confirm(
            self.redrive, retry.plan(self.redrive, scope or Scope.everything(), self.actor), self.actor, "a test",
            limits=OperationLimits(**chosen)).operation_id
        return self.operation_id

    def dispatch(self) -> int:
        return dispatcher.dispatch(self.redrive).queued

    def begin(self) -> list[Attempt]:
        """As many as the worker takes at once."""
        begun: list[Attempt] = []
        for item_id in self.item_ids(ItemState.QUEUED):
            if len(begun) == self.concurrency:
                break
            found = attempts.begin(self.redrive, item_id)
            if isinstance(found, Attempt):
                self.calls.append(found.item.key)
                begun.append(found)
            else:
                self.braked_count += found[0] is NotBegun.BRAKED
        return begun

    def settle(self, begun: Sequence[Attempt]) -> None:
        for attempt in begun:
            error = self.answer(attempt.item.key)
            if error is None:
                text = written(CONTENT[attempt.item.key.kind])
                told = text if self.tells_tokens() else replace(text, prompt_tokens=None, completion_tokens=None)
                attempts.save(self.redrive, attempt, told)
            else:
                self.wasted.append(attempt.item.key)
                attempts.fail(self.redrive, attempt, error, Spent(1, 10, 5))

    def round(self) -> int:
        """Dispatch, work, supervise once. Returns how many items the worker met."""
        self.dispatch()
        begun = self.begin()
        self.settle(begun)
        while supervision.supervise(self.redrive):
            pass
        return len(begun)

    def run(self, *, most_rounds: int = 300) -> "Stand":
        """Until nothing is left to do, then let the detector look."""
        for _round in range(most_rounds):
            if not self.round() and not self.item_ids(ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING):
                break
        else:
            raise AssertionError(f"not done after {most_rounds} rounds: {self.states()}, {self.groups()}")
        self.verify()
        return self

    def verify(self) -> None:
        dispatcher.complete_operations(self.redrive)
        counts_and_problems(self.redrive)
        dispatcher.complete_operations(self.redrive)

    def item_ids(self, *states: ItemState) -> list[int]:
        with self.redrive.engine.connect() as connection:
            return list(connection.scalars(select(items.c.item_id).where(items.c.state.in_(states)).order_by(items.c.item_id)))

    def states(self) -> dict[str, int]:
        with self.redrive.engine.connect() as connection:
            found = connection.scalars(select(items.c.state).where(items.c.operation_id == self.operation_id)).all()
        return {state: found.count(state) for state in sorted(set(found))}

    def rules(self) -> set[str]:
        with self.redrive.engine.connect() as connection:
            return set(connection.scalars(select(items.c.skip_rule).where(items.c.skip_rule.is_not(None))))

    def groups(self) -> dict[str, tuple[str, str | None, str]]:
        """title -> (state, rule, words)."""
        with self.redrive.engine.connect() as connection:
            return {row.title: (row.state, row.stop_rule, row.stop_words or "")
                    for row in connection.execute(select(groups).where(groups.c.operation_id == self.operation_id))}

    def operation(self):
        with self.redrive.engine.connect() as connection:
            return connection.execute(select(operations).where(operations.c.operation_id == self.operation_id)).one()


__all__ = ["NOT_WRITTEN", "Answer", "Stand", "add_broken", "add_content"]
