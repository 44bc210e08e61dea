"""Whether bytes from outside are a picture that can be a cover, and the cover made of them. No I/O.

The bytes are hostile until shown otherwise: format, bytes and pixels are looked at before anything is decoded.
"""

import io
import warnings

from PIL import Image, ImageOps, WebPImagePlugin  # noqa: F401  WebP by name, see below

from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Cover
from backend.i18n import _

LARGE_PIXELS = (1200, 630)
THUMBNAIL_PIXELS = (400, 210)
LEAST_PIXELS = (600, 315)     # half of the large size: below it, a cover is visibly blurred
MOST_PIXELS = 25_000_000      # decoded, that is 100 MB
MOST_BYTES = 20 * 1024 * 1024
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

# Method 0 takes 33 ms for 1200 x 630 full of detail; the usual 4 takes 91 ms, and its file is 7 % smaller: not worth a core.
_LARGE_WEBP = {"quality": 82, "method": 0}
_THUMBNAIL_WEBP = {"quality": 78, "method": 1}
_ORIENTATION = 0x0112  # in EXIF
_BACKGROUND = "white"  # behind what is transparent

# The other formats. Pillow would do so at the first picture, and import all its 40 plugins (90 ms) to write the first WebP: each
# work-horse for itself, had its worker not done it before.
Image.preinit()


def make_cover(content: bytes, *, alt_text: str, attribution: str = "", attribution_url: str = "") -> Cover:
    """The cover that a picture becomes: upright, cropped around its middle, without metadata, in two sizes.

    Takes about 60 ms of CPU: callers with an event loop use a thread. Raises ItemError.
    """
    picture = _decode(content)
    large = _cropped(picture)
    return cover_of(large, alt_text=alt_text, attribution=attribution, attribution_url=attribution_url)


def cover_of(large: Image.Image, *, alt_text: str, attribution: str = "", attribution_url: str = "") -> Cover:
    """The cover of a picture that has its large size already."""
    return Cover(
        large=_webp(large, _LARGE_WEBP), thumbnail=_thumbnail(large), alt_text=alt_text, attribution=attribution,
        attribution_url=attribution_url)


def thumbnail_of(large: bytes) -> bytes:
    """The thumbnail of a cover in its large size. Raises ItemError when that cannot be read any more."""
    picture = _decode(large)
    return _thumbnail(picture if picture.size == LARGE_PIXELS else _cropped(picture))


def _thumbnail(large: Image.Image) -> bytes:
    return _webp(large.reduce(LARGE_PIXELS[0] // THUMBNAIL_PIXELS[0]), _THUMBNAIL_WEBP)  # exactly a third: the mean of nine pixels


def check_bytes(count: int) -> None:
    """Raises ItemError when a picture of so many bytes is not taken."""
    if count > MOST_BYTES:
        raise ItemError(ErrorKind.CONTENT_PICTURE_SIZE, _("The picture has more than {most} MB.").format(most=MOST_BYTES // 1024 ** 2))


def _decode(content: bytes) -> Image.Image:
    if not content:
        raise ItemError(ErrorKind.CONTENT_NO_PICTURE, _("The picture is empty: it has no bytes."))
    check_bytes(len(content))
    _verify(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is thrown away anyway
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.format == "JPEG":  # decodes at a half or a quarter where that is enough
                is_turned = picture.getexif().get(_ORIENTATION, 1) >= 5  # stored lying on its side
                picture.draft("RGB", LARGE_PIXELS[::-1] if is_turned else LARGE_PIXELS)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            picture = _middle(picture)  # in its place: what is cropped away is freed before it is made RGB
            return _flat(picture)
    except Exception as exc:  # a decoder raises what it likes on hostile bytes: SyntaxError, struct.error, IndexError
        raise _broken(exc) from exc


def _verify(content: bytes) -> None:
    """Format and size as the header tells them, then the check sums; nothing is decoded yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the warning of bombs: the limit below is stricter
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                width, height = picture.size
                _check_pixels(width, height)
                picture.verify()
    except ItemError:
        raise
    except Image.DecompressionBombError as exc:
        raise ItemError(ErrorKind.CONTENT_PICTURE_SIZE, _("The picture has far too many pixels.")) from exc
    except Image.UnidentifiedImageError as exc:
        raise ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, _("This is no PNG, JPEG, WebP or GIF picture.")) from exc
    except Exception as exc:  # see above
        raise _broken(exc) from exc


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ItemError(ErrorKind.CONTENT_PICTURE_SIZE, _(
            "The picture has {width} x {height} pixels, more than {most} million.").format(
                width=width, height=height, most=MOST_PIXELS // 1_000_000))
    if max(width, height) < LEAST_PIXELS[0] or min(width, height) < LEAST_PIXELS[1]:
        raise ItemError(ErrorKind.CONTENT_PICTURE_SIZE, _(
            "The picture has {width} x {height} pixels; a cover needs at least {least_width} x {least_height}.").format(
                width=width, height=height, least_width=LEAST_PIXELS[0], least_height=LEAST_PIXELS[1]))


def _broken(exc: Exception) -> ItemError:
    return ItemError(ErrorKind.CONTENT_NOT_A_PICTURE, _("The picture is broken: {reason}").format(
        reason=(str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]))


def _middle(picture: Image.Image) -> Image.Image:
    """What a cover shows of it, in whole pixels; a picture that is RGB already stays as it is, since shrinking it copies nothing."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    return picture.crop(tuple(map(round, _box(picture))))


def _box(picture: Image.Image) -> tuple[float, float, float, float]:
    """The middle of it, in the shape of a cover."""
    ratio = _ratio(picture)
    width, height = LARGE_PIXELS[0] * ratio, LARGE_PIXELS[1] * ratio
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return left, top, left + width, top + height


def _ratio(picture: Image.Image) -> float:
    return min(picture.width / LARGE_PIXELS[0], picture.height / LARGE_PIXELS[1])


def _cropped(picture: Image.Image) -> Image.Image:
    """The middle of it, in the shape and size of a large cover."""
    # Hamming is as sharp as bicubic where a picture is shrunk, and takes half the time; where it grows it would show its pixels.
    method = Image.Resampling.HAMMING if _ratio(picture) >= 1 else Image.Resampling.BICUBIC
    return picture.resize(LARGE_PIXELS, method, box=_box(picture), reducing_gap=2.0)


def _flat(picture: Image.Image) -> Image.Image:
    """In RGB, what is transparent on a plain ground; without metadata."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, _BACKGROUND)
        ground.paste(picture, mask=picture.getchannel("A"))
        return ground
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _webp(picture: Image.Image, options: dict[str, int]) -> bytes:
    # exif and icc_profile would otherwise come along from picture.info
    stored = io.BytesIO()
    picture.save(stored, "WEBP", exif=b"", xmp=b"", icc_profile=b"", **options)
    return stored.getvalue()
