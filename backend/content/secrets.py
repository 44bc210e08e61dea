"""What never stands in a log line nor on a page: passwords of URLs, bearer tokens, keys of models."""

import re

HIDDEN = "***"

_URL_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@'\"]*:[^\s/'\"]*@", re.IGNORECASE)
_URL_QUERY = re.compile(r"(?P<name>[?&](?:password|sslpassword|token|api_key|secret)=)[^&\s'\"]+", re.IGNORECASE)
_CONNINFO = re.compile(r"\b(?P<name>(?:ssl)?password\s*=\s*)(?:'[^']*'|[^\s'\"]+)", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<name>Bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_MODEL_KEY = re.compile(r"\bsk-[\w-]{8,}")


def without_secrets(text: str) -> str:
    """The text with passwords of URLs, bearer tokens and model keys replaced by ***."""
    text = _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    for pattern in (_URL_QUERY, _CONNINFO, _BEARER):
        text = pattern.sub(rf"\g<name>{HIDDEN}", text)
    return _MODEL_KEY.sub(HIDDEN, text)
