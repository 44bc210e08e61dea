"""What a run has left behind, and what of it must not be so. Read from PostgreSQL, the object store and the model server's own log."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, text

from backend.actions.spills import SET_ASIDE, SPILLED
from backend.clock import utc_now
from backend.content.detector import judge_owner
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import KeyState, Problem, ProblemKind, Verdict
from backend.content.status import ItemAction, ItemState, OperationState, TaskStatus
from backend.redrive import Redrive
from backend.storage.facts import load_facts
from backend.storage.ops_tables import items, operations
from backend.views.detection import Detection, counts_and_problems
from tests.chaos.platform import Platform
from tests.model_answers import Behaviour
from tests.model_pictures import GENERATIONS
from tests.model_server import ModelServer
from tests.model_wire import Request
from tests.processes import wait_for

# Answers that are a whole text or picture: what comes after them is ours to answer for.
WHOLE = frozenset({Behaviour.OK, Behaviour.FENCED, Behaviour.HUGE})
WHOLE_PICTURES = WHOLE | {
    Behaviour.CUT_AT_THE_END, Behaviour.BAD_JSON, Behaviour.NO_TEXT, Behaviour.EMPTY, Behaviour.NUL, Behaviour.LONE_SURROGATE}
CLOCK_SLACK = timedelta(seconds=0.25)  # the model server notes a request when a thread of it gets to it
_SAVED = """
    select 'tutorial' as kind, roadmap_id, concept_id, content_url from public.tutorial_metadata union all
    select 'resources', roadmap_id, concept_id, null from public.resource_recommendation_metadata union all
    select 'quiz', roadmap_id, concept_id, null from public.quiz_metadata union all
    select 'cover', roadmap_id, '', cover_image_url from public.roadmap_cover_images where generation_status = 'success' union all
    select 'chapter', novel_id, chapter_number::text, null from public.chapters where status = 'completed' and content is not null"""
_IN_THE_MAKING = """
    select roadmap_id, found #>> '{}' as declared from public.roadmap_metadata,
      jsonb_path_query(framework_data::jsonb, '$.stages[*].modules[*].concepts[*].*') found
    where found in ('"generating"', '"processing"') union all
    select roadmap_id, generation_status from public.roadmap_cover_images where generation_status = 'generating' union all
    select id, status from public.chapters where status = 'generating'"""
# Beside what is published, for people to choose.
_KEPT_BESIDE = """
    select 'cover' as kind, roadmap_id as owner_id, '' as part from ops.cover_versions where not is_published and large_url <> '' union all
    select 'chapter', novel_id, chapter_number::text from ops.drafts where content <> ''"""


@dataclass(frozen=True)
class Call:
    """A request of the model: for which key, when, and whether a whole text was sent back."""

    key: ContentKey
    at: datetime
    is_whole: bool
    ended_at: float  # when it was answered, on the monotonic clock


@dataclass(frozen=True)
class Evidence:
    items: tuple[Row[Any], ...]
    operations: tuple[Row[Any], ...]
    tasks: tuple[Row[Any], ...]
    saved: tuple[Row[Any], ...]
    in_the_making: int
    verdicts: Mapping[ContentKey, Verdict]
    listed: Mapping[ContentKey, ProblemKind]
    calls: tuple[Call, ...]
    spilled: int
    kept_beside: Mapping[ContentKey, int]  # what came too late: set aside, a draft, a version of a cover
    missing_objects: int  # tutorials and covers whose text or picture is not in the object store

    def items_of(self) -> Mapping[ContentKey, list[Row[Any]]]:
        found: dict[ContentKey, list[Row[Any]]] = defaultdict(list)
        for item in self.items:
            found[key_of(item)].append(item)
        return found

    def rows_of(self) -> Counter[ContentKey]:
        return Counter(map(_key_of_row, self.saved))


def _key_of_row(row: Row[Any]) -> ContentKey:
    return ContentKey(ContentKind(row.kind), row.roadmap_id, row.concept_id)


def key_of(item: Row[Any]) -> ContentKey:
    return ContentKey(ContentKind(item.kind), item.owner_id, item.part)


def problems_now(redrive: Redrive, platform: Platform) -> dict[ContentKey, ProblemKind]:
    """What the detector says of every key, past the kept list."""
    with redrive.engine.connect() as connection:
        return {key: verdict.problem.kind for key, verdict in _verdicts(redrive, connection, platform).items() if verdict.problem}


def problems_listed(redrive: Redrive) -> tuple[Problem, ...]:
    """The kept list, once all that has changed until now is in it: maintenance may be looking at some of that."""
    since = utc_now()

    def complete() -> Detection | None:
        found = counts_and_problems(redrive)
        return found if found.as_of >= since else None
    return wait_for(complete, what="the list of problems to be complete").problems


def gather(redrive: Redrive, platform: Platform, server: ModelServer) -> Evidence:
    listed = {problem.key: problem.kind for problem in problems_listed(redrive)}
    with redrive.engine.connect() as connection:
        saved = tuple(row for row in connection.execute(text(_SAVED)) if _key_of_row(row) in platform.keys)
        return Evidence(
            items=tuple(connection.execute(select(items).order_by(items.c.item_id))),
            operations=tuple(connection.execute(select(operations).order_by(operations.c.created_at))),
            tasks=tuple(connection.execute(text("select * from public.tasks where task_id in (select task_id from ops.items)"))),
            saved=saved,
            in_the_making=len(connection.execute(text(_IN_THE_MAKING)).all()),
            verdicts=_verdicts(redrive, connection, platform),
            listed=listed, calls=_calls(platform, server.requests),
            spilled=len(redrive.objects.paths(f"{SPILLED}/")), kept_beside=_kept_beside(redrive, connection),
            missing_objects=sum(not redrive.objects.has(row.content_url) for row in saved if row.content_url))


def _verdicts(redrive: Redrive, connection: Connection, platform: Platform) -> dict[ContentKey, Verdict]:
    now = utc_now()
    found = load_facts(connection, platform.owners, every_key=True)
    return {verdict.key: verdict for facts in found.values() for verdict in judge_owner(facts, now, redrive.limits)
            if verdict.key in platform.keys}


def _calls(platform: Platform, requests: Iterable[Request]) -> tuple[Call, ...]:
    offset = time.time() - time.monotonic()
    return tuple(
        Call(platform.key_of(request), datetime.fromtimestamp(request.started_at + offset, UTC),
             request.status == 200 and _is_whole(request), request.finished_at or time.monotonic())
        for request in requests)


def _is_whole(request: Request) -> bool:
    if request.path == GENERATIONS:
        return request.behaviour in WHOLE_PICTURES
    return request.behaviour in WHOLE or (request.behaviour is Behaviour.CUT_AT_THE_END and request.is_stream)


def _kept_beside(redrive: Redrive, connection: Connection) -> Counter[ContentKey]:
    documents = (json.loads(redrive.objects.get(path)) for path in redrive.objects.paths(f"{SET_ASIDE}/"))
    set_aside = Counter(ContentKey.parse(document["key"]) for document in documents)
    return set_aside + Counter(ContentKey(ContentKind(kind), *key) for kind, *key in connection.execute(text(_KEPT_BESIDE)))


def violations(found: Evidence, before: Mapping[ContentKey, ProblemKind]) -> list[str]:
    """What must not be, in words. Empty: nothing lost, nothing twice, nothing untrue. `before` is what was broken at the start."""
    return [*_unsettled(found), *_untrue(found), *_doubled(found), *_miscounted(found), *_thrown_away(found), *_asked_again(found),
            *_wrongly_judged(found, before)]


def _unsettled(found: Evidence) -> Iterable[str]:
    for item in found.items:
        if not ItemState(item.state).is_settled:
            yield f"{key_of(item)} is still {item.state} (item {item.item_id}, attempt {item.attempt})"
    for operation in found.operations:
        if operation.state not in (OperationState.COMPLETED, OperationState.CANCELLED):
            yield f"operation {operation.operation_id} is still {operation.state}"
    if found.in_the_making:
        yield f"{found.in_the_making} contents are still marked generating"
    if found.spilled:
        yield f"{found.spilled} texts are still spilled"


def _untrue(found: Evidence) -> Iterable[str]:
    rows = found.rows_of()
    told = {ItemState.FAILED: "error_kind", ItemState.CANCELLED: "cancel_requested_at", ItemState.SKIPPED: "skip_rule"}
    for item in found.items:
        if item.state == ItemState.SUCCEEDED and not rows[key_of(item)]:
            yield f"{key_of(item)} succeeded and nothing is saved (item {item.item_id})"
        if item.state in told and not getattr(item, told[ItemState(item.state)]):
            yield f"{key_of(item)} is {item.state} and says not why (item {item.item_id})"
    if found.missing_objects:
        yield f"{found.missing_objects} tutorials or covers are saved without their text or picture"


def _doubled(found: Evidence) -> Iterable[str]:
    written = Counter(key_of(item) for item in found.items if item.state == ItemState.SUCCEEDED and item.action == ItemAction.GENERATE)
    for key, count in found.rows_of().items():
        if count != written[key]:
            yield f"{key}: {count} rows, {written[key]} items succeeded"
        if count > 1:
            yield f"{key} is saved {count} times"


def doubled_count(found: Evidence) -> int:
    return sum(count - 1 for count in found.rows_of().values())


def _miscounted(found: Evidence) -> Iterable[str]:
    of_operation = Counter(item.operation_id for item in found.items)
    for operation in found.operations:
        count = of_operation[operation.operation_id]
        if count != operation.planned_count:
            yield f"operation {operation.operation_id} planned {operation.planned_count} items and has {count}"
    states: dict[str, Counter[str]] = defaultdict(Counter)
    told_to_stop = set()
    for item in found.items:
        states[item.task_id][item.state] += 1
        if item.cancel_requested_at:
            told_to_stop.add(item.task_id)
    cancelled = {operation.operation_id for operation in found.operations if operation.state == OperationState.CANCELLED}
    for task in found.tasks:
        counts, summary = states[task.task_id], task.execution_summary or {}
        true = {_true_status(counts)}
        is_of_cancelled = task.task_id in told_to_stop or json.loads(json.dumps(task.user_request)).get("operation_id") in cancelled
        if is_of_cancelled and counts[ItemState.CANCELLED]:
            true.add(TaskStatus.CANCELLED)
        if task.status not in true:
            yield f"task {task.task_id} is {task.status}; its items are {dict(counts)}"
        if (summary.get("total"), summary.get("completed"), summary.get("failed")) != (
                sum(counts.values()), counts[ItemState.SUCCEEDED], counts[ItemState.FAILED]):
            yield f"task {task.task_id} tells {summary}; its items are {dict(counts)}"


def _true_status(counts: Mapping[str, int]) -> TaskStatus:
    if counts[ItemState.FAILED]:
        return TaskStatus.PARTIAL_FAILURE if counts[ItemState.SUCCEEDED] else TaskStatus.FAILED
    return TaskStatus.CANCELLED if counts[ItemState.CANCELLED] and not counts[ItemState.SUCCEEDED] else TaskStatus.COMPLETED


def _whole_texts(found: Evidence) -> Counter[ContentKey]:
    return Counter(call.key for call in found.calls if call.is_whole)


def _kept_or_refused(found: Evidence, key: ContentKey, own: list[Row[Any]], saved: int) -> int:
    """Texts of a key that are saved or kept beside that, or may have come to an item that was refused by name or cancelled."""
    ended = sum(item.state in (ItemState.FAILED, ItemState.CANCELLED) for item in own)
    return saved + found.kept_beside.get(key, 0) + ended


def repeated_calls(found: Evidence) -> dict[ContentKey, int]:
    """Whole texts that nobody kept, by key: their calls had to be made again."""
    own, saved = found.items_of(), found.rows_of()
    return {key: over for key, count in _whole_texts(found).items()
            if (over := count - _kept_or_refused(found, key, own[key], saved[key])) > 0}


def thrown_away_calls(found: Evidence) -> list[Call]:
    """The calls of those texts: of each key the earliest, for a later one is what was kept."""
    return [call for key, count in repeated_calls(found).items()
            for call in [call for call in found.calls if call.is_whole and call.key == key][:count]]


def _thrown_away(found: Evidence) -> Iterable[str]:
    """Each whole text is kept, was refused by name, or belonged to an attempt that was killed or given back."""
    own = found.items_of()
    for key, count in repeated_calls(found).items():
        interrupted = sum(item.attempt - 1 for item in own[key])
        if count > interrupted:
            times = ", ".join(f"{call.at:%T.%f}" for call in found.calls if call.key == key and call.is_whole)
            yield f"{key}: {count} whole texts were thrown away, {interrupted} attempts were interrupted; sent at {times}"


def _asked_again(found: Evidence) -> Iterable[str]:
    """No call for content that was saved before it was made."""
    saved_at = {key_of(item): item.settled_at for item in found.items if item.state == ItemState.SUCCEEDED}
    for call in found.calls:
        if call.key in saved_at and call.at > saved_at[call.key] + CLOCK_SLACK:
            yield f"{call.key} was asked for {(call.at - saved_at[call.key]).total_seconds():.2f} s after it was saved"


def _wrongly_judged(found: Evidence, before: Mapping[ContentKey, ProblemKind]) -> Iterable[str]:
    own = found.items_of()
    for key, verdict in found.verdicts.items():
        states = {item.state for item in own.get(key, ())}
        judged = verdict.problem.kind if verdict.problem else verdict.state
        if ItemState.SUCCEEDED in states:
            expected = {KeyState.HEALTHY}
        elif ItemState.FAILED in states:
            expected = {ProblemKind.FAILED}
        else:
            expected = {before[key]}
        if judged not in expected:
            yield f"{key} is judged {judged} after its items {sorted(states)}, expected {sorted(expected)}"
        if found.listed.get(key) != (verdict.problem.kind if verdict.problem else None):
            yield f"{key} is listed as {found.listed.get(key)} and judged {judged}"
