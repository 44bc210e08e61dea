"""How long it took until something broken was good again, in classes that can be added up. Pure."""

from collections.abc import Mapping
from datetime import timedelta

from backend.i18n import _

# Upper bound of a class -> its name; the last one has no bound. What is kept are their places: classes are only added at the end.
CLASSES: tuple[tuple[timedelta | None, str], ...] = (
    (timedelta(minutes=10), _("within 10 minutes")), (timedelta(hours=1), _("within an hour")), (timedelta(hours=6), _("within 6 hours")),
    (timedelta(days=1), _("within a day")), (timedelta(days=7), _("within a week")), (None, _("later than a week")),
)


def class_of_half(counts: Mapping[int, int]) -> int | None:
    """The class within which half of them recovered. None: nothing has."""
    total, seen = sum(counts.values()), 0
    for place in sorted(counts):
        seen += counts[place]
        if 2 * seen >= total > 0:
            return place
    return None
