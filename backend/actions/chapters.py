"""Chapters: generate, regenerate as a draft, accept, reject, roll back. Each is one transaction that holds the novel."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from backend.actions import single
from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.clock import utc_now
from backend.content import wording
from backend.content.chapters import ChapterOption, Draft, DraftKind, DraftState, Route
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import ExclusionRule, PlannedItem
from backend.content.problems import ProblemKind
from backend.content.status import ChapterStatus, ItemAction
from backend.i18n import _
from backend.jobs import chapter_feed
from backend.redrive import Redrive
from backend.storage import audit, chapters, drafts, items, problem_list
from backend.storage.chapters import ChapterRow, LockedNovel


class ChapterRefused(Exception):
    """It cannot be done as things stand; str() says why and what to do first."""


class ChoiceMissing(ChapterRefused):
    """The chapter before has no reader's choice; str() names it."""


class TriedTooOften(ChapterRefused):
    """Poison; str() says so. Only a plan that overrides the limits, with a reason, tries it again today."""


class TextMovedOn(ChapterRefused):
    """Somebody else changed the text in the meantime."""


@dataclass(frozen=True, slots=True)
class Generation:
    route: Route
    chapter_id: str         # of the row to watch
    chapter_number: int
    operation_id: str = ""  # that writes it; "": none of Redrive's

    @property
    def is_refused(self) -> bool:
        return self.route is Route.COMPLETED


@dataclass(frozen=True, slots=True)
class Regeneration:
    draft_id: str  # watch it with views.chapter_stream
    operation_id: str


@dataclass(frozen=True, slots=True)
class Published:
    chapter_id: str
    version: str
    options_kept: bool               # readers have chosen one of them already
    later_chapters: tuple[int, ...]  # completed ones, now written for an older text


def generate(redrive: Redrive, actor: Actor, novel_id: str, chapter_number: int = 0) -> Generation:
    """Begin or join the writing of a chapter; 0 is the latest. Raises NotAllowed, ChapterRefused, ChoiceMissing, TriedTooOften.

    A completed chapter is answered with Route.COMPLETED and nothing is begun. However many ask at once, one generation begins.
    """
    require(actor, Permission.RETRY)
    with redrive.engine.begin() as connection:
        novel = _locked(connection, novel_id)
        number = chapter_number or chapters.latest_number(connection, novel_id) or 1
        key = ContentKey(ContentKind.CHAPTER, novel_id, str(number))
        row = chapters.find_chapter(connection, novel_id, number)
        working = items.keys_in_work(connection, [key]).get(key, "")
        route = _route(row, bool(working))
        if row is not None and route in (Route.GENERATING, Route.COMPLETED):
            return Generation(route, row.chapter_id, number, working)
        require_choice(connection, novel_id, number)
        if not working:
            _require_tries_left(redrive, connection, key)
        chapter_id = chapters.begin(connection, novel_id, number, utc_now())
        problem_kind = ProblemKind.MISSING if row is None else ProblemKind.FAILED if route is Route.FAILED else ProblemKind.STALE
        operation_id = working or _begin_operation(redrive, connection, novel, key, ItemAction.GENERATE, problem_kind, actor)
    if row is not None:
        chapter_feed.forget(redrive.redis, row.chapter_id)
    return Generation(route, chapter_id, number, operation_id)


def _route(row: ChapterRow | None, is_worked_on: bool) -> Route:
    """A row that is marked generating while nobody works on it is a try that failed."""
    if row is None:
        return Route.NONE
    if row.status == ChapterStatus.GENERATING:
        return Route.GENERATING if is_worked_on else Route.FAILED
    if row.status == ChapterStatus.COMPLETED and row.content.strip():
        return Route.COMPLETED
    return Route.FAILED


def require_choice(connection: Connection, novel_id: str, chapter_number: int) -> None:
    """Chapter 1 needs none. Raises ChoiceMissing that names the chapter before."""
    if chapter_number > 1 and chapters.choice_before(connection, novel_id, chapter_number) is None:
        raise ChoiceMissing(_("Chapter {number} needs the reader's choice at the end of chapter {before}, and there is none.").format(
            number=chapter_number, before=chapter_number - 1))


def _require_tries_left(redrive: Redrive, connection: Connection, key: ContentKey) -> None:
    tries = problem_list.attempts_today(connection, key, utc_now())
    if tries >= redrive.settings.maximum_attempts_per_day:
        raise TriedTooOften(_("Chapter {number} is not begun: {count} tries in the last 24 hours. {rule}").format(
            number=key.part, count=tries, rule=wording.EXCLUSION_RULES[ExclusionRule.POISON]))


def regenerate(
    redrive: Redrive, actor: Actor, chapter_id: str, *, note: str = "", model: str | None = None, temperature: float | None = None,
) -> Regeneration:
    """Write a completed chapter anew, as a draft beside the published text. Raises NotAllowed, ChapterRefused."""
    require(actor, Permission.RETRY)
    if temperature is not None and not 0 <= temperature <= 2:
        raise ChapterRefused(_("The temperature lies between 0 and 2."))
    with redrive.engine.begin() as connection:
        row = _published(connection, chapter_id)
        novel = _locked(connection, row.novel_id)
        key = ContentKey(ContentKind.CHAPTER, row.novel_id, str(row.chapter_number))
        if items.keys_in_work(connection, [key]):
            raise ChapterRefused(_("Chapter {number} is being written already. Wait for it, or cancel it.").format(
                number=row.chapter_number))
        operation_id = _begin_operation(redrive, connection, novel, key, ItemAction.DRAFT, ProblemKind.DRIFTED, actor, note)
        draft_id = drafts.insert_draft(
            connection, row, actor_id=actor.actor_id, note=note.strip(), model=model or "", temperature=temperature,
            item_id=items.item_ids_of(connection, operation_id)[0], now=utc_now())
        return Regeneration(draft_id, operation_id)


def accept(redrive: Redrive, actor: Actor, draft_id: str, *, expected_version: str) -> Published:
    """Publish a draft in one transaction. `expected_version`: views.chapters.ChapterView.version that the editor saw.

    Raises NotAllowed, ChapterRefused, TextMovedOn.
    """
    require(actor, Permission.RETRY)
    with redrive.engine.begin() as connection:
        draft, row = _draft_and_row(connection, draft_id)
        if draft.state is not DraftState.READY:
            raise ChapterRefused(_("This draft cannot be accepted: it is {state}.").format(state=draft.state.value))
        drafts.decide(connection, draft_id, DraftState.ACCEPTED, "", utc_now())
        return _publish(connection, actor, row, draft, expected_version, "accept_draft")


def reject(redrive: Redrive, actor: Actor, draft_id: str, *, reason: str) -> None:
    """Raises NotAllowed, ReasonNeeded, ChapterRefused when it is decided already."""
    require(actor, Permission.RETRY)
    if not reason.strip():
        raise ReasonNeeded(_("Say why the draft is rejected."))
    with redrive.engine.begin() as connection:
        draft, _row = _draft_and_row(connection, draft_id)
        if draft.kind is not DraftKind.DRAFT or draft.state not in (DraftState.READY, DraftState.FAILED):
            raise ChapterRefused(_("This draft cannot be rejected: it is {state}.").format(state=draft.state.value))
        drafts.decide(connection, draft_id, DraftState.REJECTED, reason.strip(), utc_now())
        audit.record(connection, actor, action="reject_draft", scope=_scope(draft), reason=reason.strip(), result=draft_id)


def roll_back(redrive: Redrive, actor: Actor, chapter_id: str, draft_id: str, *, expected_version: str) -> Published:
    """Publish an earlier version again; `draft_id` is that of a version. Raises as accept."""
    require(actor, Permission.RETRY)
    with redrive.engine.begin() as connection:
        draft, row = _draft_and_row(connection, draft_id)
        if draft.kind is not DraftKind.VERSION or row.chapter_id != chapter_id:
            raise ChapterRefused(_("This is no earlier version of the chapter."))
        return _publish(connection, actor, row, draft, expected_version, "roll_back_chapter")


def _publish(
    connection: Connection, actor: Actor, row: ChapterRow, draft: Draft, expected_version: str, action: str,
) -> Published:
    if row.version != expected_version:
        raise TextMovedOn(_("The text of chapter {number} was changed in the meantime. Look at it again.").format(
            number=row.chapter_number))
    options: tuple[ChapterOption, ...] = draft.options
    is_kept = chapters.swap(connection, row, draft.title, draft.content, options, utc_now())
    audit.record(connection, actor, action=action, scope=_scope(draft), result=draft.draft_id)
    return Published(
        row.chapter_id, replace(row, title=draft.title, content=draft.content).version, is_kept,
        chapters.later_completed(connection, row.novel_id, row.chapter_number))


def _draft_and_row(connection: Connection, draft_id: str) -> tuple[Draft, ChapterRow]:
    found = drafts.find(connection, draft_id)
    if found is None:
        raise ChapterRefused(_("There is no such draft."))
    _locked(connection, found.novel_id)
    draft = drafts.find(connection, draft_id, is_locked=True) or found
    row = chapters.find_chapter(connection, draft.novel_id, draft.chapter_number)
    if row is None or row.status != ChapterStatus.COMPLETED:
        raise ChapterRefused(_("Chapter {number} is not published.").format(number=draft.chapter_number))
    return draft, row


def _published(connection: Connection, chapter_id: str) -> ChapterRow:
    row = chapters.chapter_by_id(connection, chapter_id)
    if row is None:
        raise ChapterRefused(_("There is no such chapter."))
    if row.status != ChapterStatus.COMPLETED:
        raise ChapterRefused(_("Chapter {number} is not completed: generate it instead.").format(number=row.chapter_number))
    return row


def _locked(connection: Connection, novel_id: str) -> LockedNovel:
    novel = chapters.lock_novel(connection, novel_id)
    if novel is None:
        raise ChapterRefused(_("There is no such novel."))
    return novel


def _begin_operation(
    redrive: Redrive, connection: Connection, novel: LockedNovel, key: ContentKey, action: ItemAction, problem_kind: ProblemKind,
    actor: Actor, reason: str = "",
) -> str:
    planned = PlannedItem(key, action, problem_kind, _("Chapter {number}").format(number=key.part), novel.title)
    return single.begin(redrive, connection, planned, actor, reason)


def _scope(draft: Draft) -> str:
    return str(ContentKey(ContentKind.CHAPTER, draft.novel_id, str(draft.chapter_number)))
