"""Reads a chapter out of the JSON document that holds it, while it still comes in. No I/O.

jiter does all the reading. Once the text has begun, only what is new is read: the cost of a long chapter is linear.
"""

import jiter

_LONGEST_ESCAPE = 12  # "\ud83d\ude00": one character beyond the basic plane, written as two escapes


class PartialChapter:
    """Fed with pieces of the document. `title` and what `take` gives are final: nothing of them is taken back."""

    def __init__(self) -> None:
        self.title = ""
        self._unread = ""           # of the document; within the text: what is not decoded yet
        self._is_in_text = False
        self._is_over = False       # the text has ended, or cannot be followed: the whole document tells the rest
        self._pieces: list[str] = []

    def feed(self, piece: str) -> None:
        if not self._is_over:
            self._unread += piece

    def take(self) -> str:
        """What is new of the text since the last call."""
        if self._is_over or not self._unread:
            return ""
        if not self._is_in_text and not self._find_text():
            return self._flushed()
        self._decode()
        return self._flushed()

    def _flushed(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        return text

    def _find_text(self) -> bool:
        start = self._unread.find("{")  # behind a ```json fence that some models put before it
        if start < 0:
            return False
        document = self._unread[start:]
        try:
            found = jiter.from_json(document.encode("utf-8", "replace"), partial_mode="trailing-strings")
        except ValueError:
            return False
        if not isinstance(found, dict) or not isinstance(found.get("content"), str):
            return False
        self.title = found["title"] if isinstance(found.get("title"), str) else ""
        for end in _ends(document):
            try:
                closed = jiter.from_json(f'{document[:end]}"}}'.encode("utf-8", "replace"))
            except ValueError:
                continue
            if list(closed)[-1] != "content":
                break
            self._pieces.append(closed["content"])
            self._unread, self._is_in_text = document[end:], True
            return True
        if list(found)[-1] != "content" or _is_whole(document):  # it came in one piece with what follows it
            self._pieces.append(found["content"])
            self._is_over = True
        return False

    def _decode(self) -> None:
        for end in _ends(self._unread):
            try:
                self._pieces.append(jiter.from_json(f'"{self._unread[:end]}"'.encode("utf-8", "replace")))
            except ValueError:
                continue
            self._unread = self._unread[end:]
            return
        if len(self._unread) <= _LONGEST_ESCAPE and '"' not in self._unread:
            return  # an escape that is not complete
        try:  # the text ends in here: what precedes its closing quote
            self._pieces.append(jiter.from_json(f'["{self._unread}'.encode("utf-8", "replace"), partial_mode="on")[0])
        except (ValueError, IndexError):
            self._pieces.extend(_text_before_quote(self._unread))
        self._is_over = True


def _ends(text: str) -> range:
    """Where it may be cut, the latest place first: one of them is in no escape."""
    return range(len(text), max(len(text) - _LONGEST_ESCAPE, 0), -1)


def _is_whole(document: str) -> bool:
    try:
        jiter.from_json(document.encode("utf-8", "replace"))
    except ValueError:
        return False
    return True


def _text_before_quote(unread: str) -> list[str]:
    """The shortest string that reads as a whole up to a quote is the rest of the text."""
    at = unread.find('"')
    while at >= 0:
        try:
            return [jiter.from_json(f'"{unread[:at + 1]}'.encode("utf-8", "replace"))]
        except ValueError:
            at = unread.find('"', at + 1)
    return []
