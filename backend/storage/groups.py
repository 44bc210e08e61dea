"""ops.groups: the items of an operation that were planned for the same cause. Each change of state is one guarded UPDATE."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, text

from backend.content import wording
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKind
from backend.content.plans import ExclusionRule, PlannedItem
from backend.content.status import GroupState, ItemAction
from backend.content.stops import Told

MOST_GROUPS = 100  # the dispatcher asks each in turn; rarer causes share the last one


@dataclass(frozen=True, slots=True)
class Canary:
    """A group whose first items have gone ahead."""

    group_id: int
    round: int
    unsettled_count: int  # of the items that went ahead
    told: tuple[Told, ...]  # those that tell something, newest first


def insert_groups(
    connection: Connection, operation_id: str, planned: Sequence[PlannedItem], *, canary_items: int, canary_above_items: int,
) -> tuple[dict[str, int], int]:
    """(cause id -> group id, how many items of each group go first). Repairs belong to no group: nothing can go wrong with the model.

    A canary needs something to save: several causes, or many items.
    """
    counts = Counter(item.cause_id for item in planned if item.action is ItemAction.GENERATE)
    named = dict(counts.most_common(MOST_GROUPS if len(counts) <= MOST_GROUPS else MOST_GROUPS - 1))
    sizes = Counter({cause_id if cause_id in named else "": 0 for cause_id in counts})
    for cause_id, count in counts.items():
        sizes[cause_id if cause_id in named else ""] += count
    goes_first = canary_items if len(sizes) > 1 or sum(counts.values()) > canary_above_items else 0
    rows = connection.execute(text(
        "select u.cause_id, c.error_kind, c.title from unnest(cast(:ids as text[])) as u(cause_id) "
        "left join ops.causes c using (cause_id)"), {"ids": list(sizes)})
    titles = {row.cause_id: wording.cause_title(ErrorKind(row.error_kind), row.title) if row.error_kind else "" for row in rows}
    made = connection.execute(text(
        "insert into ops.groups (operation_id, cause_id, title, item_count, state) "
        "select :operation_id, u.*, :state from unnest(cast(:ids as text[]), cast(:titles as text[]), cast(:counts as int[])) as u "
        "returning cause_id, group_id"),
        {"operation_id": operation_id, "ids": list(sizes), "titles": [titles[cause_id] for cause_id in sizes],
         "counts": list(sizes.values()), "state": GroupState.CANARY if goes_first else GroupState.OPEN})
    by_cause = {row.cause_id: row.group_id for row in made}
    return {cause_id: by_cause[cause_id if cause_id in named else ""] for cause_id in counts}, goes_first


def insert_left_out(connection: Connection, operation_id: str, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    """Keys of the plan that do not become items: (kind, owner_id, part, title, rule)."""
    if rows:
        names = ("kind", "owner_id", "part", "title", "rule")
        arrays = ", ".join(f"cast(:{name} as text[])" for name in names)
        connection.execute(text(
            f"insert into ops.left_out (operation_id, {', '.join(names)}) select :operation_id, u.* from unnest({arrays}) as u"),
            {"operation_id": operation_id} | {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


# By way of each state's own index: an exists over both would be made a join that reads all that waits.
_HAS_REST = (
    "((select true from ops.items p where p.operation_id = g.operation_id and p.group_id = g.group_id and p.state = 'planned' "
    "  order by p.place limit 1) or (select true from ops.items q where q.operation_id = g.operation_id and q.state = 'queued' "
    "  and q.group_id = g.group_id limit 1)) ")


# What was merged is told, and counted, as the cause that it belongs to now. Joined to the few rows that a limit has left.
_TELLS = ("coalesce(a.cause_id, i.cause_id) as cause_id, coalesce(c.error_kind, i.error_kind) as error_kind, "
          "coalesce(c.title, i.error_message) as error_message, i.state, i.started_at, i.settled_at")
_MERGED = "left join ops.cause_aliases a on a.fingerprint = i.cause_id left join ops.causes c on c.cause_id = a.cause_id "


def canaries(connection: Connection, operation_id: str) -> list[Canary]:
    """Groups in state canary. What the items of a round told: those that wrote or failed by asking the model."""
    rows = connection.execute(text(
        f"select g.group_id, g.canary_round, i.calls, {_TELLS} "
        "from ops.groups g left join ops.items i on i.operation_id = g.operation_id and i.group_id = g.group_id "
        f"  and i.canary_round = g.canary_round {_MERGED}"
        "where g.operation_id = :operation_id and g.state = 'canary' order by g.group_id, i.settled_at desc nulls first"),
        {"operation_id": operation_id})
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.group_id, []).append(row)
    return [Canary(
        group_id, of_group[0].canary_round, sum(row.state in ("planned", "queued", "running") for row in of_group),
        tuple(_told(row) for row in of_group if row.state == "failed" or (row.state == "succeeded" and row.calls != 0)))
        for group_id, of_group in found.items()]


def _told(row: Any) -> Told:
    if row.state == "succeeded":
        return Told(row.group_id, None, row.started_at, row.settled_at)
    return Told(row.group_id, row.cause_id, row.started_at, row.settled_at, ErrorKind(row.error_kind), row.error_message or "")


def open_group(connection: Connection, group_id: int, round_: int) -> bool:
    """canary -> open: it passed. False: it is in another state or round."""
    return connection.execute(text(
        "update ops.groups set state = 'open' where group_id = :group_id and state = 'canary' and canary_round = :round"),
        {"group_id": group_id, "round": round_}).rowcount == 1


def send_ahead(connection: Connection, operation_id: str, group_id: int, count: int) -> int:
    """The next planned items of a group go ahead too, in its round. Returns how many there were."""
    return connection.execute(text(
        "with chosen as ("
        "  select item_id from ops.items where operation_id = :operation_id and group_id = :group_id and state = 'planned' "
        "  and canary_round is distinct from (select canary_round from ops.groups where group_id = :group_id) "
        "  order by place limit :count for update) "
        "update ops.items i set canary_round = g.canary_round from chosen c, ops.groups g "
        "where i.item_id = c.item_id and g.group_id = :group_id and g.state = 'canary'"),
        {"operation_id": operation_id, "group_id": group_id, "count": count}).rowcount


def stop_groups(
    connection: Connection, group_ids: Sequence[int], rule: ExclusionRule, words: str, now: datetime,
) -> list[int]:
    """canary | open -> stopped, with the reason. Returns those that changed."""
    return list(connection.scalars(text(
        "update ops.groups set state = 'stopped', stop_rule = :rule, stop_words = :words, stopped_at = :now "
        "where group_id = any(:ids) and state in ('canary', 'open') returning group_id").bindparams(
            bindparam("ids", type_=ARRAY(BigInteger))),
        {"ids": list(group_ids), "rule": rule, "words": words, "now": now}))


def send_back(connection: Connection, operation_id: str, since: datetime, now: datetime) -> int:
    """open -> canary, or a new round of it, of groups that have written nothing begun since then: what stopped another may stop these too.

    What is waiting in queues for them is taken back. Returns how many groups changed.
    """
    changed = list(connection.scalars(text(
        "update ops.groups g set state = 'canary', canary_round = canary_round + 1 "
        "where operation_id = :operation_id and state in ('canary', 'open') and " + _HAS_REST +
        "and not exists (select 1 from ops.items i where i.group_id = g.group_id and i.state = 'succeeded' and i.action = 'generate' "
        "  and i.calls is distinct from 0 and i.settled_at > :since and i.started_at > :since) returning group_id"),
        {"operation_id": operation_id, "since": since}))
    if changed:
        connection.execute(text(
            "with chosen as (select item_id from ops.items "
            "  where operation_id = :operation_id and state = 'queued' and group_id = any(:ids) order by item_id for update) "
            "update ops.items i set state = 'planned', job_id = null, queued_at = null from chosen c where i.item_id = c.item_id"),
            {"operation_id": operation_id, "ids": changed})
    connection.execute(text("update ops.operations set window_since = :now where operation_id = :operation_id"),
                       {"operation_id": operation_id, "now": now})
    return len(changed)


_TOLD = "action = 'generate' and (state = 'failed' or state = 'succeeded' and calls is distinct from 0)"  # as the indexes say it
_LAST = ("select i.group_id, i.state, i.cause_id, i.started_at, i.settled_at, i.error_kind, i.error_message from ops.items i "
         "where {of} and " + _TOLD + " and i.settled_at > coalesce({since}, '-infinity') order by i.settled_at desc limit :limit")


def last_told(connection: Connection, operation_id: str, since: datetime | None, limit: int) -> list[Told]:
    """What the last items of an operation told that settled since then, newest first."""
    last = _LAST.format(of="i.operation_id = :operation_id", since="cast(:since as timestamptz)")
    rows = connection.execute(text(f"select i.group_id, {_TELLS} from ({last}) i {_MERGED}order by i.settled_at desc"),
                              {"operation_id": operation_id, "since": since, "limit": limit})
    return [_told(row) for row in rows]


def last_told_by_group(connection: Connection, operation_id: str, limit: int) -> dict[int, list[Told]]:
    """The same for each of its groups that goes on. Cost follows groups x limit, whatever their sizes."""
    last = _LAST.format(of="i.group_id = g.group_id", since="cast(null as timestamptz)")
    rows = connection.execute(text(
        f"select i.group_id, {_TELLS} from ops.groups g cross join lateral ({last}) i {_MERGED}"
        "where g.operation_id = :operation_id and g.state in ('canary', 'open') order by i.group_id, i.settled_at desc"),
        {"operation_id": operation_id, "limit": limit})
    found: dict[int, list[Told]] = {}
    for row in rows:
        found.setdefault(row.group_id, []).append(_told(row))
    return found


def groups_going(connection: Connection, operation_id: str) -> list[int]:
    """Those that are not stopped and have something planned or queued."""
    return list(connection.scalars(text(
        "select group_id from ops.groups g where operation_id = :operation_id and state in ('canary', 'open') and "
        + _HAS_REST + "order by group_id"), {"operation_id": operation_id}))


def groups_waiting_for(connection: Connection, operation_id: str, kinds: Sequence[ContentKind]) -> list[int]:
    """Those of `groups_going` whose planned and queued items are of these kinds only."""
    others = ("exists (select from ops.items i where i.operation_id = g.operation_id and i.group_id = g.group_id "
              "and i.state in ('planned', 'queued') and i.kind <> all(:kinds)) ")
    return list(connection.scalars(text(
        "select group_id from ops.groups g where operation_id = :operation_id and state in ('canary', 'open') and "
        + _HAS_REST + "and not " + others + "order by group_id"), {"operation_id": operation_id, "kinds": [kind.value for kind in kinds]}))


def rest_of_stopped(connection: Connection, operation_id: str, limit: int) -> list[Any]:
    """Items, with the rule, that wait in groups which were stopped; locked for this transaction. At most so many.

    One state after the other: together they would be read by an index that knows no groups, past all that waits in others.
    """
    rest: list[Any] = []
    for state in ("planned", "queued"):
        rest += connection.execute(text(
            "select i.*, g.stop_rule from ops.groups g cross join lateral (select * from ops.items i "
            f"  where i.operation_id = :operation_id and i.group_id = g.group_id and i.state = '{state}' "
            "  order by i.place limit :limit for update skip locked) i "
            "where g.operation_id = :operation_id and g.state = 'stopped' limit :limit"),
            {"operation_id": operation_id, "limit": limit - len(rest)}).all()
    return rest


def may_call(connection: Connection, item_id: int) -> bool:
    """May this item, claimed in this transaction, ask the model? Call it last: it serialises the beginnings of one operation.

    Its group goes on, or it goes ahead of it; no cause has returned so often that supervision will stop it; and together with all that
    run not more than the window could be wasted by the cause that returns most among the last items, of the operation or of the group.
    """
    row = connection.execute(text(
        "select i.operation_id, i.group_id, i.canary_round, g.state, g.canary_round as group_round, "
        "  coalesce((o.limits ->> 'same_cause_window')::bigint, 0) as looked_at, "
        "  coalesce((o.limits ->> 'same_cause_percent')::int, 100) as percent, "
        "  case when coalesce((o.limits ->> 'same_cause_window')::bigint, 0) <> 0 "
        "    then pg_advisory_xact_lock(hashtextextended(i.operation_id, 7203005)) is null end as is_alone "
        "from ops.items i join ops.operations o using (operation_id) left join ops.groups g using (group_id) where i.item_id = :item_id"),
        {"item_id": item_id}).one()
    if row.state is not None and not (row.state == GroupState.OPEN or (
            row.state == GroupState.CANARY and row.canary_round == row.group_round)):
        return False
    if not row.looked_at:
        return True
    return connection.scalar(_FITS, {
        "operation_id": row.operation_id, "group_id": row.group_id, "window": row.looked_at, "percent": row.percent})


_MOST = ("(select coalesce(max(count), 0) from (select count(*) from (select i.state, i.cause_id from ops.items i where {of} and "
         + _TOLD + " order by i.settled_at desc limit :window) w left join ops.cause_aliases a on a.fingerprint = w.cause_id "
         "where w.state = 'failed' group by coalesce(a.cause_id, w.cause_id)) c)")
_RUNNING = "(select count(*) from ops.items where operation_id = :operation_id and state = 'running'{of})"
_FITS = text(
    "with o as materialized (select coalesce(window_since, '-infinity') as since from ops.operations where operation_id = :operation_id), "
    "risk as (select " + _MOST.format(of="i.operation_id = :operation_id and i.settled_at > (select since from o)") + " as of_operation, "
    + _MOST.format(of="i.group_id = cast(:group_id as bigint)") + " as of_group) "
    "select " + _RUNNING.format(of="") + " + of_operation <= :window and of_operation * 100 <= cast(:percent as bigint) * :window and "
    + _RUNNING.format(of=" and group_id = cast(:group_id as bigint)")
    + " + of_group <= :window and of_group * 100 <= cast(:percent as bigint) * :window from risk")
