"""Small pieces of HTML that several components share. Every text of others is escaped here; colour comes with a symbol."""

from collections.abc import Iterable

from backend.views.operations import ItemRow
from dashboard.palette import Look, item_look
from dashboard.untrusted import escaped


def toned(look: Look, words: str = "") -> str:
    """Symbol and word in the colour of a state."""
    return f'<span class="rd-tone" style="color:{look.colour}">{look.symbol} {escaped(words or look.word)}</span>'


def bar(parts: Iterable[tuple[Look, int]], total: int) -> str:
    """One bar of the counts, widths in per cent of the total."""
    spans = "".join(
        f'<span style="width:{100 * count / total:.2f}%;background:{look.colour}" title="{escaped(look.word)}: {count:,}"></span>'
        for look, count in parts if count and total)
    return f'<div class="rd-bar">{spans}</div>'


def legend(parts: Iterable[tuple[Look, int]]) -> str:
    return "".join(
        f'<span><span style="color:{look.colour};font-weight:700">{look.symbol}</span> {count:,} {escaped(look.word.lower())}</span>'
        for look, count in parts if count)


def table(rows: Iterable[Iterable[str]], heads: Iterable[str] = (), *, is_first_narrow: bool = False) -> str:
    """Cells are HTML already. `is_first_narrow`: the first column is as wide as its words, on one line."""
    head = "".join(f'<th scope="col">{escaped(word)}</th>' for word in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    narrow = " rd-narrow" if is_first_narrow else ""
    return (f'<table class="rd rd-small rd-table{narrow}">{f"<thead><tr>{head}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>')


def marks(rows: Iterable[ItemRow], describe) -> str:
    """One small mark for each item; the tooltip tells which and how it stands."""
    return '<div class="rd-marks" role="list">' + "".join(_mark(row, describe(row)) for row in rows) + "</div>"


def _mark(row: ItemRow, words: str) -> str:
    look = item_look(row)
    told = escaped(f"{words}: {look.word}")
    return (f'<span class="rd-mark" role="listitem" style="background:{look.colour}" title="{told}" '
            f'aria-label="{told}">{look.symbol}</span>')
