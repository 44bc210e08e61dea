"""The object store: texts and spilled answers by path. file:// for one machine, s3:// for more; both through obstore."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from backend.content.errors import ErrorKind, ItemError
from backend.i18n import _

SPILLED = "spills"               # finished texts that wait to be saved
SET_ASIDE = "spills-set-aside"   # finished texts whose items ended otherwise

class BadStoreAddress(ValueError):
    """REDRIVE_OBJECT_STORE names nothing that can hold texts; str() says what to write."""


class StoreUnreachable(OSError):
    """The store does not answer, or does not let us in: whether the text is there, nobody can tell."""


class Objects:
    """Paths are relative to the root URL; a stored text is known by its full URL."""

    def __init__(self, root_url: str) -> None:
        """`root_url` is file:///folder or s3://bucket/prefix; credentials come from the environment.

        Raises BadStoreAddress when it is neither, or its folder cannot be made. A server is not asked yet.
        """
        try:
            self._store = _store_at(root_url)
        except (BaseError, OSError, ValueError) as exc:
            raise BadStoreAddress(_(
                "REDRIVE_OBJECT_STORE is {url}, which cannot be used: {reason}. Write file:///folder or s3://bucket/prefix").format(
                    url=root_url, reason=_first_line(exc))) from exc
        self.root_url = root_url.rstrip("/")
        self._is_local = isinstance(self._store, LocalStore)

    def put_text(self, path: str, text: str) -> str:
        """Store a text and give the URL it is found under. Raises ItemError when the store does not take it."""
        attributes = {} if self._is_local else {"attributes": {"Content-Type": "text/markdown; charset=utf-8"}}
        try:
            obstore.put(self._store, path, text.encode(), **attributes)
        except (BaseError, OSError) as exc:
            raise ItemError(ErrorKind.SAVE_STORE_GONE, _("The object store did not take the text: {error}").format(
                error=_first_line(exc))) from exc
        return f"{self.root_url}/{path}"

    def put_picture(self, path: str, picture: bytes) -> str:
        """Store a WebP picture, which never changes under this path, and give its URL. Raises ItemError when the store does not take it."""
        attributes = {} if self._is_local else {
            "attributes": {"Content-Type": "image/webp", "Cache-Control": "public, max-age=31536000, immutable"}}
        try:
            obstore.put(self._store, path, picture, **attributes)
        except (BaseError, OSError) as exc:
            raise ItemError(ErrorKind.SAVE_STORE_GONE, _("The object store did not take the picture: {error}").format(
                error=_first_line(exc))) from exc
        return f"{self.root_url}/{path}"

    def path_of(self, url: str) -> str:
        """The path of a URL of this store. Raises ValueError when it is of another."""
        if not url.startswith(self.root_url + "/"):
            raise ValueError(_("{url} is kept outside the object store of Redrive").format(url=url))
        return url.removeprefix(self.root_url + "/")

    def has(self, url: str) -> bool:
        """Is there an object under this URL? Raises StoreUnreachable when nobody can tell, ValueError when the URL is of another store."""
        path = self.path_of(url)
        try:
            with _asking():
                obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def get_text(self, url: str) -> str:
        """The text that is stored under a URL of this store.

        Raises FileNotFoundError when it is not there, StoreUnreachable when nobody can tell, ValueError when the URL is of
        another store.
        """
        path = self.path_of(url)
        try:
            stored = bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:  # obstore's own way to tell it, of a folder and of S3
            raise
        except (BaseError, OSError) as exc:
            raise StoreUnreachable(_("The object store does not give the text: {error}").format(error=_first_line(exc))) from exc
        return stored.decode("utf-8", "replace")

    def put(self, path: str, content: bytes) -> None:
        """Store bytes under a path. Raises StoreUnreachable when the store does not take them."""
        with _asking():
            obstore.put(self._store, path, content)

    def get(self, path: str) -> bytes:
        """What is stored under a path. Raises FileNotFoundError or StoreUnreachable."""
        with _asking():
            return bytes(obstore.get(self._store, path).bytes())

    def paths(self, prefix: str) -> list[str]:
        """Every path under a prefix, sorted. Raises StoreUnreachable."""
        with _asking():
            return sorted(found["path"] for batch in obstore.list(self._store, prefix=prefix) for found in batch)

    def move(self, path: str, to: str) -> None:
        """Raises FileNotFoundError or StoreUnreachable."""
        with _asking():
            obstore.rename(self._store, path, to)

    def delete(self, path: str) -> None:
        """Delete what is there, or nothing. Raises StoreUnreachable."""
        with _asking(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def delete_all(self, prefix: str) -> None:
        """Delete every object under a prefix."""
        for batch in obstore.list(self._store, prefix=prefix):
            paths = [found["path"] for found in batch]
            if paths:
                obstore.delete(self._store, paths)

    def check(self) -> None:
        """Write, read and delete a small object. Raises ItemError or an obstore error when one of them fails."""
        path = "check/redrive.txt"
        self.put_text(path, "ok")
        obstore.get(self._store, path).bytes()
        obstore.delete(self._store, path)


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as exc:
        raise StoreUnreachable(_("The object store does not answer as it should: {error}").format(error=_first_line(exc))) from exc


def path_part(text: str) -> str:
    """A text as one part of a path: at most 120 bytes of UTF-8, for a file name holds 255. An id beside it keeps the path unique."""
    safe = "".join(character if character.isalnum() or character in "-_" else "-" for character in text)
    return safe.encode()[:120].decode(errors="ignore")


def _store_at(root_url: str) -> ObjectStore:
    parts = urlsplit(root_url)
    if parts.scheme == "s3":
        return from_url(root_url, retry_config={"max_retries": 3}, client_options={"timeout": "30s", "allow_http": True})
    if parts.scheme != "file":
        raise ValueError(_("its scheme is not known"))
    if parts.netloc or not parts.path.startswith("/"):  # file://folder names a host, and no folder
        raise ValueError(_("the path of a folder begins with /"))
    folder = Path(unquote(parts.path))
    folder.mkdir(parents=True, exist_ok=True)
    return LocalStore(folder)


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:300]
