"""What stands behind the title of a painted cover: shapes out of the colours of a palette. Pure: the same chance, the same picture.

Drawn at twice the size and shrunk: Pillow draws no smooth edges.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

Colour = str
SCALE = 2


@dataclass(frozen=True, slots=True)
class Palette:
    ground: Colour
    ink: Colour      # of the title: at least 7:1 on the ground
    quiet: Colour    # of the small words: at least 4.5:1 on the ground
    shapes: tuple[Colour, Colour, Colour, Colour]


PALETTES = (
    Palette("#f6f1e7", "#1f2a37", "#5b6470", ("#d9573f", "#e9a23b", "#2f6f73", "#1f2a37")),  # paper, brick, teal
    Palette("#12233a", "#f7f3ea", "#b9c6d6", ("#f2b950", "#e4674f", "#3f7cac", "#95c7c3")),  # night, amber
    Palette("#eaf0ea", "#18352c", "#4c6459", ("#2f7d5b", "#9bc53d", "#e3b23c", "#18352c")),  # sage
    Palette("#231c35", "#f6effa", "#c3b6d6", ("#8f6fd8", "#f08a8a", "#f4c95d", "#4b3f72")),  # plum
    Palette("#f3ece9", "#3a1d2b", "#755a64", ("#b23a5e", "#e8a598", "#564d80", "#e0b04a")),  # rose
    Palette("#0f2f2e", "#f2f7f2", "#a9c7c0", ("#e9c46a", "#2a9d8f", "#f4a261", "#7fb7a6")),  # deep teal
    Palette("#e9f0f7", "#12304f", "#4d647d", ("#1f6fb2", "#f26b4e", "#7db4dc", "#12304f")),  # sky
    Palette("#2b1a17", "#fbf1e6", "#d8bca8", ("#e76f3c", "#f3b562", "#a63d2f", "#7d6b5d")),  # umber
)


def hills(ink: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, chance: random.Random) -> None:
    """A disc above ranges of hills."""
    width, height = size
    radius = height * chance.uniform(0.15, 0.2)
    x, y = width * chance.uniform(0.74, 0.86), height * chance.uniform(0.28, 0.4)
    _disc(ink, x, y, radius, palette.shapes[1])
    for order, colour in enumerate((palette.shapes[3], palette.shapes[2], palette.shapes[0])):
        base = height * (0.93 + 0.05 * order)
        waves = [(height * chance.uniform(0.03, 0.085) / number, chance.uniform(1.0, 2.4) * number, chance.uniform(0, math.tau))
                 for number in (1, 2, 3)]
        high = height * (0.44 - 0.09 * order)
        line = [(at, base - _rise(at / width) * (high - _swell(at / width, waves))) for at in range(0, width + 8, 8)]
        ink.polygon([(0, height), *line, (width, height)], fill=colour)


def rings(ink: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, chance: random.Random) -> None:
    """Rings around a point at the right edge, some of them open."""
    width, height = size
    x, y = width * chance.uniform(0.92, 1.0), height * chance.uniform(0.35, 0.65)
    band = height * 0.08
    for number in range(4, 0, -1):
        radius = band * (1.65 * number)
        start = chance.uniform(0, 360)
        colour = palette.shapes[(number + chance.randrange(2)) % 4]
        box = (x - radius, y - radius, x + radius, y + radius)
        ink.arc(box, start, start + chance.uniform(200, 345), fill=colour, width=round(band * 0.8))
    _disc(ink, x, y, band * 0.75, palette.shapes[1])


def tiles(ink: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, chance: random.Random) -> None:
    """Quarter and half discs on a grid that fills the right side."""
    width, height = size
    side = height / 5
    for column in range(3):
        for row in range(5):
            left, top = width - (column + 1) * side, row * side
            ground, colour = chance.sample(palette.shapes, 2)
            if column == 2 and chance.random() < 0.45:
                continue
            _tile(ink, (left, top, side), (ground, colour), chance)


def path(ink: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, chance: random.Random) -> None:
    """A road of stations that winds up the right side: what a roadmap is."""
    width, height = size
    stations = [(width * (0.79 + 0.11 * math.sin(number * 1.9 + chance.uniform(-0.4, 0.4) + 0.8)), height * (1.06 - number * 0.186))
                for number in range(7)]
    line = [_between(stations, at / 40) for at in range(40 * (len(stations) - 1) + 1)]
    for thick, colour in ((0.085, palette.shapes[2]), (0.012, palette.ground)):
        for point in line:
            _disc(ink, *point, height * thick / 2, colour)
    for number, (x, y) in enumerate(stations[1:-1]):
        _disc(ink, x, y, height * 0.066, palette.ground)
        _disc(ink, x, y, height * 0.05, palette.shapes[(0, 1, 0, 3, 1)[number]])
        _disc(ink, x, y, height * 0.018, palette.ground)


def leaves(ink: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, chance: random.Random) -> None:
    """Large leaves that lean on each other from below."""
    width, height = size
    for number in range(5):
        root = width * (0.745 + 0.07 * number)
        reach = height * (chance.uniform(0.62, 0.9) if number else chance.uniform(0.5, 0.62))
        lean = math.radians(chance.uniform(-10, 12) + (number - 2) * 5)
        _leaf(ink, (root, height * 1.03), reach, lean, palette.shapes[number % 4], palette.ground)


PATTERNS: tuple[Callable[[ImageDraw.ImageDraw, tuple[int, int], Palette, random.Random], None], ...] = (hills, rings, tiles, path, leaves)


def background(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    """A pattern on the ground of the palette; the left two thirds stay calm enough for words."""
    drawn = (size[0] * SCALE, size[1] * SCALE)
    picture = Image.new("RGB", drawn, palette.ground)
    chance.choice(PATTERNS)(ImageDraw.Draw(picture), drawn, palette, chance)
    return picture.reduce(SCALE)


def _disc(ink: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    ink.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _swell(at: float, waves: Sequence[tuple[float, float, float]]) -> float:
    """Waves of (height, how often, shift), added up."""
    return sum(high * math.sin(at * often * math.tau / 1.6 + shift) for high, often, shift in waves)


def _rise(at: float) -> float:
    """How much higher the hills are towards the right: the words stand on the left."""
    return 0.08 + max(0.0, at - 0.25) ** 1.6 * 1.5


def _tile(
    ink: ImageDraw.ImageDraw, place: tuple[float, float, float], colours: tuple[Colour, Colour], chance: random.Random,
) -> None:
    left, top, side = place
    ink.rectangle((left, top, left + side, top + side), fill=colours[0])
    across, down = chance.choice(((0, 0), (1, 0), (0, 1), (1, 1)))
    match chance.randrange(4):
        case 0 | 1:  # a quarter of a disc around a corner; what stands over is not drawn
            x, y = left + across * side, top + down * side
            start = {(0, 0): 0, (1, 0): 90, (1, 1): 180, (0, 1): 270}[across, down]
            ink.pieslice((x - side, y - side, x + side, y + side), start, start + 90, fill=colours[1])
        case 2:
            _disc(ink, left + side / 2, top + side / 2, side * 0.3, colours[1])
        case _:
            corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
            del corners[2 * down + across]
            ink.polygon(corners, fill=colours[1])


def _between(stations: list[tuple[float, float]], at: float) -> tuple[float, float]:
    """A point of the smooth line through the stations (Catmull-Rom)."""
    number = min(int(at), len(stations) - 2)
    part = at - number
    points = [stations[min(max(number + step, 0), len(stations) - 1)] for step in (-1, 0, 1, 2)]
    return tuple(
        0.5 * (2 * b + (c - a) * part + (2 * a - 5 * b + 4 * c - d) * part ** 2 + (3 * b - a - 3 * c + d) * part ** 3)
        for a, b, c, d in zip(*points, strict=True))


def _leaf(
    ink: ImageDraw.ImageDraw, root: tuple[float, float], reach: float, lean: float, colour: Colour, vein: Colour,
) -> None:
    def at(along: float, aside: float) -> tuple[float, float]:
        x, y = aside * reach, -along * reach
        return (root[0] + x * math.cos(lean) - y * math.sin(lean), root[1] + x * math.sin(lean) + y * math.cos(lean))

    steps = [number / 30 for number in range(31)]
    side = [(step, 0.17 * math.sin(math.pi * step) ** 0.8) for step in steps]
    ink.polygon([*(at(along, aside) for along, aside in side), *(at(along, -aside) for along, aside in reversed(side))], fill=colour)
    ink.line([at(0, 0), at(0.93, 0)], fill=vein, width=max(1, round(reach * 0.008)))
