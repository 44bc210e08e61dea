"""Content that is marked generating while nobody works on it: found through the kept problems, marked failed under its lock."""

from datetime import datetime

from sqlalchemy import Connection, exists, select, text, update

from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.status import LIVE_ITEM_STATES, ChapterStatus, ContentStatus, CoverStatus
from backend.storage import contents
from backend.storage.items import StoredItem, as_item
from backend.storage.ops_tables import items, problems
from backend.storage.platform_tables import chapters, roadmap_cover_images


def stale_since(connection: Connection, before: datetime, limit: int) -> list[tuple[ContentKey, datetime]]:
    """Stale content keys that have been so since before that time, with their time; the oldest first."""
    rows = connection.execute(
        select(problems.c.kind, problems.c.owner_id, problems.c.part, problems.c.since_at)
        .where(problems.c.problem_kind == ProblemKind.STALE, problems.c.since_at < before)
        .order_by(problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part).limit(limit))
    return [(ContentKey(ContentKind(row.kind), row.owner_id, row.part), row.since_at) for row in rows]


def left_by_items(connection: Connection, limit: int) -> list[tuple[StoredItem, str]]:
    """Settled items of ours that are the last to have marked stale content as generating, with their errors.

    No sign of the platform is later than their end, and what they had found was no mark of the platform's either, or they failed.
    """
    rows = connection.execute(text(
        "select i.* from ops.problems p cross join lateral (select * from ops.items i "
        "  where i.owner_id = p.owner_id and i.kind = p.kind and i.part = p.part order by i.item_id desc limit 1) i "
        "where p.problem_kind = 'stale' and i.action = 'generate' and i.settled_at >= p.since_at "
        "and (i.started_at is not null or i.attempt > 1 or i.kind = 'chapter') "
        "and (i.state = 'failed' or i.state in ('cancelled', 'skipped') "
        "  and coalesce(i.previous_status, '') not in ('generating', 'processing')) "
        "and not exists (select 1 from public.tasks t where (t.roadmap_id = p.owner_id or t.novel_id = p.owner_id) "
        "  and t.updated_at > i.settled_at and not exists (select 1 from ops.items o where o.task_id = t.task_id)) "
        "order by i.item_id limit :limit"), {"limit": limit})
    return [(as_item(row), row.error_message or "") for row in rows]


def mark_failed(connection: Connection, key: ContentKey, reason: str, now: datetime) -> bool:
    """generating | processing -> failed. False: somebody works on it again, or its mark is another one by now."""
    if key.kind in CONCEPT_KINDS:
        return _mark_concept(connection, key)
    is_live = exists().where(items.c.kind == key.kind, items.c.owner_id == key.owner_id, items.c.part == key.part,
                             items.c.state.in_(LIVE_ITEM_STATES))
    if key.kind is ContentKind.COVER:
        table = roadmap_cover_images
        statement = update(table).where(
            table.c.roadmap_id == key.owner_id, table.c.generation_status == CoverStatus.GENERATING, ~is_live,
        ).values(generation_status=CoverStatus.FAILED, error_message=reason, updated_at=now)
    else:
        statement = update(chapters).where(
            chapters.c.novel_id == key.owner_id, chapters.c.chapter_number == key.chapter_number,
            chapters.c.status == ChapterStatus.GENERATING, ~is_live).values(status=ChapterStatus.FAILED, error_message=reason)
    return connection.execute(statement).rowcount == 1


def _mark_concept(connection: Connection, key: ContentKey) -> bool:
    roadmap = contents.lock_roadmap(connection, key.owner_id)  # an item that begins waits for this lock
    concept = roadmap.framework.concept(key.part) if roadmap else None
    is_live = connection.scalar(text(
        "select exists (select 1 from ops.items where kind = :kind and owner_id = :owner_id and part = :part "
        "and state in ('queued', 'running'))"), {"kind": key.kind, "owner_id": key.owner_id, "part": key.part})
    if concept is None or is_live or concept.declared(key.kind) not in (ContentStatus.GENERATING, ContentStatus.PROCESSING):
        return False
    contents.patch_concept(connection, key.owner_id, concept, contents.status_field(key.kind, ContentStatus.FAILED))
    return True
