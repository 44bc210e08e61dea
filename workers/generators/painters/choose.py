"""Which painter these settings ask for. Importing this loads Pillow: workers do it before they fork."""

from backend.settings import Settings
from workers.generators.painters.protocol import Painter
from workers.generators.painters.typographic import TypographicPainter


def choose_painter(settings: Settings) -> Painter:
    """The offline painter: it asks nobody."""
    return TypographicPainter(settings)
