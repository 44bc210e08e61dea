"""The parts of the Workers page: the model, queues, workers, what was mended, what was given up. Polled: they beat all the time."""

from datetime import datetime

import streamlit as st

from backend.clock import utc_now
from backend.content import wording
from backend.content.status import BreakerState, Priority
from backend.content.stopping import CancelScope
from backend.i18n import _, ngettext
from backend.views.operations import ItemRow
from backend.views.workers import Breaker, QueueSeen, Work, WorkerAtWork, WorkersView
from dashboard import callbacks, reads
from dashboard.boundary import guarded_part
from dashboard.components import blocks
from dashboard.components.header import OFFLINE
from dashboard.components.item_words import item_words
from dashboard.components.permission import cancel_help, may_cancel_anything
from dashboard.durations import age, clock_time, short_time
from dashboard.palette import BLUE, BREAKER_STATES, CANCELLING, GREEN, GREY, RED, Look
from dashboard.session import StopAim
from dashboard.untrusted import escaped

POLL_SECONDS = 3
NO_BREAK = "\u00a0"
CANNOT_TELL = _("cannot tell")
QUEUES = {
    Priority.INTERACTIVE: _("Interactive: small retries"), Priority.BULK: _("Bulk: large retries"),
    Priority.AUTOMATIC: _("Automatic: asked for by machines"),
}


def show_workers() -> None:
    st.fragment(_live, run_every=POLL_SECONDS)()


def _live() -> None:
    guarded_part(lambda: _show(reads.read_workers()))


def _show(found: WorkersView) -> None:
    _offer_cancel_everything(found)
    with st.container(key="workers-body"):
        left, right = st.columns([3, 2], gap="large")
    with left:
        _show_queues(found)
        _show_crew(found)
        _show_given_up(found)
    with right:
        _show_breakers(found)
        _show_maintenance(found)
        _show_findings(found)


def _offer_cancel_everything(found: WorkersView) -> None:
    """For admins: whatever is planned, queued or running."""
    count = found.unsettled_count
    words = _("everything that is planned, queued or running: {items} now").format(items=wording.items(count))
    told = ngettext("{count} item is planned, queued or running.", "{count} items are planned, queued or running.", count)
    aim = StopAim(words, scope=CancelScope.everything(), detail=_("This stops the work of everybody, in all queues."))
    is_idle = may_cancel_anything() and not count
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(told.format(count=f"{count:,}") if count else _("Nothing is planned, queued or running."), width="content")
        st.button(_("Cancel everything"), key="cancel-everything", type="tertiary", icon=":material/cancel:",
                  disabled=not may_cancel_anything() or not count, on_click=callbacks.ask_stop, args=(aim,),
                  help=_("There is nothing to cancel.") if is_idle else cancel_help(
                      _("Cancel everything that is planned, queued or running, of everybody."), ["somebody else"]))


# --- queues

def _show_queues(found: WorkersView) -> None:
    st.subheader(_("Queues"), anchor=False)
    st.html(blocks.table(
        (_queue_row(queue, found.as_of) for queue in found.queues),
        (_("Queue"), _("Jobs waiting"), _("Items planned"), _("Queued"), _("Oldest planned"), _("Running"))))


def _queue_row(queue: QueueSeen, now: datetime) -> list[str]:
    planned = f"{queue.planned:,}"
    for count, words in ((queue.held_by_pause, _("({count} paused)")), (queue.unwritten, _("({count} being written down)"))):
        if count:
            planned += " " + words.format(count=f"{count:,}")
    oldest = age(queue.oldest_planned_at, now) if queue.oldest_planned_at else "–"
    running = f"{queue.running:,}"
    if queue.cancelling:
        running += " " + _("({count} stopping)").format(count=f"{queue.cancelling:,}")
    return [escaped(QUEUES[queue.priority]), _told(queue.jobs_waiting), escaped(planned), f"{queue.queued:,}", escaped(oldest),
            escaped(running)]


def _told(count: int | None) -> str:
    """A number from Redis, or that nobody can tell."""
    return f"{count:,}" if count is not None else f'<span class="rd-quiet">{escaped(CANNOT_TELL)}</span>'


# --- workers

def _show_crew(found: WorkersView) -> None:
    st.subheader(_("Workers"), anchor=False)
    if found.workers is None:
        st.caption(_("Redis does not answer, so which workers are alive cannot be told. What runs, as PostgreSQL knows it, is below."))
    elif not found.workers:
        st.caption(_("No worker is alive."))
    else:
        st.html(blocks.table((_worker_row(worker, found.as_of) for worker in found.workers),
                             (_("Worker"), _("Queue"), _("State"), _("Does now"), _("Heartbeat"))))
    if found.unclaimed_work:
        st.html(f'<div class="rd rd-small rd-strong" style="margin-top:.4rem">{escaped(_unclaimed_words(found))}</div>' + blocks.table(
            ([escaped(work.host or _("unknown host")), _work_words(work), _beat(work.heartbeat_at, found.as_of)]
             for work in found.unclaimed_work), (_("Host"), _("Runs"), _("Heartbeat"))))
    elif found.workers is None:
        st.caption(_("No item is running."))


def _unclaimed_words(found: WorkersView) -> str:
    if found.workers is None:
        return _("Running items")
    return _("Running items whose worker is not seen; they are taken back when their heartbeat stays away")


def _worker_row(worker: WorkerAtWork, now: datetime) -> list[str]:
    seen = worker.seen
    look = Look(BLUE, "▸", _("Busy")) if seen.is_busy else Look(GREY, "·", _("Idle"))
    doing = _work_words(worker.work) if worker.work else escaped(_("begins or ends a job") if seen.is_busy else "")
    process = f"{seen.host or seen.name}" + (f"{NO_BREAK}·{NO_BREAK}{seen.pid}" if seen.pid else "")
    return [f'<span title="{escaped(seen.name)}" style="overflow-wrap:break-word">{escaped(process)}</span>',
            escaped(seen.queue.replace("redrive-", "")), blocks.toned(look), doing, _beat(seen.last_heartbeat_at, now)]


def _work_words(work: Work) -> str:
    """"8 items: Tutorial of Backpressure, ...", and how many of them are stopping."""
    named = ", ".join(item_words(row) for row in work.first)
    more = _(", and {count} more").format(count=work.count - len(work.first)) if work.count > len(work.first) else ""
    stopping = f" {blocks.toned(CANCELLING, f'{work.cancelling:,} {CANCELLING.word.lower()}')}" if work.cancelling else ""
    return (f'<span class="rd-strong">{escaped(wording.items(work.count))}</span>{stopping} '
            f'<span class="rd-quiet rd-wrap">{escaped(named + more)}</span>')


def _beat(moment: datetime | None, now: datetime) -> str:
    return f'<span style="white-space:nowrap">{escaped(age(moment, now))}</span>'


# --- what was given up

def _show_given_up(found: WorkersView) -> None:
    st.subheader(_("Dead letters"), anchor=False)
    st.caption(_("Jobs that the queue gave up; nothing is sent again from here. Their items are taken back by themselves."))
    if found.dead_letters is None:
        st.caption(_("Redis does not answer, so this cannot be told."))
    elif not found.dead_letters:
        st.html(f'<div class="rd rd-small">{blocks.toned(Look(GREEN, "✓", _("None.")))}</div>')
    else:
        st.html(blocks.table(
            ([escaped(short_time(letter.ended_at) if letter.ended_at else _("unknown")), escaped(letter.priority),
              f'<span title="{escaped(letter.job_id)}">{escaped(letter.job_id[:8])}</span>',
              f'<span class="rd-wrap">{escaped(letter.error or _("no error recorded"))}</span>'] for letter in found.dead_letters),
            (_("Ended"), _("Queue"), _("Job"), _("Error"))))
    if found.lost_items:
        st.html(f'<div class="rd rd-small rd-strong" style="margin-top:.4rem">'
                f'{escaped(_("Items given up in the last 24 hours because their workers were lost"))}</div>'
                + blocks.table((_lost_row(row) for row in found.lost_items), (_("Ended"), _("Item"), _("Error"))))


def _lost_row(row: ItemRow) -> list[str]:
    return [escaped(short_time(row.settled_at)), escaped(item_words(row)),
            f'<span class="rd-wrap">{escaped(row.error_message)}</span>']


# --- who is asked for content, and what was mended

def _show_breakers(found: WorkersView) -> None:
    st.subheader(_("Circuit breakers"), anchor=False)
    rows = []
    for breaker in found.breakers:
        told = [f'<span class="rd-wrap rd-strong">{escaped(_who(breaker))}</span> {blocks.toned(BREAKER_STATES[breaker.state])}']
        if breaker.state is not BreakerState.CLOSED:
            told.append(escaped(_("since {time}").format(time=clock_time(breaker.opened_at)) if breaker.opened_at else ""))
            told.append(escaped(_next_try(breaker.retry_at, breaker.state)))
        elif breaker.failures:
            told.append(escaped(ngettext("{count} failure in a row", "{count} failures in a row", breaker.failures).format(
                count=breaker.failures)))
        if breaker.error_kind and not breaker.is_untroubled:
            error = f"{wording.ERROR_KINDS[breaker.error_kind]}: {breaker.error_message}"
            told.append(f'<span class="rd-quiet">{escaped(error)}</span>')
        rows.append("".join(f'<div class="rd-wrap">{words}</div>' for words in told if words))
    st.html(f'<div class="rd rd-small">{"".join(rows)}</div>')


def _who(breaker: Breaker) -> str:
    if breaker.is_of_covers:
        return _("Painters of covers")
    return _("The offline writer") if breaker.provider == OFFLINE else _("The model at {provider}").format(provider=breaker.provider)


def _next_try(retry_at: datetime | None, state: BreakerState) -> str:
    if state is BreakerState.HALF_OPEN:
        return _("One item asks it at this moment.")
    if retry_at and retry_at > utc_now():
        return _("Next try at {time}").format(time=clock_time(retry_at))
    return _("The next item asks it again.")


def _show_maintenance(found: WorkersView) -> None:
    st.subheader(_("Maintenance"), anchor=False)
    if not found.maintenance:
        st.html(f'<div class="rd rd-small">{blocks.toned(Look(RED, "✕", _("None has shown life in the last minutes.")))}</div>')
        return
    st.html(blocks.table(
        ([f'<span class="rd-wrap">{escaped(seen.process.removeprefix("maintenance@").replace(":", " · "))}</span>',
          escaped(_("since {time}").format(time=short_time(seen.started_at))), _beat(seen.beat_at, found.as_of)]
         for seen in found.maintenance),
        (_("Process"), _("Works"), _("Heartbeat"))))


def _show_findings(found: WorkersView) -> None:
    st.subheader(_("Found and mended in 24 hours"), anchor=False)
    unsaved = reads.unsaved_texts()
    rows = [[escaped(wording.FINDING_KINDS[kind]), f"{count:,}" if count else '<span class="rd-quiet">0</span>']
            for kind, count in found.finding_totals.items()]
    rows.append([escaped(_("Finished texts that wait to be saved, now")), _told(unsaved.waiting if unsaved else None)])
    rows.append([escaped(_("Finished texts set aside in the object store: their items ended otherwise")),
                 _told(unsaved.set_aside if unsaved else None)])
    st.html(blocks.table(rows))
    if found.findings:
        st.html(f'<div class="rd rd-small rd-strong" style="margin-top:.4rem">{escaped(_("The last ones"))}</div>' + blocks.table(
            [escaped(short_time(row.found_at)), f"{row.count:,}",
             f'{escaped(wording.FINDING_KINDS[row.kind])} <span class="rd-quiet rd-wrap">{escaped(row.detail)}</span>']
            for row in found.findings[:12]))
