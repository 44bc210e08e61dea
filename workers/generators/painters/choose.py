"""Which painters these settings ask for, and in what order. Importing this loads Pillow and openai: workers do it before they fork."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import structlog

from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Cover, CoverBrief, Spent, Written
from backend.settings import Settings
from workers.generators.painters.model import ModelPainter
from workers.generators.painters.offline import OfflinePainter
from workers.generators.painters.protocol import Answered, Painter
from workers.generators.painters.unsplash import UnsplashPainter

log = structlog.get_logger()
PAINTERS: Mapping[str, Callable[[Settings], Painter]] = MappingProxyType(
    {"model": ModelPainter, "unsplash": UnsplashPainter, "offline": OfflinePainter})
# The provider is at fault, so another one may do better. A rejected key or request is ours to mend, and a refusal is of the
# words: falling back would hide the one and get around the other.
FAULTS_OF_THE_PROVIDER = frozenset({
    ErrorKind.MODEL_UNREACHABLE, ErrorKind.MODEL_TIMEOUT, ErrorKind.MODEL_RATE_LIMITED, ErrorKind.MODEL_SERVER_ERROR,
    ErrorKind.MODEL_CUT_STREAM, ErrorKind.MODEL_INVALID_JSON, ErrorKind.CONTENT_NO_PICTURE, ErrorKind.CONTENT_NOT_A_PICTURE,
    ErrorKind.CONTENT_PICTURE_SIZE,
})


def choose_painter(settings: Settings) -> Painter:
    """Who REDRIVE_PAINTERS names, else the first that is set up: model, unsplash, offline.

    Raises ValueError that names the setting which is missing or malformed.
    """
    painters = [PAINTERS[name](settings) for name in painter_names(settings)]
    return painters[0] if len(painters) == 1 else PaintersInOrder(painters)


def painter_names(settings: Settings) -> list[str]:
    """Raises ValueError when REDRIVE_PAINTERS names somebody unknown."""
    names = list(dict.fromkeys(filter(None, map(str.strip, settings.painters.lower().split(",")))))
    unknown = [name for name in names if name not in PAINTERS]
    if unknown:
        raise ValueError(f"REDRIVE_PAINTERS names {', '.join(unknown)}; known are {', '.join(PAINTERS)}")
    return names or [settings.first_painter]


class PaintersInOrder:
    """Asks the next painter when the provider of the one before fails. The result names who painted."""

    def __init__(self, painters: Sequence[Painter]) -> None:
        self._painters = tuple(painters)
        self.name = painters[0].name
        self.is_sample = painters[0].is_sample

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered: Answered | None = None) -> Written[Cover]:
        spent = spent or Spent()
        for painter in self._painters[:-1]:
            try:
                return await painter.paint(brief, spent)
            except ItemError as error:
                if error.kind not in FAULTS_OF_THE_PROVIDER:
                    raise
                log.warning("painter_failed", painter=painter.name, roadmap_id=brief.roadmap_id, error_kind=error.kind, error=error.message)
        return await self._painters[-1].paint(brief, spent, answered)  # the others may be followed by one more question

    async def close(self) -> None:
        for painter in self._painters:
            await painter.close()
