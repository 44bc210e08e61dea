"""What the buttons of the page of a chapter do."""

from backend.actions import chapters
from backend.content.chapters import Route
from backend.content.keys import ContentKey, ContentKind
from backend.content.scopes import Scope
from backend.content.stopping import CancelScope
from backend.i18n import _
from dashboard import address, callbacks, reads, session
from dashboard.clicks import action
from dashboard.components.permission import may_override
from dashboard.session import NoticeKind, StopAim

DRAFT = "draft"  # parameter of the URL: the draft or version that is compared
_BEGUN = {
    Route.NONE: _("Chapter {number} is being written."),
    Route.FAILED: _("Chapter {number} is being written again. What was there of the failed try is kept."),
    Route.GENERATING: _("Chapter {number} is being written already: you are watching it."),
}


@action
def generate(novel_id: str, chapter_number: int) -> None:
    """Begin or join the writing; however often it is clicked, it is written once. Who may override the limit of tries is asked."""
    try:
        found = chapters.generate(reads.connected(), reads.actor(), novel_id, chapter_number)
    except chapters.TriedTooOften:
        if not may_override():
            raise
        key = ContentKey(ContentKind.CHAPTER, novel_id, str(chapter_number))
        callbacks.plan_retry(Scope.of(key), _("chapter {number}").format(number=chapter_number))
        return
    finally:
        reads.forget_after_action()
    if found.is_refused:
        session.notify(NoticeKind.INFO, _("Chapter {number} is complete in the meantime.").format(number=chapter_number))
    else:
        session.notify(NoticeKind.DONE, _BEGUN[found.route].format(number=chapter_number))


def cancel(novel_id: str, chapter_number: int, novel_title: str) -> None:
    """Open the dialog that stops the writing of this chapter, and of nothing else of its operation."""
    key = ContentKey(ContentKind.CHAPTER, novel_id, str(chapter_number))
    words = _("Chapter {number} of {novel}").format(number=chapter_number, novel=novel_title)
    callbacks.ask_stop(StopAim(words, scope=CancelScope.of(key)))


def ask_regeneration(chapter_id: str) -> None:
    session.forget_notices()
    session.show_regeneration(chapter_id)


@action
def regenerate() -> None:
    """Write the chapter of the open dialog anew, as a draft beside the published text. It stays open when it is refused."""
    chapter_id = session.open_regeneration()
    if not chapter_id:
        return
    temperature = session.widget_value("regenerate_temperature") if session.widget_value("regenerate_own_temperature") else None
    try:
        chapters.regenerate(
            reads.connected(), reads.actor(), chapter_id, note=_field("regenerate_note"), model=_field("regenerate_model") or None,
            temperature=float(temperature) if isinstance(temperature, int | float) else None)
    finally:
        session.close_regeneration()
        reads.forget_after_action()
    address.forget([DRAFT])
    session.notify(NoticeKind.DONE, _("A draft is being written. What is published stays until you accept it."))


def _field(name: str) -> str:
    return str(session.widget_value(name) or "").strip()


@action
def accept(draft_id: str, expected_version: str) -> None:
    """Publish a draft, instead of exactly the text that the person compared it with."""
    try:
        published = chapters.accept(reads.connected(), reads.actor(), draft_id, expected_version=expected_version)
    finally:
        reads.forget_after_action()
    address.forget([DRAFT])
    _tell_published(published)


@action
def roll_back(chapter_id: str, draft_id: str, expected_version: str) -> None:
    """Publish an earlier version again."""
    try:
        published = chapters.roll_back(reads.connected(), reads.actor(), chapter_id, draft_id, expected_version=expected_version)
    finally:
        reads.forget_after_action()
    address.forget([DRAFT])
    _tell_published(published)


def _tell_published(published: chapters.Published) -> None:
    session.notify(NoticeKind.DONE, _("Published. The text before is kept: you can roll back to it."))
    if published.options_kept:
        session.notify(NoticeKind.INFO, _("Readers have chosen an option of this chapter already, so its options stayed as they were."))
    if published.later_chapters:
        session.notify(NoticeKind.INFO, _("Written for an older text from now on: {chapters}.").format(
            chapters=chapters_words(published.later_chapters)))


def chapters_words(numbers: tuple[int, ...]) -> str:
    """"chapters 4, 5 and 6"."""
    if len(numbers) == 1:
        return _("chapter {number}").format(number=numbers[0])
    return _("chapters {first} and {last}").format(first=", ".join(map(str, numbers[:-1])), last=numbers[-1])


@action
def reject(draft_id: str, reason_key: str) -> None:
    """With the reason in the field; without one it is refused."""
    reason = str(session.widget_value(reason_key) or "")
    try:
        chapters.reject(reads.connected(), reads.actor(), draft_id, reason=reason)
    finally:
        reads.forget_after_action()
    session.seed_widget(reason_key, "")
    address.forget([DRAFT])
    session.notify(NoticeKind.DONE, _("Rejected. What is published stays."))
