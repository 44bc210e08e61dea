"""Random platforms for property tests: rows of every table, odd ones too, and the plain SQL that writes and changes them.

A platform is {table: {primary key: row}}. Ages lie around the limits of the tests (silence 300 s, grace 900 s).
"""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import strategies as st

Row = dict[str, Any]
Platform = dict[str, dict[Any, Row]]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROADMAPS = ("r1", "r2", "r3")
NOVELS = ("n1", "r1")  # a novel may bear the id of a roadmap
CONCEPTS = ("a", "b", "c")
KINDS = ("tutorial", "resources", "quiz")
MOVING = ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata")
# In the order in which they may be inserted; the reverse is the order of deleting.
PRIMARY_KEYS = {
    "roadmap_metadata": "roadmap_id", "tutorial_metadata": "tutorial_id", "resource_recommendation_metadata": "id",
    "quiz_metadata": "quiz_id", "roadmap_cover_images": "roadmap_id", "novels": "id", "chapters": "id", "options": "id",
    "user_choices": "id", "tasks": "task_id", "items": "item_id",
}
BLANKS = ("", "  ", "\n\t", "\u3000", "\u00a0 ")
STATUSES = st.sampled_from(
    ["completed"] * 6 + [None, "pending", "generating", "processing", "failed", "", "Completed", 5, True, {"a": 1}]).map(deepcopy)
LISTS = st.sampled_from([
    '[{"title": "T"}]', '[{"title": "T"}, {}]', ' [ {"title": "T"} ]', '["T"]', '[null]', '[{"title": "nul \\u0000"}]',
    "[]", " [ ]", "{}", '{"a": 1}', "null", '""', "5", None])
TIMES = st.sampled_from([0, 1, 299, 300, 301, 600, 899, 900, 901, 1200, 200_000]).map(lambda seconds: NOW - timedelta(seconds=seconds))
GOOD = {
    "tutorial_metadata": {"content_url": "file:///t.md", "content_status": "completed", "content_version": 1, "is_latest": True,
                          "generated_at": NOW - timedelta(hours=1)},
    "resource_recommendation_metadata": {"resources": '[{"title": "T"}]', "generated_at": NOW - timedelta(hours=1)},
    "quiz_metadata": {"questions": '[{"question": "Q"}]', "generated_at": NOW - timedelta(hours=1)},
}
ROWS = {
    "tutorial_metadata": st.fixed_dictionaries({
        "content_url": st.sampled_from(["file:///t.md", "file:///t.md", None, *BLANKS]),
        "content_status": st.sampled_from(["completed", "completed", None, "failed", "generating", "pending", "odd"]),
        "content_version": st.integers(1, 3), "is_latest": st.sampled_from([True, True, True, False]),
        "generated_at": st.none() | TIMES}),
    "resource_recommendation_metadata": st.fixed_dictionaries({"resources": LISTS, "generated_at": st.none() | TIMES}),
    "quiz_metadata": st.fixed_dictionaries({"questions": LISTS, "generated_at": st.none() | TIMES}),
    "roadmap_cover_images": st.fixed_dictionaries({
        "cover_image_url": st.sampled_from(["file:///c.webp", "file:///c.webp", None, *BLANKS]),
        "generation_status": st.sampled_from(["success", "success", "pending", "generating", "failed", "odd"]),
        "error_message": st.sampled_from([None, "Request timed out."]), "updated_at": TIMES}),
    "chapters": st.fixed_dictionaries({
        "content": st.sampled_from(["Once.", "Once.", "Once.", None, *BLANKS]),
        "status": st.sampled_from(["completed"] * 4 + ["generating", "failed", "odd"]),
        "error_message": st.sampled_from([None, "Connection error."]), "created_at": TIMES}),
    "tasks": st.fixed_dictionaries({
        "owner": st.sampled_from([None, *(("roadmap_id", r) for r in ROADMAPS), *(("novel_id", n) for n in NOVELS)]),
        "task_type": st.sampled_from(
            ["creation", "creation", None, "retry_tutorial", "retry_quiz", "retry_batch", "cover", "chapter", "odd"]),
        "status": st.sampled_from(["pending", "processing", "completed", "failed", "partial_failure", "cancelled", "cancelled"]),
        "concept_id": st.sampled_from([None, None, *CONCEPTS]), "content_type": st.sampled_from([None, None, *KINDS]),
        "error_message": st.sampled_from([None, "Request timed out."]), "created_at": TIMES, "updated_at": TIMES,
        "failed_concepts": st.sampled_from([
            None, "null", "[]", '{"a": {"reason": "Refused", "content_type": "quiz,tutorial", "timestamp": "2026-11-22T11:00:00Z"}}',
            '{"b": "gone", "c": {"reason": null}, "a": {"timestamp": 5}}',
            '{"a": {"reason": "nul \\u0000", "timestamp": "2026-11-22T11:00:00"}, "b": "half \\ud83d", "c\\u0000": "odd"}'])}),
    "items": st.fixed_dictionaries({
        "key": st.one_of(
            st.tuples(st.sampled_from(KINDS), st.sampled_from(ROADMAPS), st.sampled_from(CONCEPTS)),
            st.tuples(st.just("cover"), st.sampled_from(ROADMAPS), st.just("")),
            st.tuples(st.just("chapter"), st.sampled_from(NOVELS), st.sampled_from(["1", "2", "3"]))),
        "state": st.sampled_from(["planned", "queued", "running", "succeeded", "failed", "failed", "cancelled", "skipped"]),
        "action": st.sampled_from(["generate", "generate", "repair"]), "attempt": st.integers(1, 3),
        "error_message": st.sampled_from([None, "Request timed out."]), "settled_at": TIMES,
        "task_id": st.sampled_from([None, "t1", "t2"])}),
}
ODD_VALUES = st.sampled_from([None, 5, 1.5, "odd", "", True, {}, [], [[]], {"stages": []}]).map(deepcopy)


@st.composite
def frameworks(draw: st.DrawFn, *, is_json: bool = False) -> str | None:
    """framework_data as text: mostly well-formed, else with one or two faults anywhere."""
    concepts = []
    for concept_id in CONCEPTS[:draw(st.integers(0, len(CONCEPTS)))]:
        statuses = draw(st.one_of(st.just(("completed",) * 3), st.tuples(STATUSES, STATUSES, STATUSES)))
        concepts.append({"concept_id": concept_id, "name": f"Concept {concept_id}", "mine": [1],
                         **dict(zip(("content_status", "resources_status", "quiz_status"), statuses, strict=True))})
    cut = draw(st.integers(0, len(concepts)))
    modules = [{"name": "M1", "concepts": concepts[:cut]}, {"name": "M2", "concepts": concepts[cut:]}]
    layout = draw(st.sampled_from(["one stage", "two stages"]))
    data = {"stages": [{"modules": modules}] if layout == "one stage" else [{"modules": modules[:1]}, {"modules": modules[1:]}]}
    for _fault in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        _spoil(draw, data, is_json)
    if draw(st.integers(0, 19)) == 19:
        data = draw(ODD_VALUES)
    if draw(st.integers(0, 29)) == 29:
        return None
    return json.dumps(data, indent=1 if is_json else None)


def _spoil(draw: st.DrawFn, data: Any, is_json: bool) -> None:
    damage = draw(st.sampled_from(["odd", "wrap", "unwrap", "twice", "twice", "lose", "unstorable"]))
    places = [(parent, at) for parent, at in _places(data)
              if damage != "twice" or (isinstance(parent[at], dict) and "concept_id" in parent[at] and isinstance(parent, list))]
    if not places:
        return
    parent, at = draw(st.sampled_from(places))
    value = parent[at]
    if damage == "odd":
        parent[at] = draw(ODD_VALUES)
    elif damage == "wrap":
        parent[at] = [value]
    elif damage == "unwrap" and isinstance(value, list) and value:
        parent[at] = value[0]
    elif damage == "twice":
        parent.append({**value, "content_status": draw(STATUSES), "quiz_status": draw(STATUSES)})
    elif damage == "lose":
        del parent[at]
    elif damage == "unstorable" and is_json:
        parent[at] = draw(st.sampled_from(["nul \x00", "half \ud83d"]))


def _places(data: Any) -> Iterable[tuple[Any, Any]]:
    """Every (parent, key or position) below the top."""
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for at, child in list(children):
        yield data, at
        yield from _places(child)


@st.composite
def platforms(draw: st.DrawFn, *, is_json: bool = False) -> Platform:
    """Roadmaps, novels and everything that belongs to them. `is_json`: framework_data is a json column, which takes more."""
    found: Platform = {table: {} for table in PRIMARY_KEYS}
    for roadmap_id in ROADMAPS[:draw(st.integers(0, len(ROADMAPS)))]:
        found["roadmap_metadata"][roadmap_id] = {
            "user_id": "u", "title": f"Roadmap {roadmap_id}", "framework_data": draw(frameworks(is_json=is_json)),
            "created_at": draw(TIMES), "deleted_at": draw(st.sampled_from([None] * 7 + [NOW]))}
        if draw(st.booleans()):
            found["roadmap_cover_images"][roadmap_id] = draw(ROWS["roadmap_cover_images"])
        for concept_id in CONCEPTS:
            odd_tables = draw(st.sampled_from([(), *((table,) for table in GOOD), tuple(GOOD)]))
            for table, good in GOOD.items():
                rows = draw(st.lists(ROWS[table], max_size=2)) if table in odd_tables else [good]
                for number, row in enumerate(rows):
                    found[table][f"{roadmap_id}-{concept_id}-{number}"] = {"roadmap_id": roadmap_id, "concept_id": concept_id, **row}
    for novel_id in NOVELS[:draw(st.integers(0, len(NOVELS)))]:
        _add_novel(draw, found, novel_id)
    for number in range(draw(st.sampled_from([0, 0, 1, 2, 3, 5]))):
        row = draw(ROWS["tasks"])
        owner = row.pop("owner")
        found["tasks"][f"t{number}"] = {"user_id": "u", "roadmap_id": None, "novel_id": None, **row, **(dict([owner]) if owner else {})}
    for roadmap_id in found["roadmap_metadata"]:
        _add_story(draw, found, roadmap_id)
    for item_id in range(60, 60 + draw(st.sampled_from([0, 0, 2, 4, 8]))):
        _add_item(found, item_id, draw(ROWS["items"]))
    return found


def _add_story(draw: st.DrawFn, found: Platform, roadmap_id: str) -> None:
    """What chance alone seldom brings together: a cancelled creation, tried again or not; a retry at work on one concept."""
    story = draw(st.sampled_from([None, None, "cancelled", "tried again", "one concept"]))
    if story is None:
        return
    if story == "tried again":
        concept_id, state = draw(st.sampled_from(CONCEPTS)), draw(st.sampled_from(["failed", "succeeded", "cancelled", "running"]))
        found["quiz_metadata"] = {row_id: row for row_id, row in found["quiz_metadata"].items()
                                  if (row["roadmap_id"], row["concept_id"]) != (roadmap_id, concept_id)}
        _add_item(found, 50 + len(found["items"]), {
            "key": ("quiz", roadmap_id, concept_id), "state": state, "action": "generate", "attempt": 1, "error_message": None,
            "settled_at": draw(TIMES), "task_id": None})
    now_working = {"status": "processing", "concept_id": draw(st.sampled_from(CONCEPTS)), "updated_at": NOW - timedelta(seconds=100),
                   "task_type": draw(st.sampled_from(["retry_tutorial", "retry_resources", "retry_quiz", "retry_batch"]))}
    cancelled = {"status": "cancelled", "concept_id": None, "updated_at": draw(TIMES), "task_type": "creation"}
    found["tasks"][f"story-{roadmap_id}"] = {
        "user_id": "u", "roadmap_id": roadmap_id, "novel_id": None, "content_type": None, "error_message": None,
        "created_at": NOW - timedelta(days=1), "failed_concepts": None, **(now_working if story == "one concept" else cancelled)}


def _add_novel(draw: st.DrawFn, found: Platform, novel_id: str) -> None:
    found["novels"][novel_id] = {"user_id": "u", "title": f"Novel {novel_id}", "created_at": draw(TIMES)}
    for number in draw(st.sets(st.integers(1, 4), max_size=3)):
        chapter_id = f"{novel_id}-{number}"
        found["chapters"][chapter_id] = {"novel_id": novel_id, "chapter_number": number, **draw(ROWS["chapters"])}
        for order in range(draw(st.sampled_from([2, 2, 1, 0]))):
            found["options"][f"{chapter_id}-{order}"] = {"chapter_id": chapter_id, "option_order": order, "option_text": "Go"}
            if draw(st.booleans()):
                found["user_choices"][f"{chapter_id}-{order}"] = {
                    "user_id": "u", "chapter_id": chapter_id, "option_id": f"{chapter_id}-{order}", "created_at": draw(TIMES)}


def _add_item(found: Platform, item_id: int, row: Row) -> None:
    """As Redrive writes items: at most one live for a key, settled ones with a time that grows, a task of their own owner."""
    row = dict(row)
    kind, owner_id, part = row.pop("key")
    same_key = [item for item in found["items"].values() if (item["kind"], item["owner_id"], item["part"]) == (kind, owner_id, part)]
    if any(item["state"] in ("queued", "running") for item in same_key):
        row["state"] = "planned"
    if row["state"] in ("planned", "queued", "running"):
        row["settled_at"] = None
    else:
        row["settled_at"] = max([row["settled_at"], *(item["settled_at"] for item in same_key if item["settled_at"])])
    column = "novel_id" if kind == "chapter" else "roadmap_id"
    if found["tasks"].get(row["task_id"], {}).get(column) != owner_id:
        row["task_id"] = None
    row["error_kind"] = "model_timeout" if row["error_message"] else None
    found["items"][item_id] = {
        "operation_id": "op", "kind": kind, "owner_id": owner_id, "part": part, "problem_kind": "failed",
        "created_at": row["settled_at"] or NOW - timedelta(hours=2), **row}


@st.composite
def changes(draw: st.DrawFn, before: Platform, *, is_json: bool = False) -> Platform:
    """The platform some writes later: rows of another random one instead of its own, here and there, often in one table only."""
    other = draw(platforms(is_json=is_json))
    tables = draw(st.sampled_from([*([table] for table in PRIMARY_KEYS), *[list(PRIMARY_KEYS)] * 4]))
    after: Platform = {}
    for table in PRIMARY_KEYS:
        after[table] = dict(before[table])
        if table == "items" or table not in tables:
            continue
        if table in MOVING and after[table] and draw(st.booleans()):
            row_id = draw(st.sampled_from(sorted(after[table])))
            after[table][row_id] = {**after[table][row_id], "roadmap_id": draw(st.sampled_from(ROADMAPS))}
        for row_id in sorted({**before[table], **other[table]}):
            if draw(st.integers(0, 3)) >= (2 if len(tables) == 1 else 3):
                after[table].pop(row_id, None)
                if row_id in other[table]:
                    after[table][row_id] = other[table][row_id]
    for table, column, parent in (("chapters", "novel_id", "novels"), ("options", "chapter_id", "chapters"),
                                  ("user_choices", "option_id", "options")):
        after[table] = {row_id: row for row_id, row in after[table].items() if row[column] in after[parent]}
    if "items" not in tables:
        return after
    for item_id, item in before["items"].items():
        after["items"][item_id] = _advanced(draw, item)
    for number, item in enumerate(other["items"].values()):
        row = {name: item[name] for name in ("state", "action", "attempt", "error_message")}
        _add_item(after, 100 + number, {
            **row, "key": (item["kind"], item["owner_id"], item["part"]), "task_id": None, "settled_at": item["settled_at"] or NOW})
    return after


def _advanced(draw: st.DrawFn, item: Row) -> Row:
    """The item as it stands, or settled by a worker or a person."""
    ways = {"planned": ["planned", "cancelled", "skipped"], "queued": ["queued", "cancelled"],
            "running": ["running", "succeeded", "failed", "cancelled"]}
    state = draw(st.sampled_from(ways.get(item["state"], [item["state"]])))
    if state == item["state"]:
        return item
    message = "Refused" if state == "failed" else None
    return {**item, "state": state, "settled_at": NOW, "error_message": message, "error_kind": "model_refused" if message else None}


def clear(connection: psycopg.Connection) -> None:
    """An empty database again. delete, not truncate: 10 times as fast for so few rows."""
    for table in reversed(PRIMARY_KEYS):
        connection.execute(f"delete from {_name(table)}")
    for table in ("problems", "causes", "dirty", "rechecks"):
        connection.execute(f"delete from ops.{table}")


def write(connection: psycopg.Connection, platform: Platform) -> None:
    write_changes(connection, {table: {} for table in PRIMARY_KEYS}, platform)


def write_changes(connection: psycopg.Connection, before: Platform, after: Platform) -> None:
    """Delete, update and insert what differs, as another program would; items by their arrows, as Redrive does."""
    with connection.pipeline():
        _write_changes(connection, before, after)


def _write_changes(connection: psycopg.Connection, before: Platform, after: Platform) -> None:
    for table in reversed(PRIMARY_KEYS):
        gone = [row_id for row_id in before[table] if row_id not in after[table]]
        if gone:
            connection.execute(f"delete from {_name(table)} where {PRIMARY_KEYS[table]} = any(%s)", (gone,))
    for table, column in PRIMARY_KEYS.items():
        changed = {row_id: row for row_id, row in after[table].items() if row_id in before[table] and row != before[table][row_id]}
        for row_id, row in changed.items():
            connection.execute(
                f"update {_name(table)} set {', '.join(f'{name} = %s' for name in row)} where {column} = %s", (*row.values(), row_id))
        _insert(connection, table, {row_id: row for row_id, row in after[table].items() if row_id not in before[table]})


def _insert(connection: psycopg.Connection, table: str, rows: Mapping[Any, Row]) -> None:
    for row_id, row in rows.items():
        names = ", ".join([PRIMARY_KEYS[table], *row])
        first_state = {"state": "planned"} if table == "items" else {}
        values = [row_id, *{**row, **first_state}.values()]
        connection.execute(f"insert into {_name(table)} ({names}) values ({', '.join(['%s'] * len(values))})", values)
        for state in _steps(row["state"]) if table == "items" else ():
            connection.execute("update ops.items set state = %s where item_id = %s", (state, row_id))


def _steps(state: str) -> list[str]:
    return {"planned": [], "queued": ["queued"], "running": ["queued", "running"], "cancelled": ["cancelled"], "skipped": ["skipped"]}.get(
        state, ["queued", "running", state])


def _name(table: str) -> str:
    return "ops.items" if table == "items" else f"public.{table}"
