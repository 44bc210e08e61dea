"""The dialogs of automatic retries: the form, the question before a rule is deleted, and what a rule would do now."""

from collections import Counter

import pandas as pd
import streamlit as st

from backend.actions.automatic import Foreseen
from backend.content import rule_wording, wording
from backend.content.plans import Plan
from backend.content.retry_rules import RunVerdict
from backend.i18n import _, ngettext
from dashboard import rule_callbacks
from dashboard.components import rule_form
from dashboard.components.plan_dialog import estimate_words
from dashboard.durations import clock_time
from dashboard.untrusted import plain

LISTED = 200


def show_rule_dialogs() -> None:
    """Whichever is open; never two."""
    form, aim, seen = rule_form.open_form(), rule_form.open_delete(), rule_form.open_foreseen()
    if form is not None:
        title = _("New rule") if form.before is None else _("Change this rule")
        st.dialog(title, width="medium", on_dismiss=rule_form.close)(_form)()
    elif aim is not None:
        st.dialog(_("Delete this rule?"), on_dismiss=rule_form.close_delete)(_delete)()
    elif seen is not None:
        st.dialog(_("What it would do now"), width="medium", on_dismiss=rule_form.close_foreseen)(_foreseen)()


def _form() -> None:
    form = rule_form.open_form()
    if form is None:
        st.rerun()  # saved or closed: the page goes on
    is_readable = rule_form.show_fields()
    reason = st.text_input(_("Why (needed; told with everything that it does)"), key=rule_form.reason_key(), max_chars=300, live=True)
    st.caption(_("A new rule is off until you turn it on.") if form.before is None
               else _("Holds from the next look on. What it has begun goes on as it is."))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Close"), key="rule-close", on_click=rule_form.close)
        st.button(_("Save"), key="rule-save", type="primary", disabled=not is_readable or not (reason or "").strip(),
                  on_click=rule_callbacks.save_rule, shortcut="Ctrl+Enter")


def _delete() -> None:
    aim = rule_form.open_delete()
    if aim is None:
        st.rerun()
    st.markdown(f"**{plain(aim.words)}**")
    st.caption(_("Nothing is retried by it any more. What it has begun goes on, and its operations stay where they are."))
    reason = st.text_input(_("Reason (needed, written to the log)"), key="rule_delete_reason", max_chars=300, live=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Keep it"), key="rule-keep", on_click=rule_form.close_delete)
        st.button(_("Delete"), key="rule-delete", type="primary", disabled=not (reason or "").strip(),
                  on_click=rule_callbacks.delete_rule, shortcut="Ctrl+Enter")


def _foreseen() -> None:
    seen = rule_form.open_foreseen()
    if seen is None:
        st.rerun()
    found, plan = seen.foreseen, seen.foreseen.plan
    st.markdown(f"**{plain(seen.words)}**")
    if plan and plan.included:
        _show_included(plan, is_held=found.verdict is not RunVerdict.STARTED, words=_held_words(seen))
    else:
        st.info(_held_words(seen), icon=":material/info:")
    lines = []
    if found.waiting_count:
        lines.append(_("{items} wait until their next try.").format(items=wording.items(found.waiting_count)))
    if found.stays_count:
        lines.append(_("{items} stay for people: tried as often as there are steps.").format(items=wording.items(found.stays_count)))
    if plan:
        lines += [f"{wording.items(count)}: {wording.EXCLUSION_RULES[rule]}" for rule, count in Counter(
            left_out.rule for left_out in plan.excluded).most_common()]
    for line in lines:
        st.caption(plain(line))
    st.caption(_("Nothing was written. Looked at: {items}, the longest broken first.").format(items=wording.items(_looked_at(found))))
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(_("Close"), key="rule-foreseen-close", on_click=rule_form.close_foreseen)


def _looked_at(found: Foreseen) -> int:
    return found.waiting_count + found.stays_count + (len(found.plan.included) + len(found.plan.excluded) if found.plan else 0)


def _held_words(seen: rule_form.RuleForeseen) -> str:
    words, until = _("Nothing now. {why}").format(why=rule_wording.VERDICTS[seen.foreseen.verdict]), seen.foreseen.until_at
    return f"{words} {_('Until {time}.').format(time=clock_time(until))}" if until else words


def _show_included(plan: Plan, *, is_held: bool, words: str) -> None:
    if is_held:
        st.warning(words, icon=":material/pause_circle:")
        told = ngettext("After that it would retry {count} item:", "After that it would retry {count} items:", len(plan.included))
    else:
        told = ngettext("It would retry {count} item now:", "It would retry {count} items now:", len(plan.included))
    st.markdown(told.format(count=f"{len(plan.included):,}"))
    shown = plan.included[:LISTED]
    st.dataframe(pd.DataFrame({
        _("Content"): [wording.CONTENT_KINDS[row.key.kind] for row in shown], _("Title"): [row.title for row in shown],
        _("Roadmap or novel"): [row.owner_title or row.key.owner_id for row in shown],
    }), hide_index=True, height=min(36 + 35 * len(shown), 250))
    st.caption(" · ".join(f"{name}: {told}" for name, told in estimate_words(plan.estimate)))
