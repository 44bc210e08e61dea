"""Pictures of the loopback server: the images API of OpenAI, and the part of Unsplash that is used."""

import base64
import io
import json
from dataclasses import dataclass
from functools import cache

from PIL import Image

from tests.model_answers import Behaviour, Json

GENERATIONS = "/v1/images/generations"
SEARCH = "/search/photos"
PATHS = (SEARCH, "/pictures/", "/photos/")
FORTY_MB = 40 * 1024 ** 2
PRIVATE_URL = "http://127.0.0.2:9/secret.png"  # on this host, and nobody's endpoint
_URLS = {
    Behaviour.AT_URL: "{root}/pictures/good.png", Behaviour.AT_REDIRECT: "{root}/pictures/moved.png",
    Behaviour.AT_PRIVATE_URL: PRIVATE_URL, Behaviour.AT_PRIVATE_REDIRECT: "{root}/pictures/private.png",
    Behaviour.AT_HUGE_URL: "{root}/pictures/huge.png", Behaviour.AT_SLOW_URL: "{root}/pictures/slow.png",
    Behaviour.AT_FILE: "file:///etc/hostname",
}


@dataclass(frozen=True, slots=True)
class Reply:
    payload: bytes = b""
    content_type: str = "application/json"
    redirect: str = ""


@cache
def encoded(width: int = 1536, height: int = 1024, file_format: str = "PNG", colour: str = "teal") -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(kept, file_format)
    return kept.getvalue()


def painted(behaviour: Behaviour, *, root: str, file_format: str = "png") -> bytes:
    """The answer of images/generations."""
    if behaviour in _URLS:
        return _pictures({"url": _URLS[behaviour].format(root=root)})
    match behaviour:
        case Behaviour.NO_PICTURE:
            return _pictures()
        case Behaviour.GARBAGE:
            return b'{"data": ['
        case Behaviour.NOT_AN_IMAGE:
            content = b"<html>not a picture</html>"
        case Behaviour.FORTY_MB:
            content = bytes(FORTY_MB)
        case Behaviour.SMALL:
            content = encoded(64, 64)
        case Behaviour.TALL:
            content = encoded(1024, 1536)
        case _:
            content = encoded(file_format=file_format.upper())
    return _pictures({"b64_json": base64.b64encode(content).decode()})


def _pictures(*found: Json) -> bytes:
    details = {"image_tokens": 0, "text_tokens": 120}
    usage = {"input_tokens": 120, "input_tokens_details": details, "output_tokens": 1056, "total_tokens": 1176}
    return json.dumps({"created": 0, "data": list(found), "usage": usage}).encode()


def answer(path: str, behaviour: Behaviour, *, root: str) -> Reply:
    """What a GET under PATHS is answered with."""
    if path.startswith(SEARCH):
        if behaviour is Behaviour.WEB_PAGE:
            return Reply(b"<html>Welcome</html>", "text/html")
        return Reply(json.dumps({"total": 1, "results": [] if behaviour is Behaviour.NO_PICTURE else [_photo(behaviour, root)]}).encode())
    match path.partition("?")[0]:
        case "/pictures/moved.png":
            return Reply(redirect="/pictures/good.png")
        case "/pictures/private.png":
            return Reply(redirect=PRIVATE_URL)
        case "/pictures/huge.png":
            return Reply(bytes(FORTY_MB), "image/png")
        case "/pictures/not.jpg":
            return Reply(b"not a picture", "image/jpeg")
        case "/photos/loopback/download":
            return Reply(json.dumps({"url": f"{root}/pictures/good.png"}).encode())
        case _:
            return Reply(encoded(1800, 1200, "JPEG", "olive"), "image/jpeg")


def _photo(behaviour: Behaviour, root: str) -> Json:
    name = "not.jpg" if behaviour is Behaviour.NOT_AN_IMAGE else "photo.jpg"
    return {
        "id": "loopback", "alt_description": "Olive leaves in the sun", "urls": {"raw": f"{root}/pictures/{name}?ixid=1"},
        "user": {"name": "Ana Lupe", "links": {"html": "https://unsplash.com/@analupe"}},
        "links": {"html": "https://unsplash.com/photos/loopback", "download_location": f"{root}/photos/loopback/download?ixid=1"}}
