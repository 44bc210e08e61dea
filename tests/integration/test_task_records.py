"""What the platform's tasks say of their items: one by one and many at once alike."""

from itertools import combinations_with_replacement

from sqlalchemy import select

from backend.clock import utc_now
from backend.content.status import ItemState, TaskStatus
from backend.storage import task_records
from backend.storage.platform_tables import tasks
from tests.factories import add_item, add_roadmap, add_task, ago

FAILED = {"error_kind": "model_refused", "error_message": "No, \"never\"", "settled_at": ago(minutes=1)}
STANDINGS = [("pending", "queued"), ("processing", task_records.CANCELLING), ("cancelled", "cancelled"), ("completed", None)]


def told(connection) -> list:
    return connection.execute(select(tasks).order_by(tasks.c.task_id)).all()


def test_many_at_once_say_what_each_would_say_alone(redrive):
    add_roadmap(redrive.engine, "r1")
    made = []
    for states in combinations_with_replacement(ItemState, 2):
        for status, step in STANDINGS:
            task_id = f"task-{len(made):03}"
            made.append(add_task(redrive.engine, task_id, roadmap_id="r1", status=status, current_step=step, error_message="as before",
                                 failed_concepts={"x": {"reason": "old"}}, completed_at=ago(days=1) if status == "completed" else None))
            for part, state in zip("ab", states, strict=True):
                # of other content for each task: a key has one live item
                add_item(redrive.engine, f"{part}-{task_id}", task_id=task_id, state=state, **(FAILED if state == "failed" else {}))
    add_task(redrive.engine, "of-others", roadmap_id="r1", status=TaskStatus.PROCESSING)
    now = utc_now()

    with redrive.engine.connect() as connection:
        for task_id in [*made, "nowhere"]:
            task_records.record_progress(connection, task_id, now)
        alone = told(connection)
        connection.rollback()
        task_records.record_progress_of_many(connection, [*made, "nowhere"], now)
        together = told(connection)

    assert together == alone
    assert {row.status for row in together} == set(TaskStatus)
