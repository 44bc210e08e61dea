"""The words that people read about automatic retries."""

from backend.content import wording
from backend.content.keys import ContentKind
from backend.content.retry_rules import RuleBudget, RuleTerms, RunVerdict, backoff_words
from backend.i18n import _

VERDICTS = {  # why nothing is begun, but for the first
    RunVerdict.STARTED: _("A retry was started."),
    RunVerdict.NOTHING_DUE: _("Nothing is due now."),
    RunVerdict.STILL_RUNNING: _("Its last retry has not ended yet."),
    RunVerdict.QUIET_HOURS: _("Quiet hours."),
    RunVerdict.BUDGET_SPENT: _("The budget of the day is spent."),
    RunVerdict.MODEL_HELD: _("The model, or whoever paints, does not answer."),
    RunVerdict.NO_PRICE: _("A budget of money holds, and REDRIVE_PRICES has no price of the model."),
    RunVerdict.RESTING: _("Its last retry stopped by itself, so it rests."),
    RunVerdict.ALL_LEFT_OUT: _("Plans leave out all that is due."),
}
KINDS_PLURAL = {
    ContentKind.TUTORIAL: _("tutorials"), ContentKind.RESOURCES: _("resources"), ContentKind.QUIZ: _("quizzes"),
    ContentKind.COVER: _("covers"), ContentKind.CHAPTER: _("chapters"), ContentKind.FRAMEWORK: _("frameworks"),
}


def rule_scope(terms: RuleTerms, cause: str = "") -> str:
    """"Tutorials · Model timed out": what a rule is for."""
    kind = KINDS_PLURAL[terms.kind] if terms.kind else _("all content")
    words = kind[:1].upper() + kind[1:]
    return f"{words} · {cause or terms.cause_id}" if terms.cause_id else words


def rule_terms(terms: RuleTerms, currency: str) -> str:
    """"after 1 min, 10 min, 1 h; at most 50 items a run; 500 items a day, quiet hours 22:00-06:00"."""
    quiet = _(", quiet hours {hours}").format(hours=terms.quiet_hours) if terms.quiet_hours else ""
    return _("after {steps}; at most {items} a run; {budget} a day").format(
        steps=backoff_words(terms.backoff), items=wording.items(terms.budget.run_items), budget=day_budget(terms.budget, currency)) + quiet


def day_budget(budget: RuleBudget, currency: str) -> str:
    words = [wording.items(budget.day_items)]
    if budget.day_calls is not None:
        words.append(_("{count:,} calls").format(count=budget.day_calls))
    if budget.day_tokens is not None:
        words.append(_("{count:,} tokens").format(count=budget.day_tokens))
    if budget.day_cost is not None:
        words.append(wording.money(budget.day_cost, currency))
    return ", ".join(words)
