"""A cover painted from the words of a roadmap alone: title, topics, a pattern, and the mark of a sample. The same words, the same bytes.

Reads its fonts (a pinned package with Latin and Chinese letters) and nothing else.
"""

import hashlib
import random
import re
from functools import cache
from typing import Literal

import pylopdf_fonts_zh_cn
from PIL import Image, ImageDraw, ImageFont

from backend.content.cover_patterns import PALETTES, Palette, background
from backend.content.pictures import LARGE_PIXELS, cover_of
from backend.content.written import Cover, CoverBrief
from backend.i18n import _

_LEFT = 84
_WIDEST = 660          # of the title: the pattern stands to the right of it
_TITLE_HEIGHT = 350
_TITLE_SIZES = (92, 80, 70, 60, 52, 44)
_LEADING = 1.22
_MARKS = {"en": "SAMPLE", "zh": "示例"}
_LONGEST_TITLE = 160   # characters: more do not fit in the smallest letters
# A line of Chinese may break between any two characters, but does not begin with these.
_NEVER_FIRST = "，。、；：？！）》」』”’…—·%,.;:?!)]}"
_PIECES = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+|\s+")

Face = Literal["sans", "serif"]


def paint_cover(brief: CoverBrief) -> Cover:
    """The cover in both sizes. It takes about 0.1 s of CPU."""
    title = " ".join(brief.roadmap_title.split())[:_LONGEST_TITLE] or brief.roadmap_id
    return cover_of(_painted(brief, title), alt_text=_("Sample cover with the title {title}").format(title=title))


def _painted(brief: CoverBrief, title: str) -> Image.Image:
    seed = hashlib.sha256(f"{brief.roadmap_id}\n{brief.note}".encode("utf-8", "replace")).digest()
    chance = random.Random(seed)
    palette = chance.choice(PALETTES)
    face: Face = chance.choice(("serif", "sans"))
    picture = background(LARGE_PIXELS, palette, chance)
    ink = ImageDraw.Draw(picture)
    _write_mark(ink, palette, _MARKS.get(brief.language, _MARKS["en"]))
    size, lines = fitted(title, face)
    top = 118
    for number, line in enumerate(lines):
        # The package has regular weights only; an outline in the same colour makes a title of them.
        ink.text((_LEFT, top + number * size * _LEADING), line, font=_font(face, size), fill=palette.ink, stroke_width=size / 70,
                 stroke_fill=palette.ink)
    below = top + len(lines) * size * _LEADING + 34
    ink.rectangle((_LEFT, below, _LEFT + 72, below + 6), fill=palette.shapes[0])
    _write_topics(ink, palette, brief.topics, below + 28)
    return picture


def fitted(title: str, face: Face) -> tuple[int, list[str]]:
    """The largest letters in which the title fits; what is too long even then ends in dots."""
    lines: list[str] = []
    size, most = _TITLE_SIZES[-1], 1
    for size in _TITLE_SIZES:
        lines = _broken(title, _font(face, size), _WIDEST)
        most = int(_TITLE_HEIGHT / (size * _LEADING))
        if len(lines) <= min(most, 4) and not _is_word_broken(title, size, face):
            return size, lines
    return size, lines if len(lines) <= most else [*lines[:most - 1], lines[most - 1][:-1].rstrip() + "…"]


def _is_word_broken(title: str, size: int, face: Face) -> bool:
    """A word does not fit into a line: smaller letters come first, and only the smallest break it."""
    return size > _TITLE_SIZES[-1] and max(_font(face, size).getlength(piece) for piece in _PIECES.findall(title)) > _WIDEST


def _broken(words: str, font: ImageFont.FreeTypeFont, widest: float) -> list[str]:
    """In lines: between words, between Chinese characters, and within a word that is longer than a line."""
    lines = [""]
    for piece in _PIECES.findall(words):
        if font.getlength((lines[-1] + piece).rstrip()) <= widest or (piece in _NEVER_FIRST and lines[-1]):
            lines[-1] += piece
            continue
        lines.append("")
        for character in piece:
            if lines[-1] and font.getlength(lines[-1] + character) > widest:
                lines.append("")
            lines[-1] += character
    return [line.strip() for line in lines if line.strip()]


def _write_topics(ink: ImageDraw.ImageDraw, palette: Palette, topics: tuple[str, ...], top: float) -> None:
    """As many as fit into two lines, for readers who look closer."""
    font = _font("sans", 25)
    for topic in topics[:2]:
        line = " ".join(topic.split())
        while line and font.getlength(line) > 560:
            line = line[:-2].rstrip() + "…"
        ink.text((_LEFT, top), line, font=font, fill=palette.quiet)
        top += 38


def _write_mark(ink: ImageDraw.ImageDraw, palette: Palette, mark: str) -> None:
    font = _font("sans", 30)
    width = font.getlength(mark)
    box = (_LEFT, 48, _LEFT + width + 40, 92)
    ink.rounded_rectangle(box, radius=22, fill=palette.ink)
    ink.text(((box[0] + box[2]) / 2, 70), mark, font=font, fill=palette.ground, anchor="mm")


@cache
def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    path = pylopdf_fonts_zh_cn.serif_path() if face == "serif" else pylopdf_fonts_zh_cn.sans_path()
    return ImageFont.truetype(str(path), size)
