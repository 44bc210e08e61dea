"""What every painter can do. Importing this loads no client library; `choose.py` does."""

from typing import Protocol

from backend.content.written import Cover, CoverBrief, Spent, Written


class Painter(Protocol):
    """Makes the cover of one roadmap, or raises ItemError. Each lives in one event loop, until `close`.

    What it costs is added to `spent` as it arises. The cover is checked and has both its sizes.
    """

    name: str
    is_sample: bool

    async def paint(self, brief: CoverBrief, spent: Spent | None = None) -> Written[Cover]: ...
    async def close(self) -> None: ...
