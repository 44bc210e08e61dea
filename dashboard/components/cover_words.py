"""How the state of a cover looks and what is said of a picture."""

from backend.content.covers import CoverVersionState
from backend.content.problems import ProblemKind
from backend.i18n import _
from backend.views.covers import CoverCard, CoverState, Picture, ShownVersion
from dashboard.durations import age
from dashboard.palette import BLUE, GREEN, GREY, PROBLEM_KINDS, RED, Look
from dashboard.untrusted import escaped, web_address

COVER_STATES: dict[CoverState, Look] = {
    **{CoverState(kind.value): PROBLEM_KINDS[kind] for kind in ProblemKind},
    CoverState.MAKING: Look(BLUE, "▸", _("Being made")),
    CoverState.WAITING: Look(GREY, "·", _("Not due yet")),
    CoverState.SUCCESS: Look(GREEN, "✓", _("There")),
}
VERSION_STATES = {
    CoverVersionState.GENERATING: Look(BLUE, "▸", _("Being made")),
    CoverVersionState.READY: Look(GREEN, "✓", _("Ready")),
    CoverVersionState.FAILED: Look(RED, "✕", _("Failed")),
}
_MAKERS = {"platform": _("the platform"), "upload": _("an upload"), "offline": _("the offline painter"), "unsplash": _("Unsplash")}


def reason(card: CoverCard) -> str:
    """Why there is no good cover, in a sentence; "" when there is one."""
    match card.state:
        case CoverState.SUCCESS | CoverState.MAKING:
            return ""
        case CoverState.FAILED:
            return card.error_message or _("No error was recorded.")
        case CoverState.MISSING:
            return card.error_message or _("Nobody has made a cover for it.")
        case CoverState.WAITING:
            return _("It is new: it may still come by itself.")
        case CoverState.STALE:
            return _("Marked as being made, but nobody is working on it.")
        case _:
            return " ".join(filter(None, (card.detail, card.error_message)))


def maker(picture: Picture) -> str:
    """Who made it: "the offline painter", or the name of a model."""
    return _MAKERS.get(picture.generator, picture.generator)


def version_line(shown: ShownVersion) -> str:
    """"sample, the offline painter, 3 min ago, by Ana, “warmer”"."""
    version = shown.version
    made = maker(shown.picture) or _MAKERS.get(version.generator, version.generator)
    words = [_("sample") if version.is_sample else "", made, age(version.made_at or version.created_at)]
    if version.made_by:
        words.append(_("by {person}").format(person=version.made_by))
    if version.note:
        words.append(f"“{version.note}”")
    return ", ".join(filter(None, words))


def credit(picture: Picture) -> str:
    """Who is to be named, as HTML: a link where there is a plain address."""
    address = web_address(picture.attribution_url)
    name = escaped(picture.attribution)
    if not (name and address):
        return name
    return f'<a href="{escaped(address)}" target="_blank" rel="noopener noreferrer nofollow">{name}</a>'


def image(picture: Picture, words: str, *, is_large: bool = False) -> str:
    """The picture as HTML, or words in its place."""
    if not picture.large:
        if picture.kept_elsewhere:
            words = _("Kept by the platform, outside this store: {address}").format(address=picture.kept_elsewhere)
        return f'<div class="rd-cover rd-quiet rd-small"><span class="rd-wrap">{escaped(words)}</span></div>'
    source = picture.large if is_large else picture.thumbnail
    return (f'<div class="rd-cover"><img src="{escaped(source)}" alt="{escaped(picture.alt_text or words)}" loading="lazy" '
            f'width="1200" height="630" data-unseen="{escaped(_("The picture cannot be shown now."))}"></div>')
