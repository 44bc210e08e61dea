"""Making text that others wrote harmless: nothing of it is fetched, run, or read as markup it was not meant to be."""

import html
import re

ZERO_WIDTH = "\u200b"
SHOWN_CHARACTERS = 30_000  # of one saved text
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")
_ADDRESS = re.compile(r"\\:(?=//)|\bwww(?=\\\.)", re.IGNORECASE)  # in text whose markup is escaped
_FENCE = re.compile(r"(`{3,}|~{3,})([^\n]*)")


def plain(text: str) -> str:
    """The text for a place that reads Markdown (labels, captions): it is shown letter by letter, on one line.

    No address in it becomes a link: they are looked for after all escapes are gone, so an invisible character parts them.
    """
    return _ADDRESS.sub(rf"\g<0>{ZERO_WIDTH}", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def escaped(text: str) -> str:
    """The text for st.html."""
    return html.escape(text, quote=True)


def safe_markdown(text: str) -> str:
    """Markdown that the browser fetches nothing for.

    An image needs `![`, so none is left: an invisible character stands between the two, which also keeps `vec![1]`
    in code as it was. A mermaid diagram may name images too: its fence loses its language, and so does every fence
    whose language is written with escapes.
    """
    shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "\n\n…"
    shown = shown.replace("![", f"!{ZERO_WIDTH}[")
    return _FENCE.sub(lambda found: found[1] + _safe_language(found[2]), shown)


def _safe_language(words: str) -> str:
    is_suspect = "mermaid" in words.lower() or "&" in words or "\\" in words
    return "" if is_suspect else words


def web_address(url: object) -> str:
    """The URL when it is plain http or https, else ""."""
    return url if isinstance(url, str) and re.match(r"https?://[^\s<>\"']+$", url) else ""
