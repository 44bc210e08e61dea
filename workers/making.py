"""Who makes what an item is for: the generator its texts, the painter its pictures. Both live in the event loop of one chunk."""

from collections.abc import Callable

from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKind
from backend.content.written import ChapterBrief, ConceptBrief, CoverBrief, Spent
from backend.i18n import _
from workers.generators.painters.protocol import Answered, Painter
from workers.generators.protocol import Generator, Telling, WrittenContent, write


class Makers:
    def __init__(self, generator: Generator, choose_painter: Callable[[], Painter] | None) -> None:
        self._generator = generator
        self._choose_painter = choose_painter
        self._painter: Painter | None = None  # only a chunk with covers needs one

    async def make(
        self, kind: ContentKind, *, brief: ConceptBrief | ChapterBrief | CoverBrief, spent: Spent, telling: Telling | None = None,
        answered: Answered | None = None,
    ) -> WrittenContent:
        """What it costs is added to `spent`, also when it fails or is broken off. Raises ItemError.

        `answered` is called as soon as nobody is asked for it any more, where work on the answer remains.
        """
        if isinstance(brief, CoverBrief):
            return await self._chosen_painter().paint(brief, spent, answered)
        return await write(self._generator, kind, brief=brief, spent=spent, telling=telling)

    def _chosen_painter(self) -> Painter:
        if self._painter is None:
            if self._choose_painter is None:
                raise ItemError(ErrorKind.PLATFORM_ERROR, _("This worker has no painter. Start it with one, then retry."))
            self._painter = self._choose_painter()
        return self._painter

    async def close(self) -> None:
        await self._generator.close()
        if self._painter is not None:
            await self._painter.close()
