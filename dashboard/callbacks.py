"""What buttons do that start or stop work. Each runs before the page is drawn again and leaves a notice; none shows anything itself."""

import structlog

from backend.actions import cancel, limits, retry
from backend.actions.actors import NotAllowed
from backend.actions.cancel import Cancelled, NotFound, Refused
from backend.actions.force_stop import force_stop
from backend.content import wording
from backend.content.keys import ContentKey
from backend.content.plans import Plan
from backend.content.scopes import Scope
from backend.i18n import _, ngettext
from backend.views import ledger, operation_groups, task_log
from backend.views.availability import DATABASE_ERRORS
from dashboard import reads, session
from dashboard.clicks import action
from dashboard.components.cause_words import retry_words
from dashboard.components.limits_form import chosen
from dashboard.components.permission import is_count_right, starts_at_once
from dashboard.components.task_words import task_words
from dashboard.durations import span
from dashboard.session import LimitsAim, NoticeKind, StopAim

log = structlog.get_logger()
NAMED_TASKS, NAMED_SKIPPED = 8, 5


@action
def plan_retry(scope: Scope, scope_words: str) -> None:
    """Start a small retry of a scope at once; open the dialog with the dry run of any other."""
    _start_or_show(retry.plan(reads.connected(), scope, reads.actor()), scope_words)


def _start_or_show(plan: Plan, scope_words: str) -> None:
    if not starts_at_once(plan):
        session.show_plan(plan, scope_words)
        return
    actor = reads.actor()
    of_others = [found for found in reads.recent_retries(plan.largest_causes) if found.actor_id != actor.actor_id]
    confirmed = retry.confirm(reads.connected(), plan, actor)
    session.clear_selection()
    _tell_started(confirmed, scope_words)
    for found in of_others[:1]:  # no dialog has told it before the click
        session.notify(NoticeKind.INFO, retry_words(found))


@action
def plan_again(*, overrides_limits: bool | None = None, reopens: bool | None = None) -> None:
    """The same scope once more, with or without what is over a limit or was cancelled. A reason that was written stays."""
    before, reason = session.open_plan(), session.plan_reason()
    if before is not None:
        plan = retry.plan(
            reads.connected(), before.scope, reads.actor(),
            overrides_limits=before.overrides_limits if overrides_limits is None else overrides_limits,
            reopens=before.reopens if reopens is None else reopens)
        session.show_plan(plan, session.plan_scope_words(), reason)


@action
def plan_retry_of_tasks(task_ids: tuple[str, ...], words: str) -> None:
    """Retry what failed in these tasks and is a problem now."""
    keys = task_log.failed_keys(reads.connected(), task_ids)
    if not keys:
        session.notify(NoticeKind.INFO, _("Nothing that failed in {tasks} is a problem now.").format(tasks=words))
        return
    _start_or_show(retry.plan(reads.connected(), Scope.of(*keys), reads.actor()), _("what failed in {tasks}").format(tasks=words))


@action
def plan_retry_of_operation(operation_id: str, words: str) -> None:
    """Retry what failed in this operation and is a problem now."""
    keys = ledger.failed_keys(reads.connected(), operation_id)
    if not keys:
        session.notify(NoticeKind.INFO, _("Nothing that failed in this operation is a problem now."))
        return
    _start_or_show(retry.plan(reads.connected(), Scope.of(*keys), reads.actor()), _("what failed in “{operation}”").format(operation=words))


@action
def plan_operation_again(operation_id: str, words: str) -> None:
    """A new plan of the scope of an operation, as that scope is now."""
    scope = operation_groups.scope_again(reads.connected(), operation_id)
    if scope is not None:
        _start_or_show(retry.plan(reads.connected(), scope, reads.actor()), words)


def ask_limits(aim: LimitsAim) -> None:
    """Open the dialog that changes the limits of an operation."""
    session.forget_notices()
    session.show_limits(aim)
    session.want_page()


@action
def change_limits(form: str) -> None:
    """What the fields of the dialog say. It stays open while they cannot be read."""
    aim = session.open_limits()
    if aim is None or not session.limits_reason():
        return
    try:
        after = limits.change(
            reads.connected(), aim.operation_id, reads.actor(), aim.before, chosen(form, aim.before), session.limits_reason())
    except ValueError as exc:
        session.notify(NoticeKind.WARNING, str(exc))
        return
    except (NotAllowed, NotFound, Refused):
        session.close_limits()
        raise
    finally:
        reads.forget_after_action()
    session.close_limits()
    session.notify(NoticeKind.DONE, _("Limits changed: {limits}").format(limits=wording.limits(after, reads.currency())))


@action
def confirm_plan() -> None:
    """Start exactly what the dialog shows. A second click finds the dialog's plan gone, or the same operation."""
    plan = session.open_plan()
    if plan is None or not is_count_right(plan):
        return
    try:
        chosen_limits = chosen(session.PLAN, reads.default_limits(plan))
        confirmed = retry.confirm(reads.connected(), plan, reads.actor(), session.plan_reason(), limits=chosen_limits)
    except ValueError as exc:  # quiet hours that cannot be read: the dialog stays open
        if isinstance(exc, retry.ReasonNeeded):
            raise
        session.notify(NoticeKind.WARNING, str(exc))
        return
    except (NotAllowed, retry.NothingToRetry):
        session.close_plan()
        raise
    session.close_plan()
    session.clear_selection()
    _tell_started(confirmed, session.plan_scope_words())


@action
def retry_one(key: ContentKey, words: str) -> None:
    """Plan and start one content key at once."""
    redrive, actor = reads.connected(), reads.actor()
    confirmed = retry.confirm(redrive, retry.plan(redrive, Scope.of(key), actor), actor)
    _tell_started(confirmed, words)


def _tell_started(confirmed: retry.Confirmed, scope_words: str) -> None:
    reads.forget_after_action()
    items = wording.items(confirmed.item_count)
    words = _("Retry of {items} started: {scope}").format(items=items, scope=scope_words)
    if confirmed.armed_seconds:
        words = _("Retry of {items} starts in {span}: {scope}. Undo takes it back.").format(
            items=items, span=span(confirmed.armed_seconds), scope=scope_words)
    session.notify(NoticeKind.DONE, words)
    if triggered := reads.triggered_words(confirmed.operation_id, NAMED_SKIPPED):
        session.notify(NoticeKind.INFO, triggered + _overtaken_words(confirmed.overtaken_count))


def _overtaken_words(count: int) -> str:
    """They are among the skipped ones: said in the same breath, or they would be counted as others."""
    if not count:
        return ""
    return _(". {items} had been started by somebody else in the meantime.").format(items=wording.items(count))


def ask_stop(aim: StopAim) -> None:
    """Open the dialog that cancels or pauses, whichever the aim is."""
    session.forget_notices()
    session.show_stop(aim)
    session.want_page()


@action
def confirm_stop() -> None:
    """Cancel or pause what the dialog names. It closes unless words are missing."""
    aim, reason, note = session.open_stop(), session.stop_reason(), session.stop_note()
    if aim is None or (aim.needs_words and not note):
        return
    session.close_stop()
    redrive, actor = reads.connected(), reads.actor()
    try:
        if aim.force_item_ids:
            _force_stop(aim, note)
        elif aim.task_ids:
            _cancel_tasks(aim, note)
        elif aim.paused_operation_id:
            cancel.pause(redrive, aim.paused_operation_id, actor, note)
            session.notify(NoticeKind.DONE, _("Paused: {what}. What runs now finishes; the rest waits.").format(what=aim.words))
        elif aim.operation_id:
            _tell_cancelled(cancel.cancel_operation(redrive, aim.operation_id, actor, reason, note), aim.words)
        elif aim.scope is not None:
            _tell_cancelled(cancel.cancel_items(redrive, aim.scope, actor, reason, note), aim.words)
    finally:
        reads.forget_after_action()


@action
def undo_operation(operation_id: str, words: str) -> None:
    """Take back what has not begun."""
    try:
        done = cancel.undo(reads.connected(), operation_id, reads.actor())
    finally:
        reads.forget_after_action()
    session.notify(NoticeKind.DONE, _("Undone: {what}. Nothing was begun, {items} taken back.").format(
        what=words, items=wording.items(done.cancelled_count)))


@action
def resume_operation(operation_id: str, words: str) -> None:
    try:
        cancel.resume(reads.connected(), operation_id, reads.actor())
        session.notify(NoticeKind.DONE, _("Resumed: {what}").format(what=words))
    finally:
        reads.forget_after_action()


def _force_stop(aim: StopAim, note: str) -> None:
    """Kill the work-horses of items that did not stop by themselves."""
    done = force_stop(reads.connected(), aim.force_item_ids, reads.actor(), note)
    session.notify(NoticeKind.DONE, _("{items} stopped by force: {what}").format(
        items=wording.items(done.cancelled_count), what=aim.words))
    if not done.is_complete:
        session.notify(NoticeKind.WARNING, _(
            "Its process could not be reached and may still run; if it hangs, restart its worker. "
            "What it would save changes nothing any more."))


def _cancel_tasks(aim: StopAim, note: str) -> None:
    """Each task by itself: one that is refused keeps no other from being cancelled, and an outage hides nothing that was done before it."""
    redrive, actor, reason = reads.connected(), reads.actor(), session.stop_reason()
    names = {row.task_id: task_words(row) for row in reads.task_rows(aim.task_ids)}
    done: list[Cancelled] = []
    refused: dict[str, list[str]] = {}
    for place, task_id in enumerate(aim.task_ids):
        try:
            done.append(cancel.cancel_task(redrive, task_id, actor, reason, note))
        except (NotFound, Refused, NotAllowed) as exc:
            refused.setdefault(str(exc), []).append(names.get(task_id, task_id))
        except DATABASE_ERRORS as exc:
            if not done:
                raise
            _tell_cut_off(aim.task_ids[place:], exc)
            break
    else:
        if done:
            session.forget_chosen(session.TASKS)
    if done:
        words = ngettext("{count} task cancelled", "{count} tasks cancelled", len(done)).format(count=len(done))
        if stopping := sum(found.cancelling_count for found in done):
            words += _("; {items} still stopping").format(items=wording.items(stopping))
        session.notify(NoticeKind.DONE, words)
    for why, tasks in refused.items():
        more = _(" and {count} more").format(count=len(tasks) - NAMED_TASKS) if len(tasks) > NAMED_TASKS else ""
        session.notify(NoticeKind.WARNING, _("Not cancelled: {tasks}. {why}").format(tasks="; ".join(tasks[:NAMED_TASKS]) + more, why=why))


def _tell_cut_off(left: tuple[str, ...], exc: Exception) -> None:
    """The database went away in the middle: what is left stays chosen."""
    log.error("cancel_cut_off", left=len(left), error=str(exc).partition("\n")[0])
    session.suspect_outage()
    session.forget_chosen(session.TASKS)
    session.choose_ids(session.TASKS, left)
    session.notify(NoticeKind.ERROR, ngettext(
        "The database stopped answering before {count} task was cancelled. It is still chosen; try again.",
        "The database stopped answering before {count} tasks were cancelled. They are still chosen; try again.",
        len(left)).format(count=len(left)))


def _tell_cancelled(done: Cancelled, words: str) -> None:
    told = []
    if done.cancelled_count:
        told.append(_("{items} cancelled").format(items=wording.items(done.cancelled_count)))
    if done.cancelling_count:
        told.append(_("{items} told to stop").format(items=wording.items(done.cancelling_count)))
    session.notify(NoticeKind.DONE, f"{', '.join(told) or _('Cancelled')}: {words}")
