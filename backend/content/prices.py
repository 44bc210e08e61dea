"""Which models are paid for content, and whether a budget of money for it can be kept. Pure."""

from collections.abc import Iterable

from backend.content.keys import ContentKind
from backend.i18n import _
from backend.settings import Settings


class NoPrice(ValueError):
    """A budget of money that nobody could keep; str() names the models and the setting that lacks them."""

    def __init__(self, models: Iterable[str]) -> None:
        words = _("A budget of money needs the price of {models} in REDRIVE_PRICES: without it nobody knows what is spent.")
        super().__init__(words.format(models=", ".join(models)))


def paid_model(settings: Settings, kind: ContentKind) -> str | None:
    """Who is paid for content of that kind. None: nobody; what is made offline is free, and so is a search for photos."""
    if kind is ContentKind.COVER:
        return settings.image_model if "model" in settings.asked_painters else None
    return settings.model if settings.has_model else None


def unpriced_models(settings: Settings, kinds: Iterable[ContentKind] = tuple(ContentKind)) -> tuple[str, ...]:
    """Models that are paid for content of these kinds and have no price: what they take counts for nothing in a budget of money."""
    paid = {paid_model(settings, kind) for kind in kinds}
    return tuple(sorted(model for model in paid if model and model not in settings.prices))


def check_money(settings: Settings, kinds: Iterable[ContentKind] = tuple(ContentKind)) -> None:
    """Raises NoPrice when a budget of money for content of these kinds could not be kept."""
    if unpriced := unpriced_models(settings, kinds):
        raise NoPrice(unpriced)
