"""What is failed or missing. The one rule; list, badge, plan, worker and CLI all ask it. Pure: the clock is an argument."""

from datetime import datetime, timedelta

from backend.content.causes import classify
from backend.content.errors import ErrorKind
from backend.content.facts import KeyFacts, Limits, OwnerFacts, RecordedError, Saved, TaskFacts
from backend.content.keys import ContentKey, ContentKind, OwnerKind
from backend.content.problems import KeyState, Problem, ProblemKind, Verdict
from backend.content.status import ContentStatus, TaskStatus

_FAULT_OF = {Saved.VALID: ProblemKind.DRIFTED, Saved.BROKEN: ProblemKind.INVALID, Saved.FAILED: ProblemKind.FAILED}
IN_THE_MAKING = (ContentStatus.GENERATING, ContentStatus.PROCESSING)


def detect(facts: OwnerFacts, now: datetime, limits: Limits) -> tuple[Problem, ...]:
    """What is failed or missing in one owner, at most one problem per content key, in the order of the facts.

    `now` is aware UTC. Raises ValueError if it is naive.
    """
    return tuple(verdict.problem for verdict in judge_owner(facts, now, limits) if verdict.problem)


def judge_owner(facts: OwnerFacts, now: datetime, limits: Limits) -> tuple[Verdict, ...]:
    """The state of every content key in the facts, healthy ones too, and of an unreadable framework."""
    if now.tzinfo is None:
        raise ValueError("now has no time zone: pass an aware UTC datetime")
    verdicts = [judge(key, facts, now, limits) for key in facts.keys]
    if facts.framework_faults:
        verdicts.append(_judge_framework(facts, now, limits))
    return tuple(verdicts)


def judge(key: KeyFacts, facts: OwnerFacts, now: datetime, limits: Limits) -> Verdict:
    """Where one content key stands. `now` is aware UTC."""
    if key.key in facts.live_keys:
        return Verdict(key.key, KeyState.IN_PROGRESS)
    if key.saved is Saved.VALID and key.declared == ContentStatus.COMPLETED:
        return Verdict(key.key, KeyState.HEALTHY)
    tasks = [task for task in facts.tasks if task.covers(key.key)]
    quiet_at = _quiet_at(tasks, limits)
    if quiet_at is not None and now < quiet_at:
        return Verdict(key.key, KeyState.IN_PROGRESS, look_again_at=quiet_at)
    if key.saved is Saved.NONE:
        return _judge_unsaved(key, tasks, facts, now, limits)
    return _problem(key, _FAULT_OF[key.saved], tasks, facts)


def _judge_unsaved(
    key: KeyFacts, tasks: list[TaskFacts], facts: OwnerFacts, now: datetime, limits: Limits,
) -> Verdict:
    if _was_cancelled(key.key, tasks, facts):
        return _problem(key, ProblemKind.CANCELLED, tasks, facts)
    if key.declared == ContentStatus.FAILED:
        return _problem(key, ProblemKind.FAILED, tasks, facts)
    if key.declared == ContentStatus.COMPLETED:
        return _problem(key, ProblemKind.MISSING, tasks, facts)
    is_in_the_making = key.declared in IN_THE_MAKING
    patience_seconds = limits.silence_seconds if is_in_the_making else limits.grace_seconds
    late_at = key.expected_since + timedelta(seconds=patience_seconds)
    if now < late_at:
        state = KeyState.IN_PROGRESS if is_in_the_making else KeyState.WAITING
        return Verdict(key.key, state, look_again_at=late_at)
    return _problem(key, ProblemKind.STALE if is_in_the_making else ProblemKind.MISSING, tasks, facts)


def _was_cancelled(key: ContentKey, tasks: list[TaskFacts], facts: OwnerFacts) -> bool:
    """Its creation was cancelled, and nobody has tried it again since."""
    cancelled_at = [task.updated_at for task in tasks if task.is_cancelled_creation]
    if not cancelled_at:
        return False
    tried_at = [task.updated_at for task in tasks if task.status != TaskStatus.CANCELLED]
    if key in facts.retried_at:
        tried_at.append(facts.retried_at[key])
    return all(at <= max(cancelled_at) for at in tried_at)


def _problem(key: KeyFacts, kind: ProblemKind, tasks: list[TaskFacts], facts: OwnerFacts) -> Verdict:
    good_at = facts.succeeded_at.get(key.key)  # what tasks tell from before it is over
    signs = [task for task in tasks if good_at is None or task.updated_at > good_at]
    error = _error(key, kind, signs)
    last_sign = max((task.updated_at for task in signs), default=good_at)
    if kind in (ProblemKind.INVALID, ProblemKind.DRIFTED):
        since_at = key.saved_at or last_sign
    else:
        since_at = (error.at if error else None) or last_sign
    problem = Problem(
        key.key, kind, key.declared, since_at or key.expected_since,
        detail=key.fault,
        error_kind=_error_kind(error, kind),
        error_message=error.message if error else "",
        title=key.title,
    )
    return Verdict(key.key, KeyState.PROBLEM, problem)


def _error(key: KeyFacts, kind: ProblemKind, tasks: list[TaskFacts]) -> RecordedError | None:
    """The error recorded for the key itself, else the one of the last task that worked on it."""
    if kind in (ProblemKind.INVALID, ProblemKind.CANCELLED):
        return None
    if key.error:
        return key.error
    told = [task for task in tasks if task.error_message]
    return RecordedError(told[-1].error_message, told[-1].updated_at) if told else None


def _error_kind(error: RecordedError | None, kind: ProblemKind) -> ErrorKind:
    if kind is ProblemKind.INVALID:
        return ErrorKind.CONTENT_EMPTY
    if error is None:
        return ErrorKind.NO_MESSAGE
    return error.kind or classify(error.message)


def _quiet_at(tasks: list[TaskFacts], limits: Limits) -> datetime | None:
    """Until when unfinished tasks count as alive. None: all are finished."""
    unfinished = [task.updated_at for task in tasks if task.is_unfinished]
    return max(unfinished) + timedelta(seconds=limits.silence_seconds) if unfinished else None


def _judge_framework(facts: OwnerFacts, now: datetime, limits: Limits) -> Verdict:
    """Unreadable, unless a living creation is still writing it."""
    kind = ContentKind.CHAPTER if facts.owner.kind is OwnerKind.NOVEL else ContentKind.FRAMEWORK
    key = ContentKey(kind, facts.owner.owner_id)
    quiet_at = _quiet_at([task for task in facts.tasks if task.covers(key)], limits)
    if quiet_at is not None and now < quiet_at:
        return Verdict(key, KeyState.IN_PROGRESS, look_again_at=quiet_at)
    more = len(facts.framework_faults) - 1
    detail = facts.framework_faults[0] + (f" (+{more})" if more else "")
    problem = Problem(key, ProblemKind.UNREADABLE, None, None, detail=detail, title=facts.title)
    return Verdict(key, KeyState.PROBLEM, problem)
