"""The rules of automatic retries: each with what it waits for, what it did last, how it fares and what it may still use today."""

import streamlit as st

from backend.content import rule_wording, wording
from backend.content.keys import ContentKind
from backend.content.retry_rules import RunVerdict
from backend.i18n import _
from backend.views.automatic import RuleRow, RulesView, Run
from dashboard import address, reads, rule_callbacks, rule_reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks, rule_form
from dashboard.components.cause_words import success_words
from dashboard.durations import age, clock_time, span
from dashboard.navigation import operations_page
from dashboard.palette import AMBER, GREEN, GREY, OPERATION_STATES, Look
from dashboard.untrusted import escaped, plain

POLL_SECONDS = 3
LINKED_RUNS = 6
ON, HELD, OFF = Look(GREEN, "▸", _("On")), Look(AMBER, "‖", _("On, held")), Look(GREY, "○", _("Off"))


def may_help(words: str) -> str:
    """Help of a button: what it does, or why it cannot be pressed."""
    if rule_reads.may_automate():
        return words
    return _("Your role, {role}, may look only. Rules spend without asking, so they need the role admin.").format(role=reads.actor().role)


def asked_rule(found: RulesView) -> str:
    """The one rule that the URL names; "" for all of them. One that is not there is told."""
    rule_id = address.value("rule").strip()
    if rule_id and all(row.rule.rule_id != rule_id for row in found.rows):
        st.warning(_("The rule that you asked for is not there: it was deleted, or the link is not right."), icon=":material/search_off:")
        return ""
    return rule_id


def show_back() -> None:
    st.button(_("All rules"), key="all-rules", icon=":material/list:", type="tertiary", on_click=address.forget, args=(("rule",),))


def show_new(found: RulesView) -> None:
    st.caption(_("A rule retries by itself what breaks by one cause, or of one kind of content: within a budget, with a longer wait "
                 "after each failure, and never what people ignore or cancelled. What it begins is an operation like every other; its "
                 "items go to a queue of their own, so people's work never waits behind them."))
    able = rule_reads.may_automate()
    with st.container(horizontal=True, gap="small"):
        st.button(_("New rule"), key="rule-new", type="primary", icon=":material/add:", disabled=not able,
                  help=may_help(_("It is off until you turn it on.")), on_click=rule_callbacks.open_form, args=(rule_form.RuleForm(),))
        if ContentKind.COVER not in found.kinds:
            st.button(_("Suggested: covers after 1 min, 10 min, 1 h"), key="rule-covers", icon=":material/image:", disabled=not able,
                      help=may_help(_("Opens the form with this suggestion.")), on_click=rule_callbacks.open_form,
                      args=(rule_form.for_covers(),))


def show_rules(found: RulesView, asked: str = "") -> None:
    """All rules, or the one that is asked for, with its history."""
    if not found.rows:
        st.info(_("**Nothing is retried by itself.** There is no rule yet. Make one here, or from the page of a cause with *Retry this "
                  "automatically*."), icon=":material/autorenew:")
        return
    st.fragment(_live, run_every=POLL_SECONDS if any(row.rule.is_enabled for row in found.rows) else None)(
        tuple(row.rule.rule_id for row in found.rows), asked)


def _live(drawn: tuple[str, ...], asked: str) -> None:
    guarded_part(lambda: _show_rows(drawn, asked))


def _show_rows(drawn: tuple[str, ...], asked: str) -> None:
    found = rule_reads.rules()
    if {row.rule.rule_id for row in found.rows} != set(drawn):
        st.rerun()  # somebody made or deleted one
    for row in found.rows:
        if asked in ("", row.rule.rule_id):
            with st.container(border=True, key=f"cause-rule-{row.rule.rule_id}", gap="small"):
                st.html(_block(row))
                _offer(row)
                _show_history(row, is_open=bool(asked))


def _block(row: RuleRow) -> str:
    look = OFF if not row.rule.is_enabled else HELD if row.held and row.held.verdict is not RunVerdict.STILL_RUNNING else ON
    facts = [(_("Next"), _next_words(row)), (_("Last"), _last_words(row.last)),
             (_("So far"), success_words(row.retries.succeeded, row.retries.failed)), (_("Today"), _today_words(row))]
    cells = "".join(f'<tr><td class="rd-quiet">{escaped(name)}</td><td class="rd-wrap">{escaped(words)}</td></tr>' for name, words in facts)
    who = _("by {actor} {age}: “{reason}”").format(actor=row.stored.created_by, age=age(row.stored.created_at), reason=row.stored.reason)
    return (f'<div class="rd"><div class="rd-row">{blocks.toned(look)}<span class="rd-strong rd-wrap">{escaped(row.scope)}</span></div>'
            f'<div class="rd-small rd-quiet rd-wrap">{escaped(rule_wording.rule_terms(row.rule.terms, reads.currency()))} · '
            f'{escaped(who)}</div><table class="rd-table rd-small rd-narrow">{cells}</table></div>')


def _next_words(row: RuleRow) -> str:
    """When something is due, or what holds it."""
    if not row.rule.is_enabled:
        return _("nothing: it is off")
    words = []
    if row.due_count:
        words.append(_("{items} due now").format(items=wording.items(row.due_count)))
        if row.held:
            until = _(" until {time}").format(time=clock_time(row.held.until_at)) if row.held.until_at else ""
            words.append(_("held{until}: {why}").format(until=until, why=rule_wording.VERDICTS[row.held.verdict]))
    if row.waiting_count:
        words.append(_("{items} wait for their time").format(items=wording.items(row.waiting_count)))
        if row.next_due_at and not row.due_count:
            words.append(_("the next in {span}").format(span=span((row.next_due_at - rule_reads.rules().as_of).total_seconds())))
    if row.stays_count:
        words.append(_("{items} stay for people").format(items=wording.items(row.stays_count)))
    return " · ".join(words) or _("nothing of it is broken")


def _last_words(last: Run | None) -> str:
    if last is None:
        return _("nothing yet")
    if last.verdict is RunVerdict.STARTED:
        state = OPERATION_STATES[last.state].word.lower() if last.state else _("gone")
        return _("{items} {age}: {state}, {succeeded:,} succeeded, {failed:,} failed").format(
            items=wording.items(last.item_count), age=age(last.began_at), state=state, succeeded=last.retries.succeeded,
            failed=last.retries.failed)
    return f"{age(last.last_at)}: {_why_words(last)}"


def _why_words(run: Run) -> str:
    words = " ".join(filter(None, (rule_wording.VERDICTS[run.verdict], run.words)))
    return words if run.operation_id else _("Nothing begun. {why}").format(why=words)


def _today_words(row: RuleRow) -> str:
    """"12 of 500 items, 12 of 600 calls, 3,400 tokens"."""
    budget, today = row.rule.terms.budget, row.today

    def of(used: str, most: str | None, word: str) -> str:
        return f"{used} {_('of')} {most} {word}" if most else f"{used} {word}"

    words = [of(f"{today.items:,}", f"{budget.day_items:,}", _("items")),
             of(f"{today.calls:,}", f"{budget.day_calls:,}" if budget.day_calls else None, _("calls"))]
    if budget.day_tokens or today.tokens:
        words.append(of(f"{today.tokens:,}", f"{budget.day_tokens:,}" if budget.day_tokens else None, _("tokens")))
    if budget.day_cost or today.cost:
        words.append(of(f"{today.cost:,.2f}", f"{budget.day_cost:,.2f}" if budget.day_cost else None, reads.currency()))
        if today.unpriced_calls:
            words.append(wording.unpriced(today.unpriced_calls))
    return ", ".join(words)


def _offer(row: RuleRow) -> None:
    rule_id, able, key = row.rule.rule_id, rule_reads.may_automate(), f"rule-on-{row.rule.rule_id}"
    session.seed_widget(key, row.rule.is_enabled)  # the database is the truth, whoever turned it
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.toggle(_("On"), key=key, disabled=not able, help=may_help(_("Retry by itself. Turning it on begins anew: earlier failures "
                  "do not count.")), on_change=rule_callbacks.turn, args=(rule_id, row.scope, key))
        st.button(_("What would it do now?"), key=f"rule-look-{rule_id}", icon=":material/visibility:",
                  help=_("The dry run: nothing is written."), on_click=rule_callbacks.look_now, args=(rule_id, row.scope))
        st.button(_("Change"), key=f"rule-change-{rule_id}", icon=":material/edit:", disabled=not able,
                  help=may_help(_("Budget, waits, quiet hours")), on_click=rule_callbacks.open_form,
                  args=(rule_form.RuleForm(row.rule.terms, row.rule, row.stored.reason),))
        st.button(_("Delete"), key=f"rule-ask-delete-{rule_id}", icon=":material/delete:", disabled=not able,
                  help=may_help(_("It asks for a reason.")), on_click=rule_callbacks.ask_delete, args=(rule_id, row.scope))


def _show_history(row: RuleRow, *, is_open: bool) -> None:
    if row.last is None:
        return
    with st.expander(_("What it did"), expanded=is_open, on_change="rerun", key=f"rule-history-{row.rule.rule_id}-{is_open}") as expander:
        if not expander.open:
            return
        found = rule_reads.runs(row.rule.rule_id)
        heads = (_("When"), _("What"), _("Items"), _("What came of it"))
        st.html(blocks.table((_run_row(run) for run in found), heads))
        with st.container(horizontal=True, gap="small"):
            for run in [run for run in found if run.operation_id][:LINKED_RUNS]:
                st.page_link(operations_page(), label=plain(_("Ledger of {age}").format(age=age(run.began_at))),
                             icon=":material/playlist_play:", query_params={"operation": run.operation_id}, width="content")


def _run_row(run: Run) -> list[str]:
    when = age(run.began_at) if run.last_at == run.began_at else _("{began}, until {last}").format(
        began=age(run.began_at), last=age(run.last_at))
    state = blocks.toned(OPERATION_STATES[run.state]) if run.state else ""
    came = success_words(run.retries.succeeded, run.retries.failed) if run.operation_id else ""
    return [escaped(when), f'<span class="rd-wrap">{escaped(_why_words(run))}</span> {state}',
            f"{run.item_count:,}" if run.operation_id else "", escaped(came)]
