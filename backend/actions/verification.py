"""The end of an operation: every one of its keys is looked at again, and is healthy or named with what is wrong with it now."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from backend.clock import utc_now
from backend.content import wording
from backend.content.causes import cause_of
from backend.content.detector import judge_owner
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, Owner
from backend.content.problems import KeyState
from backend.content.status import OperationState
from backend.redrive import Redrive
from backend.storage import verifying
from backend.storage.facts import load_facts
from backend.storage.verifying import Found

JUDGED_AT_ONCE = 500
NAMED_CAUSES = 20  # of the rest is kept how many there are


def conclude(redrive: Redrive, operation_id: str) -> bool:
    """verifying -> completed, or stopped when all that was left of it was stopped. False: somebody else did."""
    with redrive.engine.begin() as connection:
        outcome = outcome_of(redrive, connection, operation_id)
        untouched, reason = verifying.stop_of(connection, operation_id)
        state = OperationState.STOPPED if untouched else OperationState.COMPLETED
        return verifying.end(connection, operation_id, state, reason, outcome, utc_now())


def outcome_of(redrive: Redrive, connection: Connection, operation_id: str) -> dict[str, Any]:
    """Each key of the operation is counted once: healthy, worked on by others, gone, not due yet, or a problem by kind and cause.

    What was never begun and is broken as before is counted apart: it did not fail again.
    """
    listed = verifying.listed(connection, operation_id)
    written, gone = verifying.written_and_unlisted(connection, operation_id)
    states, more = _judge_others(redrive, connection, operation_id)
    named = [*(found for found in listed if found.was_begun), *more]
    problems: Counter[str] = Counter()
    for found in named:
        problems[str(found.problem_kind)] += found.count
    causes = _causes(named)
    return {
        "healthy": written - gone + states[KeyState.HEALTHY], "in_progress": states[KeyState.IN_PROGRESS],
        "waiting": states[KeyState.WAITING], "gone": gone + states[None], "problems": dict(problems),
        "untouched": sum(found.count for found in listed if not found.was_begun), "causes": causes[:NAMED_CAUSES],
        "cause_count": len(causes)}


def _judge_others(redrive: Redrive, connection: Connection, operation_id: str) -> tuple[Counter[KeyState | None], list[Found]]:
    """What was not written here and is no problem: the rule itself says why. None: its roadmap or concept is gone."""
    states: Counter[KeyState | None] = Counter()
    problems: list[Found] = []
    after = 0
    while rows := verifying.others_unlisted(connection, operation_id, after, JUDGED_AT_ONCE):
        after = rows[-1][0]
        for state, problem in _verdicts(redrive, connection, [key for _item_id, key in rows]):
            if problem:
                problems.append(problem)
            else:
                states[state] += 1
    return states, problems


def _verdicts(
    redrive: Redrive, connection: Connection, keys: Sequence[ContentKey],
) -> list[tuple[KeyState | None, Found | None]]:
    owners = {Owner(key.kind.owner_kind, key.owner_id) for key in keys}
    facts = load_facts(connection, owners, every_key=True)
    verdicts = {verdict.key: verdict for found in facts.values() for verdict in judge_owner(found, utc_now(), redrive.limits)}
    answers: list[tuple[KeyState | None, Found | None]] = []
    for key in keys:
        verdict = verdicts.get(key)
        problem = None
        if verdict and verdict.problem:  # it has become one since the detector's last look
            cause = cause_of(verdict.problem)
            problem = Found(True, verdict.problem.kind, cause.cause_id, cause.error_kind, cause.title, 1)
        answers.append((verdict.state if verdict else None, problem))
    return answers


def _causes(named: Sequence[Found]) -> list[dict[str, Any]]:
    """{cause_id, words, count} of what is broken now, the most frequent first."""
    counts: Counter[str] = Counter()
    words: dict[str, str] = {}
    for found in named:
        counts[found.cause_id] += found.count
        words[found.cause_id] = wording.cause_title(ErrorKind(found.error_kind), found.title)
    return [{"cause_id": cause_id, "words": words[cause_id], "count": count} for cause_id, count in counts.most_common()]
