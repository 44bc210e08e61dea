"""Adding up what happened, hour by hour: what recovered and how fast, what retries came to, what they cost."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from backend.content.recovery import CLASSES

KEPT_DAYS = 90
SETTLES_AFTER = timedelta(seconds=20)  # what left the list may come back with the next look
SETTLED_AT_ONCE = 10_000

# Good again: not listed any more, nobody works on it, and its roadmap or novel is there and can be read. What is still worked on waits,
# and so does what nobody can tell because its roadmap or novel cannot be read; what is gone is forgotten. It was good from when Redrive
# wrote it, else from when it left the list.
_SETTLE = text("""
    with due as (
      select g.* from ops.gone_problems g where g.gone_at < :gone_before
        and not exists (select 1 from ops.problems p where p.owner_id = g.owner_id and p.kind = g.kind and p.part = g.part)
        and not exists (select 1 from ops.problems u where u.owner_id = g.owner_id and u.problem_kind = 'unreadable'
          and (u.kind = 'chapter') = (g.kind = 'chapter'))
        and not exists (select 1 from ops.items i where i.owner_id = g.owner_id and i.kind = g.kind and i.part = g.part
          and i.state in ('planned', 'queued', 'running'))
        and not exists (select 1 from public.tasks t where (t.roadmap_id = g.owner_id or t.novel_id = g.owner_id)
          and t.status in ('pending', 'processing') and t.updated_at > :alive_since)
      order by g.gone_at limit :limit for update of g skip locked),
    settled as (delete from ops.gone_problems g using due d where g.owner_id = d.owner_id and g.kind = d.kind and g.part = d.part
      returning g.*),
    timed as (
      select s.first_seen_at, greatest(s.gone_at, (select max(i.settled_at) from ops.items i where i.owner_id = s.owner_id
        and i.kind = s.kind and i.part = s.part and i.state = 'succeeded')) as good_at
      from settled s where exists (select 1 from public.roadmap_metadata r where r.roadmap_id = s.owner_id and r.deleted_at is null)
        or exists (select 1 from public.novels n where n.id = s.owner_id)),
    counted as (
      insert into ops.recovery_hours as h (hour, class_place, key_count)
      select date_trunc('hour', good_at, 'UTC'),
        width_bucket(extract(epoch from good_at - first_seen_at), cast(:bounds as numeric[])), count(*) from timed group by 1, 2
      on conflict (hour, class_place) do update set key_count = h.key_count + excluded.key_count)
    select count(*) from settled""")

_ADD_UP = text("""
    insert into ops.retry_hours (hour, cause_id, succeeded, failed, calls, unpriced_calls, tokens, cost)
    select date_trunc('hour', settled_at, 'UTC'), coalesce(planned_cause_id, ''),
      count(*) filter (where state = 'succeeded' and action = 'generate'), count(*) filter (where state = 'failed' and action = 'generate'),
      coalesce(sum(calls), 0), coalesce(sum(calls) filter (where cost is null), 0),
      coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0), coalesce(sum(cost), 0)
    from ops.items where settled_at >= :since group by 1, 2""")


def settle_recoveries(connection: Connection, now: datetime, silence_seconds: float) -> int:
    """Count what is good again. Returns how many keys were settled; call again while it is SETTLED_AT_ONCE."""
    bounds = [bound.total_seconds() for bound, _name in CLASSES if bound]
    return connection.scalar(_SETTLE, {
        "gone_before": now - SETTLES_AFTER, "alive_since": now - timedelta(seconds=silence_seconds), "limit": SETTLED_AT_ONCE,
        "bounds": bounds}) or 0


def add_up_retries(connection: Connection, now: datetime) -> None:
    """The hours since the last one that was added up are added up anew: items that end meanwhile are in the next look."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    last = connection.scalar(text("select max(hour) from ops.retry_hours where hour <= :hour"), {"hour": hour})
    since = min(last or now - timedelta(days=KEPT_DAYS), hour - timedelta(hours=1))
    connection.execute(text("delete from ops.retry_hours where hour >= date_trunc('hour', cast(:since as timestamptz), 'UTC')"),
                       {"since": since})
    connection.execute(_ADD_UP, {"since": since.replace(minute=0, second=0, microsecond=0)})


def forget_old(connection: Connection, now: datetime) -> None:
    for table in ("retry_hours", "recovery_hours"):
        connection.execute(text(f"delete from ops.{table} where hour < :kept_since"), {"kept_since": now - timedelta(days=KEPT_DAYS)})
