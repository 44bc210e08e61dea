"""The one door to gettext: every text that a person sees is written `_("...")`.

Catalogues live in `backend/locale/<language>/LC_MESSAGES/redrive.mo`; a missing one means English. REDRIVE_LANGUAGE is read
here and not from the settings, which have texts themselves.
"""

import gettext
import os
from pathlib import Path

_translation = gettext.translation(
    "redrive",
    localedir=Path(__file__).with_name("locale"),
    languages=[os.environ.get("REDRIVE_LANGUAGE", "en")],
    fallback=True,
)
_ = _translation.gettext
ngettext = _translation.ngettext
