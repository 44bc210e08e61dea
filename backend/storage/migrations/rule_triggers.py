"""Triggers by which ops.retry_due follows ops.problems: what a rule is for is noted when it breaks, and forgotten when it is gone.

Cost follows change: nothing reads all problems to find what is due. With no rule turned on each is one look at an empty table.
"""

from collections.abc import Callable

_IS_ANY = "if not exists (select 1 from ops.retry_rules where is_enabled and deleted_at is null) then return null; end if; "
_NOTE = (
    "insert into ops.retry_due (owner_id, kind, part, rule_id, due_at) "
    "select n.owner_id, n.kind, n.part, r.rule_id, clock_timestamp() from ops.retry_rules r "
    "left join ops.cause_aliases a on a.fingerprint = r.cause_id "
    "join changed n on (r.kind is null or n.kind = r.kind) and (r.cause_id is null or n.cause_id = coalesce(a.cause_id, r.cause_id)) "
    "where r.is_enabled and r.deleted_at is null order by 1, 2, 3, 4 "
    "on conflict (owner_id, kind, part, rule_id) do update set due_at = excluded.due_at, left_out_rule = null")
_FORGET = (
    "delete from ops.retry_due d using {rows} g where d.owner_id = g.owner_id and d.kind = g.kind and d.part = g.part")
_BODIES = {
    "insert": ("new table as new_rows", f"with changed as (select * from new_rows) {_NOTE}; "),
    "update": ("old table as old_rows new table as new_rows",
               # One whose cause is another now is due by other rules.
               "with moved as (select n.* from new_rows n join old_rows o using (owner_id, kind, part) where n.cause_id <> o.cause_id) "
               + _FORGET.format(rows="moved") + "; "
               "with changed as (select n.* from new_rows n join old_rows o using (owner_id, kind, part) "
               "  where (n.cause_id, n.since_at, n.problem_kind) is distinct from (o.cause_id, o.since_at, o.problem_kind)) "
               f"{_NOTE}; "),
    "delete": ("old table as old_rows", _FORGET.format(rows="old_rows") + "; "),
}


def create_rule_triggers(execute: Callable[[str], object]) -> None:
    for event, (transition, body) in _BODIES.items():
        name = f"redrive_rules_problems_{event}"
        execute(
            f"create or replace function ops.{name}() returns trigger language plpgsql security definer "
            f"set search_path = pg_catalog, pg_temp as $$ begin {_IS_ANY}{body}return null; end $$")
        execute(
            f"create trigger {name} after {event} on ops.problems referencing {transition} "
            f"for each statement execute function ops.{name}()")
