"""Where the checkout and its state folder are, whatever folder a command was called from."""

from pathlib import Path

from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def state_folder(settings: Settings) -> Path:
    """The absolute state folder. The default lies in the checkout; a given relative path counts from the caller's folder."""
    if "state_dir" in settings.model_fields_set:
        return settings.state_dir.expanduser().absolute()
    return ROOT / settings.state_dir
