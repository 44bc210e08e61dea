"""One attempt at one item: begin, save, fail. Each is one transaction; a late attempt changes nothing.

Locks are taken in one order everywhere: roadmap, item, task.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.clock import utc_now
from backend.content.causes import cause_id_of, classify
from backend.content.checks import check
from backend.content.detector import judge
from backend.content.errors import ErrorKind, ItemError
from backend.content.framework import Concept
from backend.content.keys import ContentKey, Owner, OwnerKind
from backend.content.language import language_of
from backend.content.plans import ExclusionRule
from backend.content.problems import KeyState, ProblemKind, Verdict
from backend.content.status import ContentStatus, ItemAction, ItemState
from backend.content.written import ConceptBrief, Quiz, Resources, Tutorial, Written
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import contents, items, task_records
from backend.storage.contents import LockedRoadmap
from backend.storage.facts import load_facts
from backend.storage.items import StoredItem

MAXIMUM_LOST_WORKERS = 3


@dataclass(frozen=True, slots=True)
class Attempt:
    item: StoredItem
    brief: ConceptBrief


class NotBegun(StrEnum):
    """Why an item needs no writing."""

    TAKEN = "taken"        # another job has it, or it was cancelled
    SKIPPED = "skipped"    # nothing to do any more
    REPAIRED = "repaired"  # it was saved; its status is right now
    FAILED = "failed"      # it cannot be written: its roadmap or concept is gone


def begin(redrive: Redrive, item_id: int) -> Attempt | tuple[NotBegun, StoredItem | None]:
    """Claim a queued item for this worker, if the detector still finds its key broken."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        if item is None or item.state is not ItemState.QUEUED:
            return NotBegun.TAKEN, item
        verdict = _judge_again(redrive, connection, item.key, now)  # before the lock: items of one roadmap wait for each other
        roadmap = contents.lock_roadmap(connection, item.key.owner_id)
        concept = roadmap.framework.concept(item.key.part) if roadmap else None
        declared = concept.declared(item.key.kind) if concept else None
        if not items.start(connection, item, now, declared):
            return NotBegun.TAKEN, item
        if item.task_id:
            task_records.begin_task(connection, item.task_id, now)
        if roadmap is None or concept is None or verdict is None:
            gone = ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted in the meantime."))
            _settle_failed(connection, item, gone, now)
            return NotBegun.FAILED, item
        return _begin_claimed(connection, item, verdict, roadmap, concept, now)


def _begin_claimed(
    connection: Connection, item: StoredItem, verdict: Verdict, roadmap: LockedRoadmap, concept: Concept, now: datetime,
) -> Attempt | tuple[NotBegun, StoredItem]:
    if verdict.problem and verdict.problem.kind is ProblemKind.DRIFTED:
        contents.patch_concept(connection, item.key.owner_id, concept, contents.saved_fields(connection, item.key))
        _settle(connection, item, ItemState.SUCCEEDED, now, calls=0)
        return NotBegun.REPAIRED, item
    if verdict.state is not KeyState.PROBLEM or item.action is ItemAction.REPAIR:
        rule = {KeyState.HEALTHY: ExclusionRule.NOT_BROKEN, KeyState.PROBLEM: ExclusionRule.CHANGED}.get(
            verdict.state, ExclusionRule.ALREADY_RUNNING)
        _settle(connection, item, ItemState.SKIPPED, now, skip_rule=rule)
        return NotBegun.SKIPPED, item
    contents.patch_concept(
        connection, item.key.owner_id, concept, contents.status_field(item.key.kind, ContentStatus.GENERATING))
    return Attempt(item, _brief(roadmap, concept))


def refuse(redrive: Redrive, item_id: int, error: ItemError) -> bool:
    """A queued item that cannot even be begun fails by name; sent again it would fail for ever. False: it is not queued."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        return item is not None and _settle_failed(connection, item, error, now, before=ItemState.QUEUED)


def _judge_again(redrive: Redrive, connection: Connection, key: ContentKey, now: datetime) -> Verdict | None:
    """The same rule as everywhere, leaving this very item out of what is live. None: the roadmap or the concept is gone.

    An item that a lost worker left behind finds its own mark "generating"; that is no life.
    """
    owner = Owner(OwnerKind.ROADMAP, key.owner_id)
    facts = load_facts(connection, [owner], every_key=True).get(owner)
    key_facts = next((found for found in facts.keys if found.key == key), None) if facts else None
    if key_facts is None:
        return None
    # The item exists because the key was broken: grace and silence of a young owner are over for it.
    key_facts = replace(key_facts, expected_since=datetime.min.replace(tzinfo=UTC))
    return judge(key_facts, replace(facts, live_keys=facts.live_keys - {key}), now, redrive.limits)


def _brief(roadmap: LockedRoadmap, concept: Concept) -> ConceptBrief:
    fields = concept.fields
    hours = fields.get("estimated_hours")
    return ConceptBrief(
        roadmap_id=roadmap.roadmap_id, roadmap_title=roadmap.title,
        language=language_of(roadmap.title, concept.name, concept.stage_name),
        stage_name=concept.stage_name, module_name=concept.module_name,
        concept_id=concept.concept_id, concept_name=concept.name,
        description=str(fields.get("description") or ""), difficulty=str(fields.get("difficulty") or ""),
        estimated_hours=float(hours) if isinstance(hours, (int, float)) else None,
        prerequisites=_words(fields.get("prerequisites")), keywords=_words(fields.get("keywords")))


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()


def save(redrive: Redrive, attempt: Attempt, written: Written) -> bool:
    """Content row, framework_data, outcome and task in one transaction. False: the attempt came too late; nothing changed.

    Raises ItemError with the reason when the content does not pass its check or is not taken.
    """
    check(written.content)
    item, content = attempt.item, written.content
    content_url = redrive.objects.put_text(_text_path(item), content.body_markdown) if isinstance(content, Tutorial) else ""
    try:
        with redrive.engine.begin() as connection:
            return _save(connection, item, written, content_url, utc_now())
    except (DBAPIError, PoolTimeout) as exc:
        raise save_error(exc) from exc


def _text_path(item: StoredItem) -> str:
    """A path of its own for each attempt: a late one never overwrites what readers see."""
    return f"tutorials/{_path_part(item.key.owner_id)}/{_path_part(item.key.part)}/{item.item_id}-{item.attempt}.md"


def _path_part(text: str) -> str:
    """At most 120 bytes of UTF-8: a file name holds 255. The item id beside it keeps the path unique."""
    safe = "".join(character if character.isalnum() or character in "-_" else "-" for character in text)
    return safe.encode()[:120].decode(errors="ignore")


def _save(connection: Connection, item: StoredItem, written: Written, content_url: str, now: datetime) -> bool:
    roadmap = contents.lock_roadmap(connection, item.key.owner_id)
    concept = roadmap.framework.concept(item.key.part) if roadmap else None
    if concept is None:
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted while it was being written."))
    is_ours = items.settle(
        connection, item, ItemState.SUCCEEDED, now, generator=written.generator,
        is_sample=written.is_sample, calls=written.calls, prompt_tokens=written.prompt_tokens,
        completion_tokens=written.completion_tokens, error_kind=None, error_message=None)
    if not is_ours:
        return False
    fields = _insert(connection, item.key, written.content, content_url, now)
    contents.patch_concept(connection, item.key.owner_id, concept, fields)
    if item.task_id:
        task_records.record_progress(connection, item.task_id, now)
    return True


def _insert(
    connection: Connection, key: ContentKey, content: Tutorial | Resources | Quiz, content_url: str, now: datetime,
) -> contents.FrameworkFields:
    match content:
        case Tutorial():
            return contents.insert_tutorial(connection, key, content, content_url, now)
        case Resources():
            return contents.replace_resources(connection, key, content, now)
        case Quiz():
            return contents.replace_quiz(connection, key, content, now)


def fail(redrive: Redrive, attempt: Attempt, error: ItemError) -> bool:
    """Outcome, framework_data and task say failed, and why. False: the attempt came too late; nothing changed."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        return _fail(connection, attempt.item, error, now)


def take_back(redrive: Redrive, item: StoredItem, silent_since: datetime) -> ItemState | None:
    """An item whose worker fell silent: queued again, or failed when that happened too often. None: it lives after all."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        if item.attempt < MAXIMUM_LOST_WORKERS:
            return ItemState.QUEUED if items.take_back(connection, item, silent_since) else None
        lost = ItemError(ErrorKind.WORKER_LOST, _("Its worker was lost {count} times. Look at the worker's log, then retry it.").format(
            count=item.attempt))
        return ItemState.FAILED if _fail(connection, item, lost, now, silent_since) else None


def _fail(
    connection: Connection, item: StoredItem, error: ItemError, now: datetime, silent_since: datetime | None = None,
) -> bool:
    roadmap = _lock_if_readable(connection, item.key.owner_id)
    if not _settle_failed(connection, item, error, now, silent_since=silent_since):
        return False
    concept = roadmap.framework.concept(item.key.part) if roadmap else None
    if concept is not None:
        contents.patch_concept(
            connection, item.key.owner_id, concept, contents.status_field(item.key.kind, ContentStatus.FAILED))
    return True


def _lock_if_readable(connection: Connection, roadmap_id: str) -> LockedRoadmap | None:
    """A roadmap that PostgreSQL cannot read as jsonb must not keep its items from failing."""
    try:
        with connection.begin_nested():
            return contents.lock_roadmap(connection, roadmap_id)
    except DataError:
        return None


def _settle_failed(connection: Connection, item: StoredItem, error: ItemError, now: datetime, **guard: object) -> bool:
    message = _storable(error.message)
    return _settle(
        connection, item, ItemState.FAILED, now, error_kind=error.kind, error_message=message,
        cause_id=cause_id_of(error.kind, message), **guard)


def _settle(connection: Connection, item: StoredItem, state: ItemState, now: datetime, **values: object) -> bool:
    is_ours = items.settle(connection, item, state, now, **values)
    if is_ours and item.task_id:
        task_records.record_progress(connection, item.task_id, now)
    return is_ours


def _storable(message: str) -> str:
    """A message that PostgreSQL takes: without NUL and lone surrogates, at most 2,000 characters."""
    return message.replace("\x00", "").encode("utf-8", "replace").decode()[:2000]


def save_error(exc: Exception) -> ItemError:
    """The name of what the database said. Two kinds are worth another try: pool exhausted, database gone."""
    message = str(getattr(exc, "orig", exc)).strip()
    if isinstance(exc, PoolTimeout):
        kind = ErrorKind.SAVE_POOL_EXHAUSTED
    elif isinstance(exc, (OperationalError, InterfaceError)):
        told = classify(message)
        kind = told if told is ErrorKind.SAVE_POOL_EXHAUSTED else ErrorKind.SAVE_DATABASE_GONE
    elif isinstance(exc, IntegrityError):
        told = classify(message)
        kind = told if told is ErrorKind.SAVE_DUPLICATE_KEY else ErrorKind.SAVE_REJECTED
    elif isinstance(exc, DataError):
        told = classify(message)
        kind = told if told in (ErrorKind.SAVE_TOO_LONG, ErrorKind.CONTENT_UNSTORABLE) else ErrorKind.SAVE_REJECTED
    else:
        kind = ErrorKind.SAVE_REJECTED
    return ItemError(kind, _storable(message)[:500])
