"""Covers that are painted from the title alone, and which painters the settings ask for."""

import asyncio
import io
import subprocess
import sys

import pytest
from PIL import Image

from backend.content.checks import check
from backend.content.cover_art import fitted, paint_cover
from backend.content.cover_patterns import PALETTES
from backend.content.errors import ErrorKind, ItemError
from backend.content.written import CoverBrief, Spent
from backend.settings import Settings
from workers.generators.painters.choose import choose_painter
from workers.generators.painters.model import ModelPainter
from workers.generators.painters.unsplash import UnsplashPainter

NOBODY = {"openai_api_key": None, "openai_base_url": None, "image_model": None, "unsplash_access_key": None, "painters": "",
          "offline_delay_seconds": 0, "offline_faults": ""}


def settings_of(**changes):
    return Settings(**(NOBODY | changes))


def painted(title, roadmap_id="r1", language="en", **brief):
    return paint_cover(CoverBrief(roadmap_id, title, language, ("Basics", "基础"), **brief))


@pytest.mark.parametrize("title", ["Tides", "潮汐与月亮" * 12, "A very long title " * 20, "W" * 300, "", "🙂", "\ud800", "a\nb\tc"])
def test_every_title_becomes_two_pictures_of_the_right_size(title):
    cover = painted(title)

    check(cover.model_copy(update={"alt_text": "told of elsewhere"}))
    sizes = [Image.open(io.BytesIO(picture)).size for picture in (cover.large, cover.thumbnail)]
    assert sizes == [(1200, 630), (400, 210)]
    assert {Image.open(io.BytesIO(cover.large)).format} == {"WEBP"}


def test_the_same_roadmap_has_the_same_cover_and_another_one_another():
    assert painted("Tides") == painted("Tides")
    assert painted("Tides").large != painted("Tides", roadmap_id="r2").large
    assert painted("Tides").large != painted("Tides", note="warmer").large


def test_the_same_roadmap_has_the_same_cover_in_another_process():
    told = ("import hashlib; from backend.content.cover_art import paint_cover; from backend.content.written import CoverBrief;"
            "print(hashlib.sha256(paint_cover(CoverBrief('r1', 'Tides', 'en', ('Basics', '基础'))).large).hexdigest())")

    found = {subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout for _number in range(2)}

    assert len(found) == 1


def test_a_painted_cover_is_marked_as_a_sample_in_the_words_of_its_language():
    box = (84, 48, 260, 92)  # where the mark stands
    english, chinese = (
        Image.open(io.BytesIO(painted("Tides", language=name).large)).convert("RGB").crop(box) for name in ("en", "zh"))

    assert english.tobytes() != chinese.tobytes()
    assert all(max(high - low for low, high in mark.getextrema()) > 100 for mark in (english, chinese))
    assert "Sample" in painted("Tides").alt_text


def test_a_word_is_broken_only_when_the_smallest_letters_do_not_hold_it():
    assert fitted("Internationalization", "serif")[1] == ["Internationalization"]
    assert len(fitted("W" * 60, "sans")[1]) > 1
    assert fitted("机器学习", "serif") == (92, ["机器学习"])
    assert not any(line[0] in "，。：" for line in fitted("微服务架构从入门到精通：设计、部署、监控与持续交付", "sans")[1])


@pytest.mark.parametrize("palette", PALETTES)
def test_words_can_be_read_on_every_palette(palette):
    assert contrast(palette.ink, palette.ground) >= 7
    assert contrast(palette.quiet, palette.ground) >= 4.5


def contrast(one, other):
    """By WCAG 2."""
    def luminance(colour):
        parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_offline_painter_fails_as_it_is_told_and_counts_its_call():
    spent = Spent()
    painter = choose_painter(settings_of(offline_faults="rate_limited:1"))

    with pytest.raises(ItemError) as caught:
        asyncio.run(painter.paint(CoverBrief("r1", "Tides", "en"), spent))

    assert (caught.value.kind, spent.calls) == (ErrorKind.MODEL_RATE_LIMITED, 1)


@pytest.mark.parametrize(("changes", "name"), [
    ({}, "offline"), ({"unsplash_access_key": "k"}, "unsplash"), ({"openai_api_key": "k", "unsplash_access_key": "k"}, "unsplash"),
    ({"openai_api_key": "k", "image_model": "m"}, "m"), ({"openai_api_key": "k"}, "offline"),
    ({"openai_api_key": "k", "image_model": "m", "painters": "offline"}, "offline"),
    ({"unsplash_access_key": "k", "painters": " Unsplash , offline"}, "unsplash")])
def test_who_paints_follows_from_the_settings(changes, name):
    async def asked():
        painter = choose_painter(settings_of(**changes))
        await painter.close()
        return painter.name, painter.is_sample

    assert asyncio.run(asked()) == (name, name == "offline")


@pytest.mark.parametrize(("changes", "setting"), [
    ({"painters": "picasso"}, "picasso; known are model, unsplash, offline"), ({"painters": "model"}, "REDRIVE_IMAGE_MODEL"),
    ({"painters": "unsplash"}, "UNSPLASH_ACCESS_KEY"), ({"image_model": "m"}, "OPENAI_API_KEY"),
    ({"unsplash_access_key": "k", "unsplash_base_url": "ftp://x"}, "REDRIVE_UNSPLASH_BASE_URL"),
    ({"unsplash_access_key": "a\nb"}, "UNSPLASH_ACCESS_KEY")])
def test_a_setting_that_cannot_be_used_is_named(changes, setting):
    with pytest.raises(ValueError, match=setting):
        choose_painter(settings_of(**changes))


def test_every_painter_says_what_it_is():
    assert not ModelPainter.is_sample
    assert not UnsplashPainter.is_sample
