"""What the buttons of a cause do: what people decide about it, and which causes belong together."""

from collections.abc import Callable
from datetime import timedelta

from backend.actions import triage
from backend.clock import utc_now
from backend.content import wording
from backend.content.triage import CauseState
from backend.i18n import _
from dashboard import address, reads, session
from dashboard.clicks import action
from dashboard.session import NoticeKind

IGNORED_HOURS = {"1h": 1, "1d": 24, "7d": 168, "30d": 720}


@action
def decide_cause(cause_id: str, after: CauseState) -> None:
    """Acknowledge, resolve or reopen, with the words of the field beside the buttons."""
    decide = {CauseState.ACKNOWLEDGED: triage.acknowledge, CauseState.RESOLVED: triage.resolve, CauseState.OPEN: triage.reopen}[after]
    _tell_decided(lambda: decide(reads.connected(), cause_id, reads.actor()), wording.CAUSE_STATES[after])


@action
def ignore_cause(cause_id: str) -> None:
    """Until what the fields of the form say."""
    until, count, words = (session.widget_value(f"ignore-{name}") for name in ("until", "count", "words"))
    hours = IGNORED_HOURS.get(str(until))
    _tell_decided(lambda: triage.ignore(
        reads.connected(), cause_id, reads.actor(), str(words or ""), until_at=utc_now() + timedelta(hours=hours) if hours else None,
        until_count=int(count) if until == "count" and count else None), wording.CAUSE_STATES[CauseState.IGNORED])


@action
def assign_cause(cause_id: str, assignee: str | None = None) -> None:
    """To that person; None: to whom the field names."""
    name = str(session.widget_value("cause-assignee") or "") if assignee is None else assignee
    _tell_decided(lambda: triage.assign(reads.connected(), cause_id, reads.actor(), name),
                  _("Assigned to {person}").format(person=name) if name else _("Assigned to nobody"))
    session.seed_widget("cause-assignee", "")


@action
def note_cause(cause_id: str) -> None:
    words = str(session.widget_value("cause-note") or "")
    _tell_decided(lambda: triage.note(reads.connected(), cause_id, reads.actor(), words), _("Noted"))
    session.seed_widget("cause-note", "")


@action
def merge_cause(cause_id: str) -> None:
    """Into the cause that the field names; its page is shown then."""
    into = str(session.widget_value("cause-into") or "")
    if not into:
        session.notify(NoticeKind.WARNING, _("Choose the cause that this one belongs to."))
        return
    moved = triage.merge(reads.connected(), cause_id, into, reads.actor())
    reads.forget_after_action()
    address.write("id", into)
    session.notify(NoticeKind.DONE, _("Merged: {items} moved here, and whatever comes again will too.").format(items=wording.items(moved)))


@action
def part_cause(fingerprint: str, words: str) -> None:
    moved = triage.part(reads.connected(), fingerprint, reads.actor())
    reads.forget_after_action()
    session.notify(NoticeKind.DONE, _("Taken out: {items} of {cause}").format(items=wording.items(moved), cause=words))


def _tell_decided(decide: Callable[[], None], words: str) -> None:
    try:
        decide()
    finally:
        reads.forget_after_action()
    session.notify(NoticeKind.DONE, words)
