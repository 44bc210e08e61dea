"""What the person may do, for buttons: the same predicate that the action asks again."""

from collections.abc import Iterable

from backend.actions.actors import Permission
from backend.content.limits import over_budget
from backend.content.plans import ExclusionRule, Plan
from backend.i18n import _
from backend.views.tasks import TaskRow
from dashboard import reads, session


def may_retry() -> bool:
    return reads.actor().may(Permission.RETRY)


def retry_help(words: str) -> str:
    """Help of a retry button: what it does, or why it cannot be pressed."""
    if may_retry():
        return words
    return _("Your role, {role}, may look only. Retrying needs the role operator.").format(role=reads.actor().role)


def may_cancel(started_by: Iterable[str]) -> bool:
    """Cancel, pause and resume: what one started oneself, or anything with the role."""
    actor = reads.actor()
    others = set(started_by) - {actor.actor_id}
    return actor.may(Permission.CANCEL_OTHERS if others else Permission.CANCEL)


def may_cancel_anything() -> bool:
    return reads.actor().may(Permission.CANCEL_OTHERS)


def cancel_help(words: str, started_by: Iterable[str]) -> str:
    """Help of a button that stops something: what it does, or why it cannot be pressed."""
    if may_cancel(started_by):
        return words
    if reads.actor().may(Permission.CANCEL):
        return _("Somebody else started this. Stopping it needs the role admin.")
    return _("Your role, {role}, may look only. Stopping what you started needs the role operator.").format(role=reads.actor().role)


def starters_of_task(row: TaskRow) -> tuple[str, ...]:
    """Who has to be asked, in effect: nobody else when the task is one's own."""
    return () if row.user_id == reads.actor().actor_id else row.starter_ids or (row.user_id,)


def may_triage() -> bool:
    return reads.actor().may(Permission.TRIAGE)


def triage_help(words: str) -> str:
    """Help of a button that decides about a cause: what it does, or why it cannot be pressed."""
    if may_triage():
        return words
    return _("Your role, {role}, may look only. Deciding about causes needs the role operator.").format(role=reads.actor().role)


def may_override() -> bool:
    return reads.actor().may(Permission.OVERRIDE_LIMITS)


def starts_at_once(plan: Plan) -> bool:
    """One click is enough: it is small and within budget, it can be undone, and there is nothing to decide about what is over a limit."""
    has_choice = plan.overrides_limits or (over_limit_count(plan) and may_override())
    return not has_choice and 1 <= len(plan.included) <= reads.interactive_items() and _is_within_budget(plan)


def _is_within_budget(plan: Plan) -> bool:
    limits = reads.default_limits(plan)
    is_kept = limits.budget_cost is None or not reads.unpriced_models(plan.kinds_to_make)
    return is_kept and not over_budget(limits, plan.estimate)


def over_limit_count(plan: Plan) -> int:
    """What a person with the role may include all the same."""
    return plan.count(ExclusionRule.POISON) + plan.count(ExclusionRule.OVER_BUDGET)


def must_type_count(plan: Plan) -> bool:
    return len(plan.included) > reads.interactive_items()


def is_count_right(plan: Plan) -> bool:
    """The person has typed how many items a large plan starts."""
    return not must_type_count(plan) or session.plan_count() == len(plan.included)
