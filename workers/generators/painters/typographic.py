"""Paints a cover from the title alone, without a model: the same for the same roadmap, in every process and on every day."""

import asyncio
import colorsys
import hashlib
import io
from functools import cache

import pylopdf_fonts_zh_cn
from PIL import Image, ImageDraw, ImageFont, ImageOps

from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.i18n import _
from backend.settings import Settings

LARGE, THUMBNAIL = (1200, 630), (400, 210)
_MARGIN = 90
_SPACING = 1.3
_HEIGHT = 400  # of the title; the topic stands below it


class TypographicPainter:
    name, is_sample = "offline", True

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.offline_delay_seconds

    async def paint(self, brief: CoverBrief, spent: Spent | None = None) -> Written[Cover]:
        if spent:
            spent.calls += 1
        await asyncio.sleep(self._seconds)
        return Written(await asyncio.to_thread(_cover, brief), self.name, self.is_sample)

    async def close(self) -> None:
        """Nothing is held."""


def _cover(brief: CoverBrief) -> Cover:
    picture = _painted(brief)
    return Cover(
        large=_webp(picture), thumbnail=_webp(picture.resize(THUMBNAIL, Image.Resampling.LANCZOS)),
        alt_text=_("Cover with the title {title}").format(title=brief.roadmap_title))


def _painted(brief: CoverBrief) -> Image.Image:
    seed = hashlib.sha256(f"{brief.roadmap_id}\n{brief.note}".encode()).digest()
    hue = seed[0] / 256
    dark, light = _colour(hue, 0.62, 0.28), _colour((hue + 0.09) % 1, 0.55, 0.55)
    picture = ImageOps.colorize(Image.linear_gradient("L").rotate(90).resize(LARGE), dark, light)
    ink = ImageDraw.Draw(picture, "RGBA")
    for at in range(3):  # circles, their places out of the seed
        radius = 140 + seed[3 * at + 1]
        x, y = 700 + 2 * seed[3 * at + 2], 2 * seed[3 * at + 3] + 60
        ink.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255, 22))
    size, lines = _fitted(brief.roadmap_title)
    top = (LARGE[1] - 90 - len(lines) * size * _SPACING) / 2
    for number, line in enumerate(lines):
        ink.text((_MARGIN, top + number * size * _SPACING), line, font=_font(size), fill="white")
    ink.rectangle((_MARGIN, LARGE[1] - 84, _MARGIN + 96, LARGE[1] - 78), fill=(255, 255, 255, 200))
    if brief.topics:
        ink.text((_MARGIN + 120, LARGE[1] - 98), brief.topics[0][:40], font=_font(26), fill=(255, 255, 255, 220))
    return picture


def _fitted(title: str) -> tuple[int, list[str]]:
    """The largest letters in which the title fits; what is too long even then ends in dots."""
    title = " ".join(title.split()) or "..."
    lines: list[str] = []
    for size in (92, 76, 62, 50):
        lines = _wrapped(title, _font(size))
        most = int(_HEIGHT / (size * _SPACING))
        if len(lines) <= most:
            return size, lines
    return size, [*lines[:most - 1], lines[most - 1][:-1] + "\u2026"]


def _wrapped(title: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Broken between words; a word that is too long for a line, and Chinese, between characters."""
    widest = LARGE[0] - 2 * _MARGIN
    lines, line = [], ""
    for word in title.replace(" ", " \x00").split("\x00"):
        if font.getlength((line + word).rstrip()) <= widest:
            line += word
            continue
        if font.getlength(word.rstrip()) <= widest:
            lines, line = [*lines, line], word
            continue
        for character in word:
            if font.getlength(line + character) > widest:
                lines, line = [*lines, line], ""
            line += character
    return [found.strip() for found in (*lines, line) if found.strip()]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(pylopdf_fonts_zh_cn.sans_path()), size)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _webp(picture: Image.Image) -> bytes:
    kept = io.BytesIO()
    picture.save(kept, "WEBP", quality=85, method=4)
    return kept.getvalue()
