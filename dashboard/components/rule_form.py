"""The form of a rule, and what else of rules is open: kept outside of the widgets, so that a rerun closes nothing."""

from dataclasses import dataclass, replace

import streamlit as st

from backend.actions.automatic import Foreseen
from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.limits import QuietHours
from backend.content.retry_rules import MOST_RUN_ITEMS, RetryRule, RuleBudget, RuleTerms, backoff_words, parse_backoff
from backend.i18n import _
from dashboard import address, reads, session
from dashboard.components import limits_form
from dashboard.untrusted import plain

FORM, DELETE, FORESEEN = "open_rule_form", "open_rule_delete", "open_rule_foreseen"
KINDS = [kind for kind in ContentKind if kind is not ContentKind.FRAMEWORK]
FIELDS = ("cause", "kind", "backoff", "quiet_hours", "run_items", "day_items", "day_calls", "day_tokens", "day_cost", "reason")
NO_LIMIT = _("no limit")


@dataclass(frozen=True, slots=True)
class RuleForm:
    """A new rule, or the one that is changed."""

    terms: RuleTerms | None = None
    before: RetryRule | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RuleDelete:
    rule_id: str
    words: str


@dataclass(frozen=True, slots=True)
class RuleForeseen:
    words: str
    foreseen: Foreseen


def open_form() -> RuleForm | None:
    found = session.widget_value(FORM)
    return found if isinstance(found, RuleForm) else None


def show(form: RuleForm) -> None:
    close_delete()
    close_foreseen()
    session.seed_widget(FORM, form)
    budget = form.terms.budget if form.terms else RuleBudget()
    given = {
        "cause": form.terms.cause_id if form.terms else "", "kind": (form.terms.kind if form.terms else None) or "",
        "backoff": backoff_words(form.terms.backoff if form.terms else RuleTerms(kind=ContentKind.COVER).backoff),
        "quiet_hours": str(form.terms.quiet_hours or "") if form.terms else "", "run_items": budget.run_items,
        "day_items": budget.day_items, "day_calls": budget.day_calls, "day_tokens": budget.day_tokens, "day_cost": budget.day_cost,
        "reason": form.reason}
    for name in FIELDS:
        session.seed_widget(_key(name), given[name])


def close() -> None:
    session.seed_widget(FORM, None)


def open_delete() -> RuleDelete | None:
    found = session.widget_value(DELETE)
    return found if isinstance(found, RuleDelete) else None


def show_delete(rule_id: str, words: str) -> None:
    close()
    close_foreseen()
    session.seed_widget(DELETE, RuleDelete(rule_id, words))
    session.seed_widget("rule_delete_reason", "")


def delete_reason() -> str:
    return str(session.widget_value("rule_delete_reason") or "").strip()


def close_delete() -> None:
    session.seed_widget(DELETE, None)


def open_foreseen() -> RuleForeseen | None:
    found = session.widget_value(FORESEEN)
    return found if isinstance(found, RuleForeseen) else None


def show_foreseen(words: str, foreseen: Foreseen) -> None:
    close()
    close_delete()
    session.seed_widget(FORESEEN, RuleForeseen(words, foreseen))


def close_foreseen() -> None:
    session.seed_widget(FORESEEN, None)


def open_asked(rules: tuple[RetryRule, ...]) -> None:
    """The link of a cause's page asks for the rule of that cause: the one that there is, or a new one."""
    cause_id = address.value("cause").strip()
    if not cause_id:
        return
    address.forget(("cause",))
    there_is = next((rule for rule in rules if rule.terms.cause_id == cause_id and rule.terms.kind is None), None)
    show(RuleForm(there_is.terms, there_is) if there_is else RuleForm(RuleTerms(cause_id=cause_id)))


def show_fields() -> bool:
    """The fields. False: what they say makes no rule, which is said here."""
    titles = _cause_choices()
    st.selectbox(_("Cause"), ["", *titles], key=_key("cause"), format_func=lambda cause_id: titles.get(cause_id, _("any cause")),
                 help=_("Only problems of this cause"))
    left, right = st.columns(2, gap="small")
    with left:
        kind = st.selectbox(_("Content"), ["", *KINDS], key=_key("kind"), help=_("Only content of this kind"),
                            format_func=lambda kind: wording.CONTENT_KINDS[kind] if kind else _("all content"))
        st.text_input(_("Try again after"), key=_key("backoff"), max_chars=120, placeholder="1 min, 10 min, 1 h", help=_(
            "The first step counts from when it broke, each other one from its last failure. When the steps are used up the item "
            "stays for people."))
        _count("run_items", _("Items in one run"), MOST_RUN_ITEMS, _("The next run begins when this one has ended."))
        _count("day_calls", _("Calls a day"), None, _("Calls of the model"))
    with right:
        st.text_input(_("Quiet hours"), key=_key("quiet_hours"), max_chars=13, placeholder="22:00-06:00",
                      help=_("Nothing is begun in them. Time zone: {zone}").format(zone=reads.zone_name()))
        _count("day_items", _("Items a day"), None, _("A day begins at midnight. Time zone: {zone}").format(zone=reads.zone_name()))
        _count("day_tokens", _("Tokens a day"), None, _("Of prompts and answers together"))
        unpriced = reads.unpriced_models((ContentKind(kind),) if kind else KINDS)
        st.number_input(_("{currency} a day").format(currency=reads.currency()), min_value=0.01, value=None, step=0.5, key=_key("day_cost"),
                        placeholder=NO_LIMIT, help=limits_form.price_words(unpriced),
                        disabled=bool(unpriced) and session.widget_value(_key("day_cost")) is None)
    try:
        chosen()
    except ValueError as exc:
        st.error(plain(str(exc)), icon=":material/error:")
        return False
    return True


def _count(name: str, label: str, most: int | None, told: str) -> None:
    st.number_input(label, min_value=1, max_value=most, value=None, step=1, key=_key(name), help=told,
                    placeholder="" if name in ("run_items", "day_items") else NO_LIMIT)


def chosen() -> RuleTerms:
    """What the fields say. Raises ValueError in words."""
    def number(name: str) -> float | None:
        value = session.widget_value(_key(name))
        return value if isinstance(value, int | float) else None

    def whole(name: str) -> int | None:
        value = number(name)
        return None if value is None else int(value)

    run_items, day_items = whole("run_items"), whole("day_items")
    if run_items is None or day_items is None:
        raise ValueError(_("Say how many items a run and a day may take at most."))
    quiet, kind = str(session.widget_value(_key("quiet_hours")) or "").strip(), session.widget_value(_key("kind"))
    return RuleTerms(
        str(session.widget_value(_key("cause")) or ""), ContentKind(kind) if kind else None,
        RuleBudget(run_items, day_items, whole("day_calls"), whole("day_tokens"), number("day_cost")),
        parse_backoff(str(session.widget_value(_key("backoff")) or "")), QuietHours.parse(quiet) if quiet else None)


def reason() -> str:
    return str(session.widget_value(_key("reason")) or "").strip()


def reason_key() -> str:
    return _key("reason")


def cause_title(cause_id: str) -> str:
    return _cause_choices().get(cause_id, "")


def _cause_choices() -> dict[str, str]:
    """cause_id -> words; the one that is chosen is there even when nothing has it any more."""
    found = dict(reads.other_causes(""))
    form = open_form()
    if form and form.terms and form.terms.cause_id and form.terms.cause_id not in found:
        cause = reads.cause(form.terms.cause_id)
        found = {form.terms.cause_id: cause.title if cause else form.terms.cause_id, **found}
    return found


def for_covers() -> RuleForm:
    """What is suggested for covers: they fail briefly, and cost little."""
    return RuleForm(replace(RuleTerms(kind=ContentKind.COVER), budget=RuleBudget(run_items=20, day_items=200)))


def _key(name: str) -> str:
    return f"rule-{name}"
