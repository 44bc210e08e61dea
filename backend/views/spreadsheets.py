"""CSV that a spreadsheet opens as it is: no text of others becomes a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence


def as_csv(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A head line, then one line for each row."""
    written = io.StringIO()
    writer = csv.DictWriter(written, names)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return written.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
