"""Queries over ops.problems: one place turns a filter into SQL, for the pages and for the plan alike."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    DateTime,
    FromClause,
    Text,
    and_,
    case,
    cast,
    column,
    exists,
    func,
    or_,
    select,
    text,
    true,
)

from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.plans import Candidate
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import SETTLED_ITEM_STATES, ItemAction, ItemState
from backend.content.triage import CauseState
from backend.storage.cause_records import belongs_to
from backend.storage.ops_tables import causes, items, problems


def matches(connection: Connection, problem_filter: ProblemFilter, now: datetime) -> ColumnElement[bool]:
    """The filter as a condition on ops.problems. Every word of the text must occur.

    A cause that was merged is the one that it belongs to now, asked for beforehand: PostgreSQL plans for the cause that it is told.
    """
    conditions: list[ColumnElement[bool]] = []
    if problem_filter.problem_kinds:
        conditions.append(problems.c.problem_kind.in_(problem_filter.problem_kinds))
    if problem_filter.kinds:
        conditions.append(problems.c.kind.in_(problem_filter.kinds))
    if problem_filter.owner_id:
        conditions.append(problems.c.owner_id == problem_filter.owner_id)
    if problem_filter.cause_id:
        conditions.append(problems.c.cause_id == belongs_to(connection, problem_filter.cause_id))
    if problem_filter.minimum_age_seconds:
        conditions.append(problems.c.since_at <= now - timedelta(seconds=problem_filter.minimum_age_seconds))
    if problem_filter.minimum_attempts:
        conditions.append(problems.c.attempts >= problem_filter.minimum_attempts)
    conditions += [problems.c.search_text.contains(word, autoescape=True) for word in problem_filter.text.lower().split()]
    return and_(true(), *conditions)


def load_candidates(connection: Connection, scope: Scope, now: datetime) -> list[Candidate]:
    """The problems in a scope, oldest first, each with what the plan must know about it. About 20 us a row."""
    tried, taken, cancelled, ignored = _tried_today(now), _taken(), _cancelled(), _ignored(now)
    query = select(
        problems.c.kind, problems.c.owner_id, problems.c.part, problems.c.problem_kind, problems.c.title, problems.c.owner_title,
        func.coalesce(tried.c.attempts_today, 0).label("attempts_today"), taken.c.owner_id.is_not(None).label("is_taken"),
        problems.c.cause_id, ignored.c.cause_id.is_not(None).label("is_cause_ignored"),
        # An error that was recorded after the cancel is another one: nobody has decided about it.
        (cancelled.c.cancelled_at.is_not(None) & ((problems.c.error_kind == ErrorKind.NO_MESSAGE)
         | (problems.c.since_at <= cancelled.c.cancelled_at))).label("is_cancelled"),
    ).select_from(problems.outerjoin(tried, _same_key(tried)).outerjoin(taken, _same_key(taken))
                  .outerjoin(cancelled, _same_key(cancelled)).outerjoin(ignored, ignored.c.cause_id == problems.c.cause_id))
    if scope.filter is not None:
        query = query.where(matches(connection, scope.filter, now))
    else:
        query = query.where(exists().where(_same_key(key_rows(scope.keys))))
    rows = connection.execute(query.order_by(problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part)).all()
    return [
        Candidate(ContentKey(_KINDS[kind], owner_id, part), _PROBLEM_KINDS[problem_kind], *more)
        for kind, owner_id, part, problem_kind, *more in rows]


_KINDS = {kind.value: kind for kind in ContentKind}  # a look-up is a third of the price of the enum's own
_PROBLEM_KINDS = {kind.value: kind for kind in ProblemKind}


def key_rows(keys: Iterable[ContentKey]) -> FromClause:
    """Content keys as a table (kind, owner_id, part) that a query can join, whatever their number."""
    keys = list(keys)
    columns = [[key.kind.value for key in keys], [key.owner_id for key in keys], [key.part for key in keys]]
    return func.unnest(*(cast(column_values, ARRAY(Text)) for column_values in columns)).table_valued(
        column("kind", Text), column("owner_id", Text), column("part", Text)).render_derived("chosen")


def _same_key(other: FromClause) -> ColumnElement[bool]:
    return and_(problems.c.kind == other.c.kind, problems.c.owner_id == other.c.owner_id, problems.c.part == other.c.part)


def attempts_today(connection: Connection, key: ContentKey, now: datetime) -> int:
    """How often Redrive wrote one key in the last 24 hours, as plans count it."""
    tried = _tried_today(now)
    return connection.scalar(select(tried.c.attempts_today).where(
        tried.c.kind == key.kind, tried.c.owner_id == key.owner_id, tried.c.part == key.part)) or 0


def _tried_today(now: datetime) -> FromClause:
    """How often Redrive wrote each key in the last 24 hours; of what was cancelled or skipped the tries that were begun and paid for."""
    was_waiting = and_(items.c.state == ItemState.CANCELLED, items.c.started_at.is_(None))
    is_no_try = case((or_(was_waiting, items.c.state == ItemState.SKIPPED), 1), else_=0)  # the last attempt
    tries = func.sum(items.c.attempt - items.c.returned_count - is_no_try)
    made_by_note = and_(items.c.action == ItemAction.DRAFT, items.c.problem_kind != ProblemKind.DRIFTED)  # of what was broken
    return (
        select(items.c.kind, items.c.owner_id, items.c.part, tries.label("attempts_today"))
        .where(items.c.settled_at > now - timedelta(hours=24), or_(items.c.action == ItemAction.GENERATE, made_by_note),
               items.c.state.in_(SETTLED_ITEM_STATES))
        .group_by(items.c.kind, items.c.owner_id, items.c.part).subquery("tried"))


def _taken() -> FromClause:
    """Keys that an unfinished item holds."""
    return (
        select(items.c.kind, items.c.owner_id, items.c.part).distinct()
        .where(items.c.state.in_((ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING))).subquery("taken"))


# From what was cancelled, which is little, to what came after it: the other way round reads the whole history.
_LAST_CANCELLED = text("""
    select c.kind, c.owner_id, c.part, max(greatest(c.settled_at, t.updated_at)) as cancelled_at
    from ops.items c join ops.operations o using (operation_id) left join public.tasks t on t.task_id = c.task_id
    where c.state = 'cancelled' and c.cancelled_by is not null and o.state <> 'undone' and not exists (
      select 1 from ops.items n join ops.operations no on no.operation_id = n.operation_id
      where n.owner_id = c.owner_id and n.kind = c.kind and n.part = c.part and n.item_id > c.item_id and no.state <> 'undone')
    group by c.kind, c.owner_id, c.part""").columns(kind=Text, owner_id=Text, part=Text, cancelled_at=DateTime(timezone=True))


def _cancelled() -> FromClause:
    """Keys whose last item a person cancelled. One that was undone was never begun, and says nothing."""
    return _LAST_CANCELLED.subquery("cancelled")


def _ignored(now: datetime) -> FromClause:
    """Causes that plans leave out: the rule of backend.content.triage.is_left_out; a test holds the two together."""
    return select(causes.c.cause_id).where(
        causes.c.state == CauseState.IGNORED,
        causes.c.ignored_until_at.is_(None) | (causes.c.ignored_until_at > now)).subquery("ignored")


def describe_scope(connection: Connection, scope: Scope) -> str:
    """The scope in words, with the titles of the owner and the cause it names."""
    if scope.filter is None:
        return _describe_keys(connection, scope)
    owner_title = connection.scalar(
        select(problems.c.owner_title).where(problems.c.owner_id == scope.filter.owner_id).limit(1)) if scope.filter.owner_id else None
    cause = connection.execute(select(causes.c.error_kind, causes.c.title).where(
        causes.c.cause_id == belongs_to(connection, scope.filter.cause_id))).one_or_none() if scope.filter.cause_id else None
    return wording.scope(
        scope, owner_title=owner_title or "",
        cause=wording.cause_title(ErrorKind(cause.error_kind), cause.title) if cause else "")


def _describe_keys(connection: Connection, scope: Scope) -> str:
    if len(scope.keys) > 1:
        return wording.scope(scope)
    key = scope.keys[0]
    row = connection.execute(select(problems.c.title, problems.c.owner_title).where(
        problems.c.kind == key.kind, problems.c.owner_id == key.owner_id, problems.c.part == key.part)).one_or_none()
    return wording.content_key(key, row.title if row else key.part, row.owner_title if row else key.owner_id)
