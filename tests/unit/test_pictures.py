"""Bytes from outside that are to become covers: what is taken, what is refused, and what is made of them."""

import io
import struct
import zlib

import pytest
from PIL import Image

from backend.content import pictures
from backend.content.checks import check
from backend.content.errors import ErrorKind, ItemError
from backend.content.pictures import make_cover


def encoded(width=1300, height=800, file_format="PNG", mode="RGB", colour=None, **options):
    kept = io.BytesIO()
    Image.new(mode, (width, height), colour or ("navy" if mode != "L" else 80)).save(kept, file_format, **options)
    return kept.getvalue()


def opened(content):
    return Image.open(io.BytesIO(content))


def made(content):
    return make_cover(content, alt_text="A picture")


def error_of(content):
    with pytest.raises(ItemError) as caught:
        made(content)
    return caught.value


@pytest.mark.parametrize(("file_format", "mode"), [
    ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"),
    ("WEBP", "RGB"), ("WEBP", "RGBA"), ("GIF", "P")])
def test_every_format_that_is_taken_becomes_two_webp_pictures(file_format, mode):
    colour = {"RGBA": (0, 0, 128, 200), "CMYK": (90, 20, 0, 0), "P": 3, "I;16": 900}.get(mode)

    cover = made(encoded(file_format=file_format, mode=mode, colour=colour))

    check(cover)
    assert [(opened(content).format, opened(content).size) for content in (cover.large, cover.thumbnail)] == [
        ("WEBP", (1200, 630)), ("WEBP", (400, 210))]


def test_the_middle_is_kept_and_the_edges_are_cropped():
    picture = Image.new("RGB", (1200, 1230), "black")
    picture.paste("white", (0, 300, 1200, 930))
    kept = io.BytesIO()
    picture.save(kept, "PNG")

    large = opened(made(kept.getvalue()).large)

    assert [large.getpixel(at)[0] > 235 for at in ((4, 4), (600, 315), (1195, 625))] == [True, True, True]


def test_a_picture_is_turned_upright_and_its_metadata_is_gone():
    picture = Image.new("RGB", (1260, 2400), "white")  # lying on its side; upright its left half is black
    picture.paste("black", (0, 1200, 1260, 2400))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at 52.1, 4.3"
    kept = io.BytesIO()
    picture.save(kept, "JPEG", exif=exif)

    large = opened(made(kept.getvalue()).large)

    assert large.getpixel((40, 315))[0] < 40
    assert large.getpixel((1160, 315))[0] > 215
    assert not large.getexif()
    assert b"52.1" not in made(kept.getvalue()).large


def test_of_an_animation_the_first_frame_is_taken():
    kept = io.BytesIO()
    Image.new("RGB", (700, 400), "red").save(
        kept, "GIF", save_all=True, append_images=[Image.new("RGB", (700, 400), "blue")])

    large = opened(made(kept.getvalue()).large)

    assert large.n_frames == 1
    assert large.convert("RGB").getpixel((600, 315))[0] > 200


def test_what_is_transparent_stands_on_white():
    large = opened(made(encoded(mode="RGBA", colour=(0, 0, 0, 0))).large)

    assert min(large.convert("RGB").getpixel((600, 315))) > 245


@pytest.mark.parametrize("content", [
    b"<html>no picture</html>", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP", b"\xff\xd8\xff\xe0" + bytes(300),
    encoded(file_format="BMP"), encoded(file_format="TIFF"), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7"],
    ids=["html", "png-head", "gif-head", "webp-head", "jpeg-head", "bmp", "tiff", "svg", "pdf"])
def test_what_is_no_picture_of_these_formats_is_refused(content):
    assert error_of(content).kind is ErrorKind.CONTENT_NOT_A_PICTURE


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_half_of_a_picture_is_refused(file_format):
    noise = Image.effect_noise((700, 400), 90).convert("P" if file_format == "GIF" else "RGB")
    kept = io.BytesIO()
    noise.save(kept, file_format)
    content = kept.getvalue()

    assert error_of(content[: len(content) // 2]).kind is ErrorKind.CONTENT_NOT_A_PICTURE


def test_a_picture_with_a_wrong_check_sum_is_refused():
    content = bytearray(encoded())
    content[len(content) // 2] ^= 0xFF

    assert error_of(bytes(content)).kind is ErrorKind.CONTENT_NOT_A_PICTURE


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 64), (599, 400), (1200, 314), (314, 1200)])
def test_a_picture_that_is_too_small_is_refused_with_its_size(width, height):
    error = error_of(encoded(width, height))

    assert error.kind is ErrorKind.CONTENT_PICTURE_SIZE
    assert f"{width} x {height} pixels; a cover needs at least 600 x 315" in error.message


def test_no_bytes_and_too_many_bytes_are_refused():
    assert error_of(b"").kind is ErrorKind.CONTENT_NO_PICTURE
    assert error_of(bytes(pictures.MOST_BYTES + 1)).kind is ErrorKind.CONTENT_PICTURE_SIZE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("width", "height"), [(1200, 630), (601, 1999), (2999, 317), (1201, 631)])
def test_only_the_middle_of_what_is_not_plain_is_worked_up(mode, width, height, monkeypatch):
    worked_up = []
    flat = pictures._flat
    monkeypatch.setattr(pictures, "_flat", lambda picture: worked_up.append(picture.size) or flat(picture))
    picture = Image.new("RGBA", (width, height), "white").convert(mode)
    kept = io.BytesIO()
    picture.save(kept, "PNG")

    large = opened(made(kept.getvalue()).large).convert("RGB")

    ratio = min(width / 1200, height / 630)
    assert worked_up == [(pytest.approx(1200 * ratio, abs=1), pytest.approx(630 * ratio, abs=1))]
    assert min(low for low, _high in large.getextrema()) > 245  # no dark edge where it was cropped


@pytest.mark.parametrize(("width", "height"), [(5_001, 5_000), (50_001, 1_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_anything_is_decoded(width, height, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda _self: pytest.fail("it was decoded"))

    error = error_of(bomb(width, height))

    assert error.kind is ErrorKind.CONTENT_PICTURE_SIZE


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(5000))) + chunk(b"IEND", b"")
