"""One attempt at one item: begin, save, fail. Each is one transaction; a late attempt changes nothing.

What ends or interrupts an attempt from outside (a lost worker, a person, a shutdown) is in withdrawals.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.actions import breaker, chapter_attempts, costs
from backend.actions.breaker import Flow
from backend.actions.settling import fail as settle_and_declare_failed
from backend.actions.settling import save_error, settle, settle_failed
from backend.clock import utc_now
from backend.content.checks import check
from backend.content.detector import judge
from backend.content.errors import ErrorKind, ItemError
from backend.content.facts import KeyFacts, OwnerFacts
from backend.content.framework import Concept
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.content.language import language_of
from backend.content.plans import ExclusionRule
from backend.content.problems import KeyState, ProblemKind, Verdict
from backend.content.status import ContentStatus, ItemAction, ItemState
from backend.content.written import ChapterBrief, ConceptBrief, Quiz, Resources, Spent, Tutorial, Written
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import chapters, contents, groups, items, leases, task_records
from backend.storage.chapters import LockedNovel
from backend.storage.contents import LockedRoadmap
from backend.storage.engine import wait_at_most
from backend.storage.facts import load_facts, load_key_facts
from backend.storage.items import StoredItem


@dataclass(frozen=True, slots=True)
class Attempt:
    item: StoredItem
    brief: ConceptBrief | ChapterBrief
    is_model_troubled: bool = False  # its breaker has counted failures: an answer is worth noting
    stream_id: str = ""              # of a chapter or draft: whose stream its watchers follow


class NotBegun(StrEnum):
    """Why an item needs no writing."""

    TAKEN = "taken"        # another job has it, or it was cancelled
    SKIPPED = "skipped"    # nothing to do any more
    REPAIRED = "repaired"  # it was saved; its status is right now
    FAILED = "failed"      # it cannot be written: its roadmap or concept is gone
    HELD = "held"          # the model's circuit breaker is open: it stays queued
    BRAKED = "braked"      # its operation runs no more at once, its group goes on no further: it is planned again


class _Held(Exception):
    """The model may not be asked now: what was begun is rolled back."""


class _Braked(Exception):
    """This item may not ask the model now: what was begun is rolled back."""


def begin(redrive: Redrive, item_id: int) -> Attempt | tuple[NotBegun, StoredItem | None]:
    """Claim a queued item for this worker, if the detector still finds its key broken and the model may be asked."""
    try:
        return _begin(redrive, item_id, utc_now())
    except _Held:
        return NotBegun.HELD, None
    except _Braked:
        with redrive.engine.begin() as connection:
            items.put_back(connection, [item_id])
        return NotBegun.BRAKED, None


def _begin(redrive: Redrive, item_id: int, now: datetime) -> Attempt | tuple[NotBegun, StoredItem | None]:
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        if item is None or item.state is not ItemState.QUEUED:
            return NotBegun.TAKEN, item
        model = breaker.current(redrive, connection)
        flow = breaker.flow(redrive, model, now)
        if item.action is not ItemAction.REPAIR and flow is Flow.HELD:
            return NotBegun.HELD, None
        begin_kind = _begin_chapter if item.key.kind is ContentKind.CHAPTER else _begin_concept
        begun = begin_kind(redrive, connection, item, now)
        if not isinstance(begun, Attempt):
            return begun
        if flow is not Flow.FREE and not breaker.begin_probe(redrive, connection, now):
            raise _Held
        if not groups.may_call(connection, item.item_id):
            raise _Braked
        return replace(begun, is_model_troubled=not model.is_untroubled)


def _begin_concept(
    redrive: Redrive, connection: Connection, item: StoredItem, now: datetime,
) -> Attempt | tuple[NotBegun, StoredItem]:
    verdict = _judge_again(redrive, connection, item.key, now)  # before the lock: items of one roadmap wait for each other
    roadmap = contents.lock_roadmap(connection, item.key.owner_id)
    concept = roadmap.framework.concept(item.key.part) if roadmap else None
    started = _start(connection, item, concept.declared(item.key.kind) if concept else None, now)
    if started is None:
        return NotBegun.TAKEN, item
    if roadmap is None or concept is None or verdict is None:
        gone = ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted in the meantime."))
        settle_failed(connection, started, gone, now)
        return NotBegun.FAILED, started
    return _begin_claimed(connection, started, verdict, roadmap, concept, now)


def _begin_chapter(
    redrive: Redrive, connection: Connection, item: StoredItem, now: datetime,
) -> Attempt | tuple[NotBegun, StoredItem]:
    novel = chapters.lock_novel(connection, item.key.owner_id)
    verdict = _judge_again(redrive, connection, item.key, now)
    started = _start(connection, item, chapter_attempts.declared(connection, item.key), now)
    if started is None:
        return NotBegun.TAKEN, item
    is_healthy = verdict is not None and verdict.state is not KeyState.PROBLEM
    if is_healthy and item.action is not ItemAction.DRAFT:
        settle(connection, started, ItemState.SKIPPED, now, skip_rule=ExclusionRule.NOT_BROKEN if verdict.state is KeyState.HEALTHY
               else ExclusionRule.ALREADY_RUNNING)
        return NotBegun.SKIPPED, started
    gone = ItemError(ErrorKind.SAVE_OWNER_GONE, _("The novel or the draft was deleted in the meantime."))
    work = chapter_attempts.begin(connection, started, novel, now) if novel else None
    if not isinstance(work, chapter_attempts.ChapterWork):
        settle_and_declare_failed(connection, started, work or gone, now)
        return NotBegun.FAILED, started
    return Attempt(started, work.brief, stream_id=work.stream_id)


def _start(connection: Connection, item: StoredItem, declared: str | None, now: datetime) -> StoredItem | None:
    started = leases.start(connection, item, now, declared)
    if started is not None and started.task_id:
        task_records.begin_task(connection, started.task_id, now)
    return started


def _begin_claimed(
    connection: Connection, item: StoredItem, verdict: Verdict, roadmap: LockedRoadmap, concept: Concept, now: datetime,
) -> Attempt | tuple[NotBegun, StoredItem]:
    if verdict.problem and verdict.problem.kind is ProblemKind.DRIFTED:
        contents.patch_concept(connection, item.key.owner_id, concept, contents.saved_fields(connection, item.key))
        settle(connection, item, ItemState.SUCCEEDED, now, calls=0)
        return NotBegun.REPAIRED, item
    if verdict.state is not KeyState.PROBLEM or item.action is ItemAction.REPAIR:
        rule = {KeyState.HEALTHY: ExclusionRule.NOT_BROKEN, KeyState.PROBLEM: ExclusionRule.CHANGED}.get(
            verdict.state, ExclusionRule.ALREADY_RUNNING)
        settle(connection, item, ItemState.SKIPPED, now, skip_rule=rule)
        return NotBegun.SKIPPED, item
    contents.patch_concept(
        connection, item.key.owner_id, concept, contents.status_field(item.key.kind, ContentStatus.GENERATING))
    return Attempt(item, _brief(roadmap, concept))


def refuse(redrive: Redrive, item_id: int, error: ItemError) -> bool:
    """A queued item that cannot even be begun fails by name; sent again it would fail for ever. False: it is not queued."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        item = items.find_item(connection, item_id)
        return item is not None and settle_failed(connection, item, error, now, before=ItemState.QUEUED)


def _judge_again(redrive: Redrive, connection: Connection, key: ContentKey, now: datetime) -> Verdict | None:
    """The same rule as everywhere, leaving this very item out of what is live. None: the roadmap or the concept is gone.

    An item that a lost worker left behind finds its own mark "generating"; that is no life.
    """
    found = _chapter_facts(connection, key) if key.kind is ContentKind.CHAPTER else load_key_facts(connection, key)
    if found is None:
        return None
    # The item exists because the key was broken: grace and silence of a young owner are over for it.
    key_facts = replace(found[0], expected_since=datetime.min.replace(tzinfo=UTC))
    return judge(key_facts, replace(found[1], live_keys=found[1].live_keys - {key}), now, redrive.limits)


def _chapter_facts(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    owner = Owner(OwnerKind.NOVEL, key.owner_id)
    facts = load_facts(connection, [owner], every_key=True).get(owner)
    return next(((found, facts) for found in facts.keys if found.key == key), None) if facts else None


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
    return save_item(redrive, attempt.item, written)


def save_item(
    redrive: Redrive, item: StoredItem, written: Written, *, before: ItemState = ItemState.RUNNING, wait_seconds: float = 0.0,
) -> bool:
    """As `save`. With `before` PLANNED or QUEUED a text that was spilled settles the item that waits to be written again.

    With `wait_seconds` it gives up on a row that somebody else holds for longer.
    """
    check(written.content)
    content = written.content
    content_url = redrive.objects.put_text(_text_path(item), content.body_markdown) if isinstance(content, Tutorial) else ""
    try:
        with redrive.engine.begin() as connection:
            if wait_seconds:
                wait_at_most(connection, wait_seconds)
            is_chapter = item.key.kind is ContentKind.CHAPTER
            owner = (chapters.lock_novel if is_chapter else contents.lock_roadmap)(connection, item.key.owner_id)
            now = utc_now()
            held = item if before is ItemState.RUNNING else leases.hold_for_text(connection, item, now)
            return held is not None and _save(redrive, connection, held, written, owner, content_url, now)
    except (DBAPIError, PoolTimeout) as exc:
        raise save_error(exc) from exc


def _text_path(item: StoredItem) -> str:
    """A path of its own for each attempt: a late one never overwrites what readers see."""
    return f"tutorials/{_path_part(item.key.owner_id)}/{_path_part(item.key.part)}/{item.item_id}-{item.attempt}.md"


def _path_part(text: str) -> str:
    """At most 120 bytes of UTF-8: a file name holds 255. The item id beside it keeps the path unique."""
    safe = "".join(character if character.isalnum() or character in "-_" else "-" for character in text)
    return safe.encode()[:120].decode(errors="ignore")


def _save(
    redrive: Redrive, connection: Connection, item: StoredItem, written: Written, owner: LockedRoadmap | LockedNovel | None,
    content_url: str, now: datetime,
) -> bool:
    concept = owner.framework.concept(item.key.part) if isinstance(owner, LockedRoadmap) else None
    if concept is None and not isinstance(owner, LockedNovel):
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted while it was being written."))
    is_ours = items.settle(
        connection, item, ItemState.SUCCEEDED, now, generator=written.generator,
        is_sample=written.is_sample, error_kind=None, error_message=None)
    if not is_ours:
        return False
    costs.add(redrive, connection, item.item_id, Spent(written.calls, written.prompt_tokens, written.completion_tokens), written.generator)
    if concept is None:
        chapter_attempts.finish(connection, item, written.content, now)
    else:
        contents.patch_concept(connection, item.key.owner_id, concept, _insert(connection, item.key, written.content, content_url, now))
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


def fail(redrive: Redrive, attempt: Attempt, error: ItemError, spent: Spent | None = None) -> bool:
    """Outcome, framework_data and task say failed, why, and what it cost. False: the attempt came too late; nothing changed."""
    now = utc_now()
    with redrive.engine.begin() as connection:
        is_ours = settle_and_declare_failed(connection, attempt.item, error, now)
        if is_ours and spent:
            costs.add(redrive, connection, attempt.item.item_id, spent)
        return is_ours
