"""In which language a text is written, as far as prompts need it."""

import re

_HAN = re.compile(r"[\u4e00-\u9fff]")


def language_of(*texts: str) -> str:
    """"zh" when the texts hold Chinese characters, else "en"."""
    return "zh" if any(_HAN.search(words) for words in texts) else "en"
