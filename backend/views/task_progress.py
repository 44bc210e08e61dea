"""How far tasks are: counted from their items, or as the platform summed it up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from backend.content.status import ItemState
from backend.views.odd_json import count_of


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far a task is: from its items, or as the platform summed it up."""

    total: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int = 0
    running: int = 0       # but for those that are stopping
    cancelling: int = 0    # told to stop, running or waiting, and not yet confirmed

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.skipped + self.cancelled


def progress_of(connection: Connection, task_ids: Sequence[str]) -> tuple[dict[str, TaskProgress], dict[str, tuple[str, ...]]]:
    """(progress, starters of what is unsettled) of the tasks that have items."""
    counted = connection.execute(text(
        "select i.task_id, i.state, count(*) as count, count(i.cancel_requested_at) as told, array_agg(distinct o.actor_id) as starters "
        "from ops.items i join ops.operations o using (operation_id) where i.task_id = any(:task_ids) group by i.task_id, i.state"),
        {"task_ids": list(task_ids)}).all()
    by_task: dict[str, dict[ItemState, int]] = defaultdict(lambda: dict.fromkeys(ItemState, 0))
    cancelling: dict[str, int] = defaultdict(int)
    starters: dict[str, set[str]] = defaultdict(set)
    for row in counted:
        state = ItemState(row.state)
        told = 0 if state.is_settled else row.told
        by_task[row.task_id][state] = row.count - told
        cancelling[row.task_id] += told
        if not state.is_settled:
            starters[row.task_id].update(row.starters)
    progress = {task_id: TaskProgress(
        sum(counts.values()) + cancelling[task_id], counts[ItemState.SUCCEEDED], counts[ItemState.FAILED], counts[ItemState.SKIPPED],
        counts[ItemState.CANCELLED], counts[ItemState.RUNNING], cancelling[task_id]) for task_id, counts in by_task.items()}
    return progress, {task_id: tuple(sorted(found)) for task_id, found in starters.items()}


def summed_up(summary: dict[str, Any] | None) -> TaskProgress | None:
    """execution_summary of a task that has no items. None: it does not tell."""
    total, succeeded, failed, skipped = (count_of((summary or {}).get(name)) for name in ("total", "completed", "failed", "skipped"))
    if total is None or succeeded is None:
        return None
    done = succeeded + (failed or 0) + (skipped or 0)
    return TaskProgress(max(total, done), succeeded, failed or 0, skipped or 0)
