"""What calls of a model cost, by the price table of the settings. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.i18n import _

ANY_MODEL = "*"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int | None, completion_tokens: int | None) -> float:
        return ((prompt_tokens or 0) * self.prompt + (completion_tokens or 0) * self.completion) / MILLION


def parse_prices(words: str) -> dict[str, Price]:
    """"gpt-5-mini=0.25/2.00, *=1/4": prompt and completion tokens, by the model's name; * is any other. Raises ValueError."""
    prices: dict[str, Price] = {}
    for entry in filter(None, (entry.strip() for entry in words.split(","))):
        model, has_price, numbers = entry.rpartition("=")
        prompt, has_two, completion = numbers.partition("/")
        try:
            price = Price(float(prompt), float(completion))
        except ValueError:
            price = None
        if not (model.strip() and has_price and has_two and price and 0 <= price.prompt < MILLION and 0 <= price.completion < MILLION):
            raise ValueError(_("A price is written as model=prompt/completion for a million tokens, for example gpt-5-mini=0.25/2.00; "
                               "“{entry}” is not.").format(entry=entry))
        prices[model.strip()] = price
    return prices


def cost_of(
    prices: Mapping[str, Price], model: str, prompt_tokens: int | None, completion_tokens: int | None,
) -> float | None:
    """None: the model has no price, or told no tokens."""
    price = prices.get(model, prices.get(ANY_MODEL))
    if price is None or (prompt_tokens is None and completion_tokens is None):
        return None
    return price.of(prompt_tokens, completion_tokens)
