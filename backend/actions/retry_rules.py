"""Making, changing, turning on and off, and deleting the rules by which Redrive retries by itself. Each is in the audit log."""

from uuid import uuid4

from sqlalchemy import Connection

from backend.actions import automatic
from backend.actions.actors import Actor, Permission, ReasonNeeded, require
from backend.actions.automatic import Foreseen
from backend.actions.cancel import NotFound, Refused
from backend.clock import utc_now
from backend.content import rule_wording
from backend.content.keys import ContentKind
from backend.content.prices import check_money
from backend.content.retry_rules import RetryRule, RuleTerms
from backend.content.scopes import Scope
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, cause_records, retry_due, retry_rules
from backend.storage.problem_list import describe_scope
from backend.storage.retry_rules import StoredRule

REASON_CHARACTERS = 300


def create(redrive: Redrive, actor: Actor, terms: RuleTerms, reason: str) -> str:
    """A rule that is off until somebody turns it on. Returns its id.

    Raises NotAllowed, ReasonNeeded, NoPrice when its budget of money cannot be kept, Refused when there is one for the same.
    """
    require(actor, Permission.AUTOMATE)
    reason, rule_id = _reason(reason), uuid4().hex
    _check_price(redrive, terms)
    with redrive.engine.begin() as connection:
        if not retry_rules.insert_rule(connection, rule_id, terms, by=actor.actor_id, reason=reason, now=utc_now()):
            raise _there_is_one()
        _audit(connection, actor, "create", terms, reason, _terms_words(redrive, terms))
    return rule_id


def change(redrive: Redrive, actor: Actor, before: RetryRule, terms: RuleTerms, reason: str) -> None:
    """Other terms for a rule; when it is on, every key is judged by them at the next look.

    Raises NotAllowed, ReasonNeeded, NoPrice as `create` does, and Refused when somebody changed it since `before` was read.
    """
    require(actor, Permission.AUTOMATE)
    reason = _reason(reason)
    _check_price(redrive, terms)
    with redrive.engine.begin() as connection:
        cause_records.hold_alone(connection)
        changed = retry_rules.change_rule(connection, before, terms, by=actor.actor_id, reason=reason, now=utc_now())
        if changed is None:
            raise _there_is_one()
        if not changed:
            raise Refused(_("Somebody changed or deleted this rule in the meantime. Look at it again first."))
        retry_due.forget_all(connection, before.rule_id)
        retry_due.note_all(connection, before.rule_id)  # of one that is off: nothing
        _audit(connection, actor, "change", terms, reason, _("{before} -> {after}").format(
            before=_terms_words(redrive, before.terms), after=_terms_words(redrive, terms)))


def set_enabled(redrive: Redrive, actor: Actor, rule_id: str, *, is_enabled: bool) -> None:
    """Turn a rule on or off. Tries from before it is turned on do not count. What it has begun goes on.

    Raises NotAllowed, NotFound, Refused when it is so already.
    """
    require(actor, Permission.AUTOMATE)
    with redrive.engine.begin() as connection:
        cause_records.hold_alone(connection)  # a drain at work knows nothing of the rule yet
        found = _found(connection, rule_id)
        if not retry_rules.set_enabled(connection, rule_id, is_enabled=is_enabled, by=actor.actor_id, now=utc_now()):
            raise Refused(_("This rule is on already.") if is_enabled else _("This rule is off already."))
        if is_enabled:
            retry_due.note_all(connection, rule_id)
        else:
            retry_due.forget_all(connection, rule_id)
        _audit(connection, actor, "enable" if is_enabled else "disable", found.rule.terms)


def delete(redrive: Redrive, actor: Actor, rule_id: str, reason: str) -> None:
    """What it did stays written down; what it has begun goes on. Raises NotAllowed, ReasonNeeded, NotFound."""
    require(actor, Permission.AUTOMATE)
    reason = _reason(reason)
    with redrive.engine.begin() as connection:
        found = _found(connection, rule_id)
        retry_rules.delete_rule(connection, rule_id, by=actor.actor_id, now=utc_now())
        retry_due.forget_all(connection, rule_id)
        _audit(connection, actor, "delete", found.rule.terms, reason)


def foresee(redrive: Redrive, actor: Actor, rule_id: str) -> Foreseen:
    """The dry run: what the rule would do now; of one that is off, if it were on. Writes nothing. Raises NotAllowed, NotFound."""
    require(actor, Permission.RETRY)
    with redrive.engine.connect() as connection:
        found = _found(connection, rule_id)
    return automatic.foresee(redrive, found.rule, looks_anyway=True)


def _found(connection: Connection, rule_id: str) -> StoredRule:
    found = retry_rules.find_rule(connection, rule_id)
    if found is None:
        raise NotFound(_("There is no such rule any more."))
    return found


def _reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonNeeded(_("Say why: others see it with the rule and with everything that it does."))
    return reason.strip()[:REASON_CHARACTERS]


def _check_price(redrive: Redrive, terms: RuleTerms) -> None:
    """What nobody can add up cannot be kept. A cause may touch every kind of content."""
    if terms.budget.day_cost is not None:
        check_money(redrive.settings, (terms.kind,) if terms.kind else tuple(ContentKind))


def _there_is_one() -> Refused:
    return Refused(_("There is a rule for this cause and kind already. Change that one."))


def _terms_words(redrive: Redrive, terms: RuleTerms) -> str:
    return rule_wording.rule_terms(terms, redrive.settings.currency)


def _audit(connection: Connection, actor: Actor, what: str, terms: RuleTerms, reason: str = "", result: str = "") -> None:
    audit.record(connection, actor, action=f"retry_rule_{what}", scope=describe_scope(connection, Scope.matching(terms.filter)),
                 reason=reason, result=result)
