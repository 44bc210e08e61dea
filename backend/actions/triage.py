"""Deciding about causes: acknowledge, ignore for a while, resolve, reopen, assign, note, merge and part. Each is written down twice:
in the cause's own history, and in the audit log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from backend.actions.actors import Actor, Permission, require
from backend.clock import utc_now
from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.secrets import without_secrets
from backend.content.triage import CauseEventKind, CauseState, may_become, states_before
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, cause_records, retry_due

NOTE_CHARACTERS = 2000
TITLE_CHARACTERS = 120


class UnknownCause(LookupError):
    """There is no such cause; str() names it."""


class NotPossible(Exception):
    """The cause cannot become that from the state it is in; str() names the state."""


class NotUnderstood(ValueError):
    """What was given makes no sense; str() says what would."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What happens by itself is written down under this name."""

    actor_id: str = "redrive"
    role: str = "maintenance"


def acknowledge(redrive: Redrive, cause_id: str, actor: Actor, words: str = "") -> None:
    """Somebody sees to it. Raises NotAllowed, UnknownCause, NotPossible."""
    _decide(redrive, cause_id, actor, CauseState.ACKNOWLEDGED, CauseEventKind.ACKNOWLEDGED, words)


def ignore(
    redrive: Redrive, cause_id: str, actor: Actor, words: str = "", *, until_at: datetime | None = None, until_count: int | None = None,
) -> None:
    """Plans leave it out until that time, or until it has so many problems; with neither until somebody reopens it.

    Raises NotAllowed, UnknownCause, NotPossible, NotUnderstood when the time is over or the number is none.
    """
    if until_at is not None and until_at <= utc_now():
        raise NotUnderstood(_("That time is over already."))
    if until_count is not None and until_count < 1:
        raise NotUnderstood(_("Give a number of problems of at least 1."))
    _decide(redrive, cause_id, actor, CauseState.IGNORED, CauseEventKind.IGNORED, words, until_at, until_count)


def resolve(redrive: Redrive, cause_id: str, actor: Actor, words: str = "") -> None:
    """It should not come again; when it does, it is called regressed. Raises NotAllowed, UnknownCause, NotPossible."""
    _decide(redrive, cause_id, actor, CauseState.RESOLVED, CauseEventKind.RESOLVED, words)


def reopen(redrive: Redrive, cause_id: str, actor: Actor, words: str = "") -> None:
    """As if nobody had decided anything. Raises NotAllowed, UnknownCause, NotPossible."""
    _decide(redrive, cause_id, actor, CauseState.OPEN, CauseEventKind.REOPENED, words)


def _decide(
    redrive: Redrive, cause_id: str, actor: Actor, after: CauseState, event: CauseEventKind, words: str,
    until_at: datetime | None = None, until_count: int | None = None,
) -> None:
    require(actor, Permission.TRIAGE)
    words, now = _shortened(words), utc_now()
    with redrive.engine.begin() as connection:
        cause_id = cause_records.belongs_to(connection, cause_id)
        title, state = _known(connection, cause_id)
        if not cause_records.change_state(
            connection, cause_id, states_before(after), after, by=actor.actor_id, reason=words, now=now, ignored_until_at=until_at,
            ignored_until_count=until_count,
        ):
            raise NotPossible(_("This cause is {state}, so it cannot be called {after}.").format(
                state=wording.CAUSE_STATES[state].lower(), after=wording.CAUSE_STATES[after].lower()))
        until = wording.ignored_until(until_at, until_count) if after is CauseState.IGNORED else ""
        told = ". ".join(filter(None, (until, words)))
        cause_records.write_event(connection, cause_id, event, by=actor.actor_id, now=now, words=told)
        audit.record(connection, actor, action=f"cause_{event}", scope=title, reason=words, result=until)


def assign(redrive: Redrive, cause_id: str, actor: Actor, assignee: str) -> None:
    """Somebody by name; "" is nobody. Raises NotAllowed, UnknownCause, NotPossible when it is so already."""
    require(actor, Permission.TRIAGE)
    assignee = " ".join(assignee.split())[:TITLE_CHARACTERS]
    with redrive.engine.begin() as connection:
        cause_id = cause_records.belongs_to(connection, cause_id)
        title, _state = _known(connection, cause_id)
        if not cause_records.assign(connection, cause_id, assignee or None):
            raise NotPossible(_("It is assigned so already."))
        words = assignee or _("nobody")
        cause_records.write_event(connection, cause_id, CauseEventKind.ASSIGNED, by=actor.actor_id, now=utc_now(), words=words)
        audit.record(connection, actor, action="cause_assigned", scope=title, result=words)


def note(redrive: Redrive, cause_id: str, actor: Actor, words: str) -> None:
    """What others should know of it. Raises NotAllowed, UnknownCause, NotUnderstood without words."""
    require(actor, Permission.TRIAGE)
    if not words.strip():
        raise NotUnderstood(_("Write something first."))
    with redrive.engine.begin() as connection:
        cause_id = cause_records.belongs_to(connection, cause_id)
        title, _state = _known(connection, cause_id)
        cause_records.write_event(
            connection, cause_id, CauseEventKind.NOTE, by=actor.actor_id, now=utc_now(), words=_shortened(words))
        audit.record(connection, actor, action="cause_note", scope=title, reason=_shortened(words))


def merge(redrive: Redrive, cause_id: str, into: str, actor: Actor) -> int:
    """What has this fingerprint belongs to the other cause, now and whenever it comes again. Returns how many problems moved.

    Raises NotAllowed, UnknownCause, NotPossible when both are the same cause.
    """
    require(actor, Permission.TRIAGE)
    now = utc_now()
    with redrive.engine.begin() as connection:
        cause_records.hold_alone(connection)
        cause_id, into = cause_records.belongs_to(connection, cause_id), cause_records.belongs_to(connection, into)
        if cause_id == into:
            raise NotPossible(_("These are one cause already."))
        title, _state = _known(connection, cause_id)
        into_title, _into_state = _known(connection, into)
        moved = cause_records.merge(connection, cause_id, into, by=actor.actor_id, now=now)
        retry_due.note_causes_anew(connection)
        cause_records.write_event(connection, into, CauseEventKind.MERGED, by=actor.actor_id, now=now, words=title)
        audit.record(connection, actor, action="cause_merged", scope=title, reason=_("into: {cause}").format(cause=into_title),
                     result=_("{items} moved").format(items=wording.items(moved)))
        return moved


def part(redrive: Redrive, fingerprint: str, actor: Actor) -> int:
    """Take a merged cause out again. Returns how many problems moved back. Raises NotAllowed, UnknownCause, NotPossible."""
    require(actor, Permission.TRIAGE)
    now = utc_now()
    with redrive.engine.begin() as connection:
        cause_records.hold_alone(connection)
        title, _state = _known(connection, fingerprint)
        into = cause_records.belongs_to(connection, fingerprint)
        moved = cause_records.part(connection, fingerprint)
        if moved is None:
            raise NotPossible(_("This cause is not merged into another."))
        retry_due.note_causes_anew(connection)
        cause_records.write_event(connection, into, CauseEventKind.PARTED, by=actor.actor_id, now=now, words=title)
        audit.record(connection, actor, action="cause_parted", scope=title,
                     result=_("{items} moved back").format(items=wording.items(moved)))
        return moved


def follow(redrive: Redrive) -> int:
    """What happens by itself: a resolved cause came again, an ignored one has waited long enough. Returns how many."""
    maintenance, now = Maintenance(), utc_now()
    with redrive.engine.begin() as connection:
        back = cause_records.regress(connection, by=maintenance.actor_id, now=now)
        woken = cause_records.wake(connection, by=maintenance.actor_id, now=now)
        _write_down(connection, maintenance, back, CauseEventKind.REGRESSED, now)
        _write_down(connection, maintenance, woken, CauseEventKind.WOKEN, now)
    return len(back) + len(woken)


def _write_down(
    connection: Connection, maintenance: Maintenance, cause_ids: Sequence[str], kind: CauseEventKind, now: datetime,
) -> None:
    for cause_id in cause_ids:
        title, _state = _known(connection, cause_id)
        cause_records.write_event(connection, cause_id, kind, by=maintenance.actor_id, now=now)
        audit.record(connection, maintenance, action=f"cause_{kind}", scope=title)


def _known(connection: Connection, cause_id: str) -> tuple[str, CauseState]:
    """(title in words, state)."""
    row = cause_records.find_cause(connection, cause_id)
    if row is None:
        raise UnknownCause(_("There is no cause {cause_id}.").format(cause_id=cause_id))
    title = without_secrets(wording.cause_title(ErrorKind(row.error_kind), row.title))
    return title[:TITLE_CHARACTERS], CauseState(row.state)


def _shortened(words: str) -> str:
    return words.strip()[:NOTE_CHARACTERS]


def may_call(actor: Actor, state: CauseState, after: CauseState) -> bool:
    """For buttons: the role allows it and the state does."""
    return actor.may(Permission.TRIAGE) and may_become(state, after)
