"""Fields for the limits of an operation: in the plan before it is confirmed, in a dialog while it runs."""

import streamlit as st

from backend.content.limits import OperationLimits, QuietHours
from backend.content.prices import NoPrice
from backend.i18n import _
from dashboard import reads, session
from dashboard.untrusted import plain

_COUNTS = ("concurrency", "rate_per_minute", "budget_calls", "budget_tokens")


def show_fields(form: str, limits: OperationLimits, unpriced: tuple[str, ...]) -> OperationLimits | None:
    """What they say; an empty field is no limit. `form` names them for `chosen`. None: they cannot be read or kept, which is said here.

    `unpriced` are the models without a price that may be asked.
    """
    for name in (*_COUNTS, "budget_cost"):  # seeded: a number that is given as a default cannot be emptied
        if not session.has_widget(_key(form, name)):
            session.seed_widget(_key(form, name), getattr(limits, name))

    def count(name: str, label: str, told: str) -> None:
        st.number_input(label, min_value=1, value=None, step=1, key=_key(form, name), placeholder=_("no limit"), help=told)

    left, right = st.columns(2, gap="small")
    with left:
        count("concurrency", _("Items at once"), _("That wait in a queue or are written, at the same time"))
        count("budget_calls", _("Budget: calls"), _("Calls of the model, those that fail too; then the rest stays untouched"))
        st.number_input(_("Budget: {currency}").format(currency=reads.currency()), min_value=0.01, value=None, step=0.5,
                        key=_key(form, "budget_cost"), placeholder=_("no limit"), disabled=bool(unpriced) and limits.budget_cost is None,
                        help=price_words(unpriced))
    with right:
        count("rate_per_minute", _("Items a minute"), _("Handed out to the workers"))
        count("budget_tokens", _("Budget: tokens"), _("Of prompts and answers together"))
        st.text_input(_("Quiet hours"), value=str(limits.quiet_hours or ""), key=_key(form, "quiet_hours"), placeholder="22:00-06:00",
                      max_chars=13, help=_("Nothing is handed out in them. Time zone: {zone}").format(zone=reads.zone_name()))
    try:
        found = chosen(form, limits)
        if found.budget_cost is not None and unpriced:
            raise NoPrice(unpriced)
        return found
    except ValueError as exc:
        st.error(plain(str(exc)), icon=":material/error:")
        return None


def price_words(unpriced: tuple[str, ...]) -> str:
    """Help of a field for money."""
    if unpriced:
        return _("Needs the price of {models} in REDRIVE_PRICES.").format(models=plain(", ".join(unpriced)))
    return _("By the price table")


def chosen(form: str, otherwise: OperationLimits) -> OperationLimits:
    """What the fields say; `otherwise` where they were not shown. Raises ValueError in words."""
    if not session.has_widget(_key(form, "quiet_hours")):
        return otherwise
    words = str(session.widget_value(_key(form, "quiet_hours")) or "").strip()
    cost = session.widget_value(_key(form, "budget_cost"))
    counts = {name: session.widget_value(_key(form, name)) for name in _COUNTS}
    return OperationLimits(
        **{name: int(value) if isinstance(value, int | float) else None for name, value in counts.items()},
        budget_cost=float(cost) if isinstance(cost, int | float) else None,
        quiet_hours=QuietHours.parse(words) if words else None).with_thresholds_of(otherwise)


def _key(form: str, name: str) -> str:
    return f"{form}-limit-{name}"
