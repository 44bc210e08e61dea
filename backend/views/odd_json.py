"""Reading JSON that another program wrote and nobody checked: what is not as promised is left out, and nothing raises."""

import json
from typing import Any

SHOWN_CHARACTERS = 4_000


def object_of(document: str | None) -> dict[str, Any] | None:
    """The JSON object of a column that was read as text; {} when there is none. None: it is something else."""
    if document is None:
        return {}
    try:
        read = json.loads(document)
    except (ValueError, RecursionError):
        return None
    if read is None:
        return {}
    return read if isinstance(read, dict) else None


def count_of(value: object) -> int | None:
    """A number of things. None: it is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10 ** 9
    return value if is_count else None


def words_of(value: object) -> str:
    """A value in words that can be shown and sent: without NUL and lone surrogates, not endless."""
    if value is None:
        return ""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()[:SHOWN_CHARACTERS]
