"""Covers as people see them: in which states a version of one is, and where its pictures are kept."""

import re
import secrets
from base64 import urlsafe_b64encode
from enum import StrEnum
from hashlib import sha256

PICTURES = "covers"  # folder of the object store
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


class CoverVersionState(StrEnum):
    GENERATING = "generating"  # written with its item
    READY = "ready"            # generating -> ready; an uploaded one is so at once
    FAILED = "failed"          # generating -> failed, or cancelled; ready -> failed: its picture is gone from the store


def new_picture_path() -> str:
    """A path that nobody can guess, for one picture."""
    return f"{PICTURES}/{secrets.token_urlsafe(24)}.webp"


def path_of_made(picture: bytes, made_for: str) -> str:
    """The path of a picture that was made for something: the same at each try to store it, and only who has both can tell it."""
    token = urlsafe_b64encode(sha256(made_for.encode() + b"/" + picture).digest()[:24]).decode()
    return f"{PICTURES}/{token}.webp"


def picture_path(token: str) -> str | None:
    """The path that belongs to a token of an address. None: it is no token."""
    return f"{PICTURES}/{token}.webp" if _TOKEN.fullmatch(token) else None


def token_of(url: str) -> str:
    """The token in the stored address of a picture. "": it is not one of ours."""
    folder, _slash, name = url.rpartition("/")
    token = name.removesuffix(".webp")
    return token if folder.rpartition("/")[2] == PICTURES and name.endswith(".webp") and _TOKEN.fullmatch(token) else ""
