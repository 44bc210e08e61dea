"""What the buttons of automatic retries do: make, change, turn on and off, delete, and look what a rule would do now."""

from backend.actions import retry_rules
from backend.content import rule_wording
from backend.i18n import _
from dashboard import reads, rule_reads, session
from dashboard.clicks import action
from dashboard.components import rule_form
from dashboard.session import NoticeKind


def open_form(form: rule_form.RuleForm) -> None:
    session.forget_notices()
    rule_form.show(form)


def ask_delete(rule_id: str, words: str) -> None:
    session.forget_notices()
    rule_form.show_delete(rule_id, words)


@action
def save_rule() -> None:
    """Make or change the rule of the open form. It stays open while its fields cannot be read or a reason is missing."""
    form, reason = rule_form.open_form(), rule_form.reason()
    if form is None or not reason:
        return
    try:
        terms = rule_form.chosen()
        if form.before is None:
            retry_rules.create(reads.connected(), reads.actor(), terms, reason)
            words = _("Rule made: {scope}. It is off until you turn it on.")
        else:
            retry_rules.change(reads.connected(), reads.actor(), form.before, terms, reason)
            words = _("Rule changed: {scope}")
    except ValueError as exc:
        session.notify(NoticeKind.WARNING, str(exc))
        return
    finally:
        rule_reads.forget_after_action()
    rule_form.close()
    session.notify(NoticeKind.DONE, words.format(scope=rule_wording.rule_scope(terms, rule_form.cause_title(terms.cause_id))))


@action
def turn(rule_id: str, words: str, widget_key: str) -> None:
    """As the switch stands now."""
    is_enabled = bool(session.widget_value(widget_key))
    try:
        retry_rules.set_enabled(reads.connected(), reads.actor(), rule_id, is_enabled=is_enabled)
    finally:
        rule_reads.forget_after_action()
    session.notify(NoticeKind.DONE, (_("On: {scope}") if is_enabled else _("Off: {scope}. What it has begun goes on.")).format(scope=words))


@action
def delete_rule() -> None:
    """The rule that the open dialog names; it stays open while a reason is missing."""
    aim, reason = rule_form.open_delete(), rule_form.delete_reason()
    if aim is None or not reason:
        return
    rule_form.close_delete()
    try:
        retry_rules.delete(reads.connected(), reads.actor(), aim.rule_id, reason)
    finally:
        rule_reads.forget_after_action()
    session.notify(NoticeKind.DONE, _("Rule deleted: {scope}. What it has begun goes on.").format(scope=aim.words))


@action
def look_now(rule_id: str, words: str) -> None:
    """The dry run, in a dialog."""
    rule_form.show_foreseen(words, retry_rules.foresee(reads.connected(), reads.actor(), rule_id))
