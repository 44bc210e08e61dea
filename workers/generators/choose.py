"""Which generator these settings ask for. Importing this loads the openai package: workers do it before they fork."""

from backend.settings import Settings
from workers.generators.model import ModelGenerator
from workers.generators.offline import OfflineGenerator
from workers.generators.protocol import Generator


def choose_generator(settings: Settings) -> Generator:
    """The model when a key or an endpoint is set, otherwise the offline writer.

    Raises ValueError that names the setting when OPENAI_BASE_URL, OPENAI_API_KEY or REDRIVE_OFFLINE_FAULTS is
    malformed.
    """
    if settings.has_model:
        return ModelGenerator(settings)
    return OfflineGenerator(settings)
