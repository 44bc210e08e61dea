"""Covers that are painted from the title alone."""

import asyncio
import io

import pytest
from PIL import Image

from backend.content.checks import check
from backend.content.written import Cover, CoverBrief, Spent
from backend.settings import Settings
from workers.generators.painters.choose import choose_painter


def painted(title: str, roadmap_id: str = "r1", **brief: object) -> Cover:
    painter = choose_painter(Settings(offline_delay_seconds=0))
    return asyncio.run(painter.paint(CoverBrief(roadmap_id, title, "en", ("Basics",), **brief), Spent())).content


@pytest.mark.parametrize("title", ["Tides", "潮汐与月亮" * 12, "A very long title " * 20, "W" * 300, "", "🙂"])
def test_every_title_becomes_two_pictures_of_the_right_size(title):
    cover = painted(title)

    check(cover)
    sizes = [Image.open(io.BytesIO(picture)).size for picture in (cover.large, cover.thumbnail)]
    assert sizes == [(1200, 630), (400, 210)]
    assert {Image.open(io.BytesIO(cover.large)).format} == {"WEBP"}


def test_the_same_roadmap_has_the_same_cover_and_another_one_another():
    assert painted("Tides") == painted("Tides")
    assert painted("Tides").large != painted("Tides", roadmap_id="r2").large
    assert painted("Tides").large != painted("Tides", note="warmer").large
