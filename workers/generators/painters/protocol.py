"""What every painter can do. Importing this loads no client library; `choose.py` does."""

from collections.abc import Callable
from typing import Protocol

from backend.content.written import Cover, CoverBrief, Spent, Written

Answered = Callable[[], None]


class Painter(Protocol):
    """Makes the cover of one roadmap, or raises ItemError. Each lives in one event loop, until `close`.

    What it costs is added to `spent` as it arises. `answered` is called once the provider has answered and only our own work on
    the picture remains: it costs a core for 40 ms, in which the next cover may be asked for already. The cover is checked and has
    both its sizes.
    """

    name: str
    is_sample: bool

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]: ...
    async def close(self) -> None: ...
