"""Chapters to read, as HTML of escaped text: nothing of a model's text is markup, fetched or run."""

from collections.abc import Iterable, Sequence

from backend.content.chapters import ChapterOption
from backend.content.comparing import Piece, PieceKind
from backend.i18n import _
from backend.views.chapters import Choice
from dashboard.components.chapter_words import language_attribute
from dashboard.untrusted import escaped

_TAGS = {PieceKind.ADDED: "ins", PieceKind.REMOVED: "del"}


def article(title: str, content: str, language: str, more: str = "") -> str:
    """The text as readers see it; `more` is HTML that follows."""
    heading = f'<h2 class="rd-chapter-title">{escaped(title)}</h2>' if title.strip() else ""
    return f'<article class="rd-read"{language_attribute(language)}>{heading}{paragraphs(content)}{more}</article>'


def paragraphs(content: str) -> str:
    return "".join(f"<p>{escaped(line.strip())}</p>" for line in content.splitlines() if line.strip())


def options(found: Sequence[ChapterOption], chosen: Iterable[int] = ()) -> str:
    """Ways to go on, with what follows from each; marked are those that readers chose."""
    if not found:
        return ""
    taken = set(chosen)
    told = "".join(_option(option, is_chosen=at in taken) for at, option in enumerate(found))
    return f'<div class="rd-options"><div class="rd-quiet rd-small">{escaped(_("How readers may go on"))}</div><ol>{told}</ol></div>'


def _option(option: ChapterOption, *, is_chosen: bool) -> str:
    mark = f' <span class="rd-tag">✓ {escaped(_("chosen"))}</span>' if is_chosen else ""
    impact = f'<div class="rd-impact">{escaped(option.impact)}</div>' if option.impact.strip() else ""
    return f'<li class="{"rd-chosen" if is_chosen else ""}">{escaped(option.text)}{mark}{impact}</li>'


def choice(found: Choice, language: str) -> str:
    """The readers' choice that led here."""
    told = _("Chosen at the end of chapter {number}").format(number=found.chapter_number)
    impact = f'<div class="rd-impact">{escaped(found.impact)}</div>' if found.impact.strip() else ""
    return (f'<div class="rd rd-choice"{language_attribute(language)}><div class="rd-quiet rd-small">{escaped(told)}</div>'
            f'<div class="rd-strong">{escaped(found.text)}</div>{impact}</div>')


def marked(pieces: Iterable[Piece], *, without: PieceKind | None = None) -> str:
    """Added and removed words marked, line breaks kept. `without` leaves one kind out: one side of a comparison."""
    told = []
    for piece in pieces:
        if piece.kind is not without:
            words, tag = escaped(piece.text), _TAGS.get(piece.kind)
            told.append(f"<{tag}>{words}</{tag}>" if tag else words)
    return "".join(told)
