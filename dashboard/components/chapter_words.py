"""How chapters, drafts and tries look and what is said of them."""

from urllib.parse import quote

from backend.content.chapters import Draft, DraftKind, DraftState, StripState
from backend.content.wording import ITEM_STATES
from backend.i18n import _, ngettext
from backend.views.chapters import TryRow
from dashboard.durations import age
from dashboard.palette import AMBER, BLUE, GREEN, GREY, PINK, PURPLE, RED, Look
from dashboard.untrusted import escaped

CHAPTER_STATES = {
    StripState.COMPLETED: Look(GREEN, "✓", _("Completed")),
    StripState.GENERATING: Look(BLUE, "▸", _("Being written")),
    StripState.FAILED: Look(RED, "✕", _("Failed")),
    StripState.MISSING: Look(AMBER, "○", _("Missing")),
    StripState.STALE: Look(PURPLE, "◔", _("Stale")),
    StripState.INVALID: Look(PINK, "!", _("Invalid")),
}
DRAFT_STATES = {
    DraftState.GENERATING: Look(BLUE, "▸", _("Being written")),
    DraftState.READY: Look(GREEN, "✓", _("Ready")),
    DraftState.FAILED: Look(RED, "✕", _("Failed")),
    DraftState.ACCEPTED: Look(GREEN, "★", _("Accepted")),
    DraftState.REJECTED: Look(GREY, "⊘", _("Rejected")),
    DraftState.ARCHIVED: Look(GREY, "·", _("Earlier version")),
}
LANGUAGES = {"en": _("English"), "zh": _("Chinese")}


def chapter_address(novel_id: str, chapter_number: int | str = "") -> str:
    """Of the page of a chapter, for links outside of Streamlit's own; without a number all chapters of the novel are to choose from."""
    number = f"&number={quote(str(chapter_number))}" if chapter_number else ""
    return f"/chapter?novel={quote(novel_id)}{number}"


def characters(text: str) -> str:
    """Without blanks: "1,234 characters"."""
    count = len("".join(text.split()))
    return ngettext("{count} character", "{count} characters", count).format(count=f"{count:,}")


def draft_line(draft: Draft) -> str:
    """"1,234 characters, 3 min ago, by Ana, with another-model, at temperature 0.4, “darker”"."""
    words = [characters(draft.content) if draft.content else "", age(draft.settled_at or draft.created_at)]
    if draft.actor_id:
        words.append(_("by {person}").format(person=draft.actor_id))
    if draft.model:
        words.append(_("with {model}").format(model=draft.model))
    if draft.temperature is not None:
        words.append(_("at temperature {temperature:g}").format(temperature=draft.temperature))
    if draft.note:
        words.append(f"“{draft.note}”")
    return ", ".join(filter(None, words))


def draft_name(draft: Draft) -> str:
    """What it is, for a heading."""
    if draft.kind is DraftKind.VERSION:
        return _("Version that was published until {age}").format(age=age(draft.created_at))
    return _("Draft begun {age}").format(age=age(draft.created_at))


def try_line(found: TryRow) -> str:
    """"Failed, attempt 2, by a-model, 3 min ago"."""
    words = [ITEM_STATES[found.state], _("a draft") if found.is_draft else ""]
    if found.begun_attempts > 1:
        words.append(_("attempt {attempt}").format(attempt=found.begun_attempts))
    if found.generator:
        words.append(_("by {generator}").format(generator=found.generator))
    if found.settled_at or found.started_at:
        words.append(age(found.settled_at or found.started_at))
    return ", ".join(filter(None, words))


def language_attribute(language: str) -> str:
    """lang="zh" for the browser's fonts, line breaks and voices; "" for what is no language."""
    return f' lang="{escaped(language)}"' if language.isascii() and language.replace("-", "").isalnum() else ""
