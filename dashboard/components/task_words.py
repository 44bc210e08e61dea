"""Tasks in words."""

from backend.content import wording
from backend.content.status import TaskType
from backend.i18n import _
from backend.views.task_progress import TaskProgress
from backend.views.tasks import TaskRow


def type_words(task_type: str) -> str:
    """A type that is not in the platform's contract is given as it is."""
    return wording.TASK_TYPES[TaskType(task_type)] if task_type in set(TaskType) else task_type or _("Task")


def task_words(row: TaskRow) -> str:
    """"Retry of tutorials, Agent performance"."""
    owner = row.owner_title or row.owner_id
    return f"{type_words(row.task_type)}, {owner}" if owner else f"{type_words(row.task_type)} {row.task_id}"


def progress_words(progress: TaskProgress | None) -> str:
    """"12 of 21, 3 failed", "no items"; "" when nobody knows."""
    if progress is None:
        return ""
    if not progress.total:
        return _("no items")
    words = [_("{done:,} of {total:,}").format(done=progress.done, total=progress.total)]
    for count, name in ((progress.failed, _("{count:,} failed")), (progress.cancelling, _("{count:,} cancelling")),
                        (progress.cancelled, _("{count:,} cancelled"))):
        if count:
            words.append(name.format(count=count))
    return ", ".join(words)
