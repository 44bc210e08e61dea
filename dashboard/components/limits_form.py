"""Fields for the limits of an operation: in the plan before it is confirmed, in a dialog while it runs."""

import streamlit as st

from backend.content.limits import OperationLimits, QuietHours
from backend.i18n import _
from dashboard import reads, session
from dashboard.untrusted import plain

_COUNTS = ("concurrency", "rate_per_minute", "budget_calls", "budget_tokens")


def show_fields(form: str, limits: OperationLimits) -> OperationLimits | None:
    """What they say; an empty field is no limit. `form` names them for `chosen`. None: they cannot be read, which is said here."""
    def count(name: str, label: str, told: str) -> None:
        st.number_input(label, min_value=1, value=getattr(limits, name), step=1, key=_key(form, name), placeholder=_("no limit"), help=told)

    left, right = st.columns(2, gap="small")
    with left:
        count("concurrency", _("Items at once"), _("That wait in a queue or are written, at the same time"))
        count("budget_calls", _("Budget: calls"), _("Calls of the model, those that fail too; then the rest stays untouched"))
        st.number_input(_("Budget: {currency}").format(currency=reads.currency()), min_value=0.01, value=limits.budget_cost, step=0.5,
                        key=_key(form, "budget_cost"), placeholder=_("no limit"), disabled=not reads.has_prices(),
                        help=_("By the price table") if reads.has_prices() else _("Needs prices: set REDRIVE_PRICES."))
    with right:
        count("rate_per_minute", _("Items a minute"), _("Handed out to the workers"))
        count("budget_tokens", _("Budget: tokens"), _("Of prompts and answers together"))
        st.text_input(_("Quiet hours"), value=str(limits.quiet_hours or ""), key=_key(form, "quiet_hours"), placeholder="22:00-06:00",
                      max_chars=13, help=_("Nothing is handed out in them. Time zone: {zone}").format(zone=reads.zone_name()))
    try:
        return chosen(form, limits)
    except ValueError as exc:
        st.error(plain(str(exc)), icon=":material/error:")
        return None


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
