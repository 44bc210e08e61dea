"""The words that people read for kinds, rules and states. Total maps: a new member without words fails a test."""

import re
from collections.abc import Sequence
from datetime import datetime

from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.limits import OperationLimits, Spent
from backend.content.plans import ExclusionRule, InclusionRule
from backend.content.problems import KeyState, ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import BreakerState, FindingKind, GroupState, ItemState, OperationState, TaskStatus, TaskType
from backend.content.stopping import CancelReason
from backend.content.triage import CauseEventKind, CauseState
from backend.i18n import _, ngettext

CONTENT_KINDS = {
    ContentKind.TUTORIAL: _("Tutorial"), ContentKind.RESOURCES: _("Resources"), ContentKind.QUIZ: _("Quiz"),
    ContentKind.COVER: _("Cover"), ContentKind.CHAPTER: _("Chapter"), ContentKind.FRAMEWORK: _("Framework"),
}
PROBLEM_KINDS = {
    ProblemKind.FAILED: _("Failed"), ProblemKind.MISSING: _("Missing"), ProblemKind.STALE: _("Stale"),
    ProblemKind.INVALID: _("Invalid"), ProblemKind.DRIFTED: _("Drifted"), ProblemKind.CANCELLED: _("Cancelled"),
    ProblemKind.UNREADABLE: _("Unreadable"),
}
PROBLEM_MEANINGS = {
    ProblemKind.FAILED: _("Writing failed and nothing usable is saved."),
    ProblemKind.MISSING: _("It should be there, nothing is saved, and nobody is working on it."),
    ProblemKind.STALE: _("Marked as being written, but nobody is working on it."),
    ProblemKind.INVALID: _("Something is saved, but it is empty or broken."),
    ProblemKind.DRIFTED: _("Saved and complete, but its status says otherwise. Repairing it costs nothing."),
    ProblemKind.CANCELLED: _("Its creation was cancelled. Not counted as a failure; it can be reopened."),
    ProblemKind.UNREADABLE: _("The data of this roadmap or novel cannot be read. It must be mended at its source."),
}
KEY_STATES = {
    KeyState.HEALTHY: _("Healthy"), KeyState.IN_PROGRESS: _("In progress"), KeyState.WAITING: _("Not due yet"),
    KeyState.PROBLEM: _("Problem"),
}
ITEM_STATES = {
    ItemState.PLANNED: _("Planned"), ItemState.QUEUED: _("Queued"), ItemState.RUNNING: _("Running"),
    ItemState.SUCCEEDED: _("Succeeded"), ItemState.FAILED: _("Failed"), ItemState.CANCELLED: _("Cancelled"),
    ItemState.SKIPPED: _("Skipped"),
}
OPERATION_STATES = {
    OperationState.ARMED: _("Armed"), OperationState.RUNNING: _("Running"), OperationState.PAUSED: _("Paused"),
    OperationState.VERIFYING: _("Verifying"), OperationState.COMPLETED: _("Completed"), OperationState.STOPPED: _("Stopped"),
    OperationState.CANCELLED: _("Cancelled"), OperationState.UNDONE: _("Undone"),
}
GROUP_STATES = {
    GroupState.CANARY: _("Canary"), GroupState.OPEN: _("Goes on"), GroupState.STOPPED: _("Stopped"),
}
TASK_STATUSES = {
    TaskStatus.PENDING: _("Pending"), TaskStatus.PROCESSING: _("Processing"), TaskStatus.COMPLETED: _("Completed"),
    TaskStatus.PARTIAL_FAILURE: _("Partly failed"), TaskStatus.FAILED: _("Failed"), TaskStatus.CANCELLED: _("Cancelled"),
}
TASK_TYPES = {
    TaskType.CREATION: _("Creation"), TaskType.RETRY_TUTORIAL: _("Retry of tutorials"), TaskType.RETRY_RESOURCES: _("Retry of resources"),
    TaskType.RETRY_QUIZ: _("Retry of quizzes"), TaskType.RETRY_BATCH: _("Retry of several kinds"), TaskType.COVER: _("Cover"),
    TaskType.CHAPTER: _("Chapter"),
}
CANCEL_REASONS = {
    CancelReason.NOT_NEEDED: _("Not needed any more"), CancelReason.WRONG_SCOPE: _("Wrong items"),
    CancelReason.MODEL_TROUBLE: _("The model is in trouble"), CancelReason.TOO_EXPENSIVE: _("Too expensive"),
    CancelReason.STUCK: _("It is stuck"), CancelReason.OTHER: _("Another reason"),
}
BREAKER_STATES = {
    BreakerState.CLOSED: _("Answers"), BreakerState.OPEN: _("Held back"), BreakerState.HALF_OPEN: _("Being tried"),
}
FINDING_KINDS = {
    FindingKind.QUEUED_WITHOUT_JOB: _("Queued without a job: sent again"),
    FindingKind.JOB_WITHOUT_ITEM: _("Job without an item: dropped"),
    FindingKind.RUNNING_WITHOUT_HEARTBEAT: _("Running without a heartbeat: taken back"),
    FindingKind.TASK_DISAGREES: _("Task that disagreed with its items: put right"),
    FindingKind.CANCEL_CUT_SHORT: _("Item of a cancelled operation that nobody had told: cancelled"),
    FindingKind.GENERATING_UNATTENDED: _("Marked generating for long, nobody at it: marked failed"),
    FindingKind.TEXT_NOT_SAVED: _("Finished text that was not saved yet: saved"),
}
EXCLUSION_RULES = {
    ExclusionRule.ALREADY_RUNNING: _("Already being worked on."),
    ExclusionRule.NOT_BROKEN: _("Not broken any more."),
    ExclusionRule.NOT_LISTED: _("Broken, but not listed yet: try again in a moment."),
    ExclusionRule.POISON: _("Poison: tried too often in the last 24 hours. An admin may override this with a reason."),
    ExclusionRule.ALREADY_MADE: _("Already successful: a cover that is there is not made again."),
    ExclusionRule.OWNER_GONE: _("Its roadmap or novel is unknown, or was deleted."),
    ExclusionRule.UNREADABLE: _("Its roadmap or novel cannot be read: the data must be mended at its source first."),
    ExclusionRule.CREATION_CANCELLED: _("Its creation was cancelled; choose it by itself to reopen it."),
    ExclusionRule.CHANGED: _("Needs something else than was planned; retry it again."),
    ExclusionRule.CANARY_FAILED: _("Not started: the first items of its group failed."),
    ExclusionRule.SAME_CAUSE: _("Not started: the same cause kept returning."),
    ExclusionRule.BUDGET_SPENT: _("Not started: the budget of the operation is spent."),
    ExclusionRule.CAUSE_IGNORED: _("Its cause is ignored. Reopen the cause, or choose the item by itself."),
    ExclusionRule.CANCELLED_BY_PERSON: _("Somebody cancelled it. Reopen it here, or choose the item by itself."),
    ExclusionRule.OVER_BUDGET: _("Over the budget of calls that one operation may take. An admin may override this with a reason."),
}
# The end of "skipped 2 already successful".
SKIPPED = {
    ExclusionRule.ALREADY_RUNNING: _("already being worked on"),
    ExclusionRule.NOT_BROKEN: _("not broken any more"),
    ExclusionRule.NOT_LISTED: _("not listed yet"),
    ExclusionRule.POISON: _("tried too often today"),
    ExclusionRule.ALREADY_MADE: _("already successful"),
    ExclusionRule.OWNER_GONE: _("unknown or deleted"),
    ExclusionRule.UNREADABLE: _("whose roadmap or novel cannot be read"),
    ExclusionRule.CREATION_CANCELLED: _("whose creation was cancelled"),
    ExclusionRule.CHANGED: _("that need something else now"),
    ExclusionRule.CANARY_FAILED: _("of a group whose first items failed"),
    ExclusionRule.SAME_CAUSE: _("of a group whose cause kept returning"),
    ExclusionRule.BUDGET_SPENT: _("beyond the budget that was spent"),
    ExclusionRule.CAUSE_IGNORED: _("whose cause is ignored"),
    ExclusionRule.CANCELLED_BY_PERSON: _("cancelled by somebody"),
    ExclusionRule.OVER_BUDGET: _("over the budget of calls"),
}
INCLUSION_RULES = {
    InclusionRule.BROKEN: _("Broken: it is made again."),
    InclusionRule.REPAIR_IS_FREE: _("Saved already: only its status is put right, for nothing."),
    InclusionRule.REOPENED: _("Left out by a filter, but chosen by itself or reopened."),
    InclusionRule.OVER_LIMIT: _("Over a limit that was overridden."),
}
CAUSE_STATES = {
    CauseState.OPEN: _("Open"), CauseState.ACKNOWLEDGED: _("Acknowledged"), CauseState.IGNORED: _("Ignored"),
    CauseState.RESOLVED: _("Resolved"), CauseState.REGRESSED: _("Came back"),
}
CAUSE_EVENTS = {
    CauseEventKind.NOTE: _("wrote"), CauseEventKind.ACKNOWLEDGED: _("acknowledged it"), CauseEventKind.IGNORED: _("ignores it"),
    CauseEventKind.RESOLVED: _("called it resolved"), CauseEventKind.REOPENED: _("reopened it"),
    CauseEventKind.REGRESSED: _("saw it come back"), CauseEventKind.WOKEN: _("opened it: it was ignored until now"),
    CauseEventKind.ASSIGNED: _("assigned it to"), CauseEventKind.MERGED: _("merged into it"),
    CauseEventKind.PARTED: _("took out of it"),
}
ERROR_KINDS = {
    ErrorKind.MODEL_UNREACHABLE: _("Model cannot be reached"),
    ErrorKind.MODEL_TIMEOUT: _("Model timed out"),
    ErrorKind.MODEL_RATE_LIMITED: _("Model: rate limit"),
    ErrorKind.MODEL_SERVER_ERROR: _("Model: server error"),
    ErrorKind.MODEL_REJECTED_KEY: _("Model: key rejected"),
    ErrorKind.MODEL_REJECTED_REQUEST: _("Model: request rejected"),
    ErrorKind.MODEL_CUT_STREAM: _("Model: answer cut off in transit"),
    ErrorKind.MODEL_REFUSED: _("Model refused"),
    ErrorKind.MODEL_TRUNCATED: _("Model: answer too long"),
    ErrorKind.MODEL_INVALID_JSON: _("Model: answer is not valid"),
    ErrorKind.CONTENT_EMPTY: _("Content is empty"),
    ErrorKind.CONTENT_UNSTORABLE: _("Content cannot be stored"),
    ErrorKind.CONTENT_NO_PICTURE: _("No picture was found"),
    ErrorKind.CONTENT_NOT_A_PICTURE: _("Not a picture"),
    ErrorKind.CONTENT_PICTURE_SIZE: _("Picture too small or too large"),
    ErrorKind.SAVE_DUPLICATE_KEY: _("Saving: duplicate key"),
    ErrorKind.SAVE_TOO_LONG: _("Saving: value too long"),
    ErrorKind.SAVE_REJECTED: _("Saving: rejected by the database"),
    ErrorKind.SAVE_POOL_EXHAUSTED: _("Saving: connection pool exhausted"),
    ErrorKind.SAVE_DATABASE_GONE: _("Saving: database not reachable"),
    ErrorKind.SAVE_CONTENTION: _("Saving: database busy"),
    ErrorKind.SAVE_STORE_GONE: _("Saving: object store not reachable"),
    ErrorKind.SAVE_OWNER_GONE: _("Roadmap or concept is gone"),
    ErrorKind.CHOICE_MISSING: _("No choice in the chapter before"),
    ErrorKind.WORKER_LOST: _("Worker lost"),
    ErrorKind.JOB_TIMEOUT: _("Job took too long"),
    ErrorKind.QUEUE_GONE: _("Queue not reachable"),
    ErrorKind.PLATFORM_ERROR: _("Error of the platform"),
    ErrorKind.NO_MESSAGE: _("No error was recorded"),
    ErrorKind.UNEXPECTED: _("Unexpected error"),
}


_VARYING = re.compile(r"<(?:n|id|value|values|url|time|address|key|model|duration|path)>")  # what normalising took out of a message


def task_status(status: str) -> str:
    """A task's status in words; one that is not in the platform's contract is given as it is."""
    return TASK_STATUSES[TaskStatus(status)].lower() if status in set(TaskStatus) else status


def content_key(key: ContentKey, title: str, owner_title: str) -> str:
    """"Tutorial of Backpressure, in Agent performance"."""
    if key.kind in (ContentKind.COVER, ContentKind.FRAMEWORK):
        return _("{kind} of {owner}").format(kind=CONTENT_KINDS[key.kind], owner=owner_title)
    if key.kind is ContentKind.CHAPTER and not key.part:
        return _("All chapters of {owner}").format(owner=owner_title)
    if key.kind is ContentKind.CHAPTER:
        return _("Chapter {number} of {owner}").format(number=key.part, owner=owner_title)
    return _("{kind} of {title}, in {owner}").format(kind=CONTENT_KINDS[key.kind], title=title, owner=owner_title)


def reason(problem_kind: ProblemKind, declared: str | None, detail: str, error_message: str) -> str:
    """Why a content key is a problem, in one sentence or two."""
    words = {
        ProblemKind.FAILED: _("Failed: {error}").format(error=error_message) if error_message
            else _("Marked failed; no error was recorded."),
        ProblemKind.MISSING: (
            _("Marked completed, but nothing is saved.") if declared == "completed"
            else _("Nothing is saved and nobody is working on it.")),
        ProblemKind.STALE: _("Marked {declared}, but nobody is working on it.").format(declared=declared),
        ProblemKind.INVALID: _("Saved, but broken: {detail}.").format(detail=detail),
        ProblemKind.DRIFTED: _("Saved and complete, but marked {declared}. Repairing it costs nothing.").format(
            declared=declared or _("nothing")),
        ProblemKind.CANCELLED: _("Its creation was cancelled."),
        ProblemKind.UNREADABLE: _("The data cannot be read at {detail}").format(detail=detail),
    }[problem_kind]
    if error_message and problem_kind not in (ProblemKind.FAILED, ProblemKind.CANCELLED):
        words += " " + _("Last error: {error}").format(error=error_message)
    return words


def cause_title(error_kind: ErrorKind, title: str) -> str:
    """A cause in words, what varies between its messages left out.

    Causes without a recorded error are named by the kind of problem they share.
    """
    if error_kind is ErrorKind.NO_MESSAGE:
        known = {kind.value: words for kind, words in PROBLEM_KINDS.items()}
        return _("{problem}, no error recorded").format(problem=known.get(title, title))
    return f"{ERROR_KINDS[error_kind]}: {_VARYING.sub('…', title)}" if title else ERROR_KINDS[error_kind]


def money(cost: float, currency: str) -> str:
    """Two places, or as many as a small sum needs."""
    return f"{cost:,.2f} {currency}" if cost >= 1 or not cost else f"{cost:.3g} {currency}"


def limits(chosen: OperationLimits, currency: str) -> str:
    """"at most 4 at once, 60 a minute, 500 calls, quiet 22:00-06:00"."""
    words = []
    if chosen.concurrency is not None:
        words.append(_("{count:,} at once").format(count=chosen.concurrency))
    if chosen.rate_per_minute is not None:
        words.append(_("{count:,} a minute").format(count=chosen.rate_per_minute))
    if chosen.budget_calls is not None:
        words.append(ngettext("{count} call", "{count} calls", chosen.budget_calls).format(count=f"{chosen.budget_calls:,}"))
    if chosen.budget_tokens is not None:
        words.append(_("{count:,} tokens").format(count=chosen.budget_tokens))
    if chosen.budget_cost is not None:
        words.append(money(chosen.budget_cost, currency))
    at_most = _("at most {limits}").format(limits=", ".join(words)) if words else ""
    quiet = _("quiet hours {hours}").format(hours=chosen.quiet_hours) if chosen.quiet_hours else ""
    return ", ".join(filter(None, (at_most, quiet))) or _("no limits")


def spent(used: Spent, currency: str) -> str:
    """"12 calls, 30,400 tokens, 0.12 USD"; money only where a price is known, and then what is not in it."""
    words = [ngettext("{count} call", "{count} calls", used.calls).format(count=f"{used.calls:,}")]
    if used.tokens:
        words.append(_("{count:,} tokens").format(count=used.tokens))
    if used.cost:
        words.append(money(used.cost, currency))
    if used.unpriced_calls:
        words.append(unpriced(used.unpriced_calls))
    return ", ".join(words)


def unpriced(calls: int) -> str:
    """What stands beside a sum of money in which their cost is not."""
    return ngettext("the cost of {count} call is not known", "the cost of {count} calls is not known", calls).format(count=f"{calls:,}")


def ignored_until(until_at: datetime | None, until_count: int | None) -> str:
    """"until 2026-11-26 10:00 UTC", for the record; a page tells it in the time of its reader."""
    if until_at is not None:
        return _("until {time}").format(time=f"{until_at:%Y-%m-%d %H:%M} UTC")
    if until_count is not None:
        return ngettext("until it has {count} problem", "until it has {count} problems", until_count).format(count=f"{until_count:,}")
    return _("until somebody reopens it")


def items(count: int) -> str:
    return ngettext("{count} item", "{count} items", count).format(count=f"{count:,}")


def triggered(count: int, skipped: Sequence[tuple[ExclusionRule, int, Sequence[str]]]) -> str:
    """"Triggered 5, skipped 2 already successful (r1, r2)": with each rule its number of keys and the first of them by name."""
    words = [_("Triggered {count:,}").format(count=count)]
    for rule, number, names in skipped:
        listed = ", ".join(names)
        if number > len(names):
            listed = _("{names} and {count:,} more").format(names=listed, count=number - len(names))
        words.append(_("skipped {count:,} {why} ({names})").format(count=number, why=SKIPPED[rule], names=listed))
    return ", ".join(words)


def scope(aim: Scope, *, cause: str = "", owner_title: str = "") -> str:
    """The scope in words: "failed or missing tutorials of Agent performance"."""
    if aim.filter is None:
        return _("{items} chosen by hand").format(items=items(len(aim.keys)))
    return _filter_words(aim.filter, cause, owner_title)


def _filter_words(aim: ProblemFilter, cause: str, owner_title: str) -> str:
    if aim.is_everything:
        return _("everything that is broken")
    words = _(" or ").join(PROBLEM_KINDS[kind].lower() for kind in aim.problem_kinds) or _("broken")
    words += " " + (_(" or ").join(CONTENT_KINDS[kind].lower() for kind in aim.kinds) or _("content"))
    if aim.owner_id:
        words += _(" of {owner}").format(owner=owner_title or aim.owner_id)
    if aim.cause_id:
        words += _(", cause: {cause}").format(cause=cause or aim.cause_id)
    if aim.minimum_age_seconds:
        words += _(", older than {hours:g} h").format(hours=aim.minimum_age_seconds / 3600)
    if aim.minimum_attempts:
        words += _(", tried at least {count} times").format(count=aim.minimum_attempts)
    if aim.text:
        words += _(", with “{text}”").format(text=aim.text)
    return words
