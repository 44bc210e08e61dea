"""What never stands in a log line nor on a page: passwords, tokens, keys, by the name before them or by their look."""

import re

HIDDEN = "***"

# How a name ends whose value is a secret: AWS_SECRET_ACCESS_KEY, x-api-key, client_secret. Not max_tokens, and no "Unexpected token: }".
_NAMES = (r"(?:passw(?:or)?d|passphrase|pwd|secret|(?<!unexpected )token|"
          r"(?:api|access|secret|private)[ _-]?key(?:[ _-]?id)?)")
_QUOTE = r"\\?[\"']"  # with a backslash in JSON that stands in a string
_SECRET_NAME = re.compile(rf"(?:{_NAMES}|authorization|cookie|credentials?)$", re.IGNORECASE)

_NAMED = tuple(re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in (
    r"(?P<name>\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@:'\"]*:[^\s/'\"]*(?=@)",
    rf"(?P<name>[?&](?:[\w-]*{_NAMES}|key|sig|(?:x-(?:amz|goog)-)?(?:signature|credential))=)[^&\s'\"]+",
    rf"(?P<name>\bauthorization(?:{_QUOTE})?[ \t]*[:=][ \t]*(?:{_QUOTE})?)(?!\*\*\*)(?:[a-z][\w-]*[ \t]+)?[^\s\"',;\\]+",
    r"(?P<name>\bBearer\s+)[\w.~+/=-]{8,}",
    # To the same quote, or to the end of a text that was cut.
    rf"(?P<name>{_NAMES}(?:{_QUOTE})?[ \t]*[=:][ \t]*(?P<quote>{_QUOTE}))(?:(?!(?P=quote))(?:\\.|.))+",
    rf"(?P<name>{_NAMES}(?:{_QUOTE})?[ \t]*[=:][ \t]*)(?!\*\*\*)[^\s\"']*[^\s\"',;.)}}\]\\]",
))
_LOOK = re.compile(
    r"\b(?:sk-[\w-]{8,}|AIza[\w-]{20,}|gh[a-z]_\w{16,}|github_pat_\w{16,}|hf_\w{16,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)")


def without_secrets(text: str) -> str:
    """The text with what a secret's name stands before, or what looks like a key, replaced by ***."""
    for pattern in _NAMED:
        text = pattern.sub(rf"\g<name>{HIDDEN}", text)
    return _LOOK.sub(HIDDEN, text)


def is_secret_name(name: str) -> bool:
    """Whatever stands under this name is not shown."""
    return bool(_SECRET_NAME.search(name))
