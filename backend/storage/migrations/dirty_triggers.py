"""Triggers that append the owner of every changed row to ops.dirty, so that other programs' writes count too.

Statement triggers with transition tables: one insert for a bulk write, and append only, so that a writer of the
platform neither waits for Redrive nor deadlocks with it. SECURITY DEFINER: the platform's role needs no right on ops.
"""

from collections.abc import Callable

# table -> (kind of owner, how a changed row c names its owner)
OWNER_OF = {
    "roadmap_metadata": ("roadmap", "select c.roadmap_id from changed c"),
    "tutorial_metadata": ("roadmap", "select c.roadmap_id from changed c"),
    "resource_recommendation_metadata": ("roadmap", "select c.roadmap_id from changed c"),
    "quiz_metadata": ("roadmap", "select c.roadmap_id from changed c"),
    "roadmap_cover_images": ("roadmap", "select c.roadmap_id from changed c"),
    "novels": ("novel", "select c.id from changed c"),
    "chapters": ("novel", "select c.novel_id from changed c"),
    "options": ("novel", "select h.novel_id from changed c join public.chapters h on h.id = c.chapter_id"),
    "user_choices": ("novel", "select h.novel_id from changed c join public.chapters h on h.id = c.chapter_id"),
}
EVENTS = {
    "insert": ("new table as new_rows", "select * from new_rows"),
    "delete": ("old table as old_rows", "select * from old_rows"),
    "update": ("old table as old_rows new table as new_rows", "select * from old_rows union all select * from new_rows"),
}


def create_dirty_triggers(execute: Callable[[str], object]) -> None:
    for table, (owner_kind, owners) in OWNER_OF.items():
        marks = f"insert into ops.dirty (owner_kind, owner_id) select distinct '{owner_kind}', o.* from ({owners}) o"
        _create(execute, "public", table, marks, EVENTS)
    create_task_triggers(execute)
    # Of an item only becoming live or ceasing to be live changes the detector's answer; a heartbeat does not.
    item_events = {
        "insert": (EVENTS["insert"][0], "select * from new_rows where state in ('queued', 'running')"),
        "delete": EVENTS["delete"],
        "update": (EVENTS["update"][0],
                   "select n.* from new_rows n join old_rows o using (item_id) where n.state <> o.state "
                   "and (n.state in ('queued', 'running')) <> (o.state in ('queued', 'running'))"),
    }
    item_marks = (
        "insert into ops.dirty (owner_kind, owner_id) "
        "select distinct case when c.kind = 'chapter' then 'novel' else 'roadmap' end, c.owner_id from changed c")
    _create(execute, "ops", "items", item_marks, item_events)


def create_task_triggers(execute: Callable[[str], object], *, are_there: bool = False) -> None:
    """Of a new task that has items nothing is to be learned: the detector goes by the items. A large retry makes many.

    With `are_there` only what they do is replaced, and nobody who writes tasks waits.
    """
    marks = (
        "insert into ops.dirty (owner_kind, owner_id) "
        "select distinct 'roadmap', c.roadmap_id from changed c where c.roadmap_id is not null "
        "union select distinct 'novel', c.novel_id from changed c where c.novel_id is not null")
    # A subquery with a limit, and no sequential scans: of an exists the planner may make a join with all items.
    foreign = "select n.* from new_rows n where (select true from ops.items i where i.task_id = n.task_id limit 1) is null"
    events = EVENTS | {"insert": (EVENTS["insert"][0], foreign)}
    _create(execute, "public", "tasks", marks, events, more_settings="set enable_seqscan = off", are_there=are_there)


def _create(
    execute, schema: str, table: str, marks: str, events: dict[str, tuple[str, str]], *, more_settings: str = "", are_there: bool = False,
) -> None:
    for event, (transition, changed) in events.items():
        name = f"redrive_dirty_{table}_{event}"
        execute(
            f"create or replace function ops.{name}() returns trigger language plpgsql security definer "
            f"set search_path = pg_catalog, pg_temp {more_settings} as $$ begin "
            f"with changed as ({changed}) {marks}; return null; end $$")
        if are_there:
            continue
        execute(f"drop trigger if exists {name} on {schema}.{table}")
        execute(
            f"create trigger {name} after {event} on {schema}.{table} referencing {transition} "
            f"for each statement execute function ops.{name}()")
