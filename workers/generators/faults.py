"""REDRIVE_OFFLINE_FAULTS: makes the offline writer fail on purpose, so that triage and retries can be tried out."""

import random
from dataclasses import dataclass

from backend.content.errors import ErrorKind, ItemError, Origin
from backend.i18n import _

# Every model_* and content_* kind; a test holds the two together.
_WORDS = {
    ErrorKind.MODEL_UNREACHABLE: _("The model cannot be reached."),
    ErrorKind.MODEL_TIMEOUT: _("The model sent nothing for a long time."),
    ErrorKind.MODEL_RATE_LIMITED: _("The model gets too many requests (429)."),
    ErrorKind.MODEL_SERVER_ERROR: _("The model failed (500)."),
    ErrorKind.MODEL_REJECTED_KEY: _("The model does not accept the key (401)."),
    ErrorKind.MODEL_REJECTED_REQUEST: _("The model does not accept the request (400)."),
    ErrorKind.MODEL_CUT_STREAM: _("The connection to the model broke before the answer was complete."),
    ErrorKind.MODEL_REFUSED: _("The model refused to write this."),
    ErrorKind.MODEL_TRUNCATED: _("The answer reached the longest length that the model allows and is not complete."),
    ErrorKind.MODEL_INVALID_JSON: _("The model's answer is no valid JSON."),
    ErrorKind.CONTENT_EMPTY: _("The model answered without any text."),
    ErrorKind.CONTENT_UNSTORABLE: _("The text holds the character U+0000, which the database cannot store."),
    ErrorKind.CONTENT_NO_PICTURE: _("No picture was found."),
    ErrorKind.CONTENT_NOT_A_PICTURE: _("This is no picture."),
    ErrorKind.CONTENT_PICTURE_SIZE: _("The picture is too small."),
}
_SHORT_NAMES = {kind.value.split("_", 1)[1]: kind for kind in _WORDS}
_SETTING = "REDRIVE_OFFLINE_FAULTS"


@dataclass(frozen=True, slots=True)
class OfflineFaults:
    shares: tuple[tuple[ErrorKind, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "OfflineFaults":
        """From "rate_limited:0.2,model_timeout:0.1". Raises ValueError that names the setting and the kinds."""
        shares: dict[ErrorKind, float] = {}
        for pair in filter(None, map(str.strip, text.split(","))):
            name, colon, number = (part.strip() for part in pair.partition(":"))
            kind = _kind_named(name)
            if not colon or kind is None or kind in shares:
                raise ValueError(_complaint(pair))
            shares[kind] = _share(number, pair)
        if sum(shares.values()) > 1 + 1e-9:
            raise ValueError(f"{_SETTING}: the shares add up to more than 1")
        return cls(tuple(shares.items()))

    def draw(self, chance: random.Random) -> ItemError | None:
        """The fault that this attempt meets, or None."""
        mark = chance.random()
        for kind, share in self.shares:
            if mark < share:
                return ItemError(kind, _("{words} (On purpose: {setting}.)").format(
                    words=_WORDS[kind], setting=_SETTING))
            mark -= share
        return None


def allowed_kinds() -> tuple[ErrorKind, ...]:
    return tuple(kind for kind in ErrorKind if kind.origin in (Origin.MODEL, Origin.CONTENT))


def _kind_named(name: str) -> ErrorKind | None:
    if name in _SHORT_NAMES:
        return _SHORT_NAMES[name]
    return next((kind for kind in _WORDS if kind.value == name), None)


def _share(number: str, pair: str) -> float:
    try:
        share = float(number)
    except ValueError as exc:
        raise ValueError(_complaint(pair)) from exc
    if not 0 <= share <= 1:
        raise ValueError(_complaint(pair))
    return share


def _complaint(pair: str) -> str:
    return (f"{_SETTING}: {pair!r} cannot be used; write kind:share with a share from 0 to 1 and each kind once. "
            f"Kinds: {', '.join(_SHORT_NAMES)}")
