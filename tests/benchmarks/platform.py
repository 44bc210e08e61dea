"""Large platforms, made inside the server: roadmaps of 30 concepts with their content, a share of it broken.

Which keys are broken, and how, follows from a hash of the key: the same every time.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from tests.benchmarks.stand import plain_url

CONCEPTS = 30  # 3 stages of 2 modules of 5 concepts
LOADERS = 2    # connections that load at the same time: one for each core
_HASH_RANGE = 1 << 20
_KIND_NUMBERS = {"tutorial": 1, "resources": 2, "quiz": 3}

_ROADMAP_ID = "'roadmap-' || lpad(n::text, 6, '0')"
_CONCEPT_ID = "'concept-' || lpad(c::text, 2, '0')"
_CONTENT_ID = "lpad(n::text, 6, '0') || '-' || lpad(c::text, 2, '0')"
_CREATED_AT = "now() - make_interval(days => (2 + n % 300)::int)"
_REASONS = (
    "429 Too Many Requests: rate limit reached for gpt-4o on tokens per min, request req_8f2c41d09b",
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    "Request timed out after 120.0 s",
    'duplicate key value violates unique constraint "quiz_metadata_pkey"',
    "JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "502 Bad Gateway from https://api.example.com/v1/chat/completions",
    "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9)",
    "value too long for type character varying(500)",
)
_LONG = "The smallest case shows it best: write down what is there before the step and after it, and compare the two line by line. "
_NAMES = ("Backpressure", "Vector search", "Idempotent writes", "Cache invalidation", "Query planning", "Consensus", "Event sourcing")


@dataclass(frozen=True, slots=True)
class Platform:
    roadmaps: int
    broken_share: float = 0.03  # of the content keys
    is_terse: bool = True       # short texts; else as long as in the demo: 500 characters a question, 220 a resource

    @property
    def keys(self) -> int:
        return self.roadmaps * CONCEPTS * len(_KIND_NUMBERS)


def load(database_url: str, platform: Platform) -> float:
    """Fill a migrated, empty database; nothing is marked dirty. Returns the seconds it took."""
    started = time.perf_counter()
    loaders = ThreadPoolExecutor(LOADERS)
    try:
        for loading in [loaders.submit(_load_table, database_url, table, insert) for table, insert in _inserts(platform)]:
            loading.result()
    finally:
        loaders.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C the server's end ends the statements that still run
    return time.perf_counter() - started


def roadmap_id(number: int) -> str:
    """The id of the roadmap with this number; numbers start at 1."""
    return f"roadmap-{number:06}"


def _load_table(database_url: str, table: str, insert: str) -> None:
    with psycopg.connect(plain_url(database_url), autocommit=True) as connection:
        connection.execute(f"alter table public.{table} set (autovacuum_enabled = false)")  # it would load the disk twice
        connection.execute(f"alter table public.{table} disable trigger user")
        connection.execute(insert)
        connection.execute(f"alter table public.{table} enable trigger user")
        connection.execute(f"alter table public.{table} reset (autovacuum_enabled)")
        connection.execute(f"vacuum analyze public.{table}")


def _inserts(platform: Platform) -> list[tuple[str, str]]:
    """(table, statement), the longest first."""
    faults = {kind: _fault(platform, number) for kind, number in _KIND_NUMBERS.items()}
    keys = f"from generate_series(1, {platform.roadmaps}) n cross join lateral generate_series(1, {CONCEPTS} + 0 * n) c"
    return [
        ("roadmap_metadata", _insert_roadmaps(platform, faults)),
        ("quiz_metadata", f"""
            insert into public.quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count, medium_count,
                hard_count, generated_at)
            select 'quiz-' || {_CONTENT_ID}, {_CONCEPT_ID}, {_ROADMAP_ID}, {_list_unless_broken(faults["quiz"], _questions(platform))},
                4, 1, 2, 1, {_CREATED_AT} {keys} where {_has_row(faults["quiz"])}"""),
        ("resource_recommendation_metadata", f"""
            insert into public.resource_recommendation_metadata (id, concept_id, roadmap_id, resources, resources_count,
                search_queries_used, generated_at)
            select 'resources-' || {_CONTENT_ID}, {_CONCEPT_ID}, {_ROADMAP_ID},
                {_list_unless_broken(faults["resources"], _resources(platform))}, 3, '["explained", "in practice"]'::json,
                {_CREATED_AT} {keys} where {_has_row(faults["resources"])}"""),
        ("tutorial_metadata", f"""
            insert into public.tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url, content_status,
                estimated_completion_time, generated_at)
            select 'tutorial-' || {_CONTENT_ID}, {_CONCEPT_ID}, {_ROADMAP_ID}, {_name("c")},
                'After this you can use it in a small case of your own.',
                case when {faults["tutorial"]} < 14 then 's3://texts/tutorials/' || {_CONTENT_ID} || '.md' end, 'completed', 25,
                {_CREATED_AT} {keys} where {_has_row(faults["tutorial"])}"""),
        ("tasks", _insert_tasks(platform, faults)),
        ("roadmap_cover_images", f"""
            insert into public.roadmap_cover_images (roadmap_id, cover_image_url, generation_status, created_at, updated_at)
            select {_ROADMAP_ID}, 's3://covers/' || n || '.webp', 'success', {_CREATED_AT}, {_CREATED_AT}
            from generate_series(1, {platform.roadmaps}) n"""),
    ]


def _fault(platform: Platform, kind_number: int) -> str:
    """SQL: -1 healthy; 0-5 failed, 6-8 null, 9-10 completed, 11 generating: no row; 12-13 drifted; 14-15 an empty row."""
    drawn = f"(hashint8extended((n * 1000 + c * 10 + {kind_number})::bigint, 7) & {_HASH_RANGE - 1})"
    return f"(case when {drawn} < {round(platform.broken_share * _HASH_RANGE)} then {drawn} & 15 else -1 end)"


def _has_row(fault: str) -> str:
    return f"{fault} not between 0 and 11"


def _status(fault: str) -> str:
    """SQL: the declared status as JSON text."""
    return (f"case when {fault} < 0 then '\"completed\"' when {fault} < 6 or {fault} in (12, 13) then '\"failed\"' "
            f"when {fault} < 9 then 'null' when {fault} = 11 then '\"generating\"' else '\"completed\"' end")


def _list_unless_broken(fault: str, filled: str) -> str:
    return f"case when {fault} < 14 then ({filled})::json else '[]'::json end"


def _name(number: str) -> str:
    return f"(array{list(_NAMES)})[1 + {number} % {len(_NAMES)}] || ', part ' || {number}"


def _resources(platform: Platform) -> str:
    """SQL: a list of three as JSON text."""
    description = "Shows the idea on a case that you can repeat. " + ("" if platform.is_terse else _LONG[:70])
    entries = (
        f"""'{{"title": "{title}", "url": "https://example.org/{word}/' || n || '/' || c || '", "type": "{word}", """
        f""""description": "{description}"}}'"""
        for title, word in (("Start here", "article"), ("See it move", "video"), ("Look it up", "documentation")))
    return "'[' || " + " || ', ' || ".join(entries) + " || ']'"


def _questions(platform: Platform) -> str:
    """SQL: a list of four as JSON text."""
    explanation = "It follows from the definition. " + ("" if platform.is_terse else 2 * _LONG + _LONG[:60])
    entries = (
        f"""'{{"question": "Which statement holds in case {number} of ' || c || '?", "options": ["Always", "Never", "Sometimes"], """
        f""""correct_options": [{number % 3}], "explanation": "{explanation}", "difficulty": "{level}"}}'"""
        for number, level in enumerate(("easy", "medium", "medium", "hard")))
    return "'[' || " + " || ', ' || ".join(entries) + " || ']'"


def _insert_roadmaps(platform: Platform, faults: dict[str, str]) -> str:
    # The concepts are joined by commas, so each carries the brackets that open and close around it.
    opens = (
        """case c % 10 when 1 then '{"name": "Stage ' || c / 10 + 1 || '", "modules": [' else '' end"""
        """ || case c % 5 when 1 then '{"name": "Module ' || c / 5 + 1 || '", "concepts": [' else '' end""")
    closes = "case c % 5 when 0 then ']}' else '' end || case c % 10 when 0 then ']}' else '' end"
    concept = (
        f"""'{{"concept_id": "' || {_CONCEPT_ID} || '", "name": "' || {_name("c")} || '", """
        """"description": "What it is for, where it ends, and how to see that it works.", "estimated_hours": 2.5, """
        """"prerequisites": [], "difficulty": "medium", "keywords": ["flow", "limits", "practice"], "content_status": ' || """
        f"""{_status(faults["tutorial"])} || ', "content_ref": "tutorial-' || {_CONTENT_ID} || '", """
        """"content_summary": "After this you can use it in a small case of your own.", "content_version": 1, """
        f""""resources_status": ' || {_status(faults["resources"])} || ', "resources_id": "resources-' || {_CONTENT_ID} || '", """
        f""""resources_count": 3, "quiz_status": ' || {_status(faults["quiz"])} || ', "quiz_id": "quiz-' || {_CONTENT_ID} || '", """
        """"quiz_questions_count": 4}'""")
    return f"""
        insert into public.roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours, recommended_completion_weeks,
            framework_data, created_at, updated_at)
        select {_ROADMAP_ID}, 'user-' || n % 5000, {_name("n")}, 75, 8,
            ('{{"stages": [' || (select string_agg({opens} || {concept} || {closes}, ',' order by c)
                from generate_series(1, {CONCEPTS}) c) || ']}}')::jsonb, {_CREATED_AT}, {_CREATED_AT}
        from generate_series(1, {platform.roadmaps}) n"""


def _insert_tasks(platform: Platform, faults: dict[str, str]) -> str:
    """The creation of each roadmap, with a reason for what it knows to have failed."""
    failed = {kind: f"{fault} between 0 and 5" for kind, fault in faults.items()}
    kinds = ", ".join(f"case when {condition} then '{kind}' end" for kind, condition in failed.items())
    entries = (
        f"select json_object_agg({_CONCEPT_ID}, json_build_object('reason', (array{list(_REASONS)})[1 + (n + c) % {len(_REASONS)}], "
        f"'content_type', concat_ws(',', {kinds}), 'timestamp', {_CREATED_AT})) "
        f"from generate_series(1, {CONCEPTS}) c where {' or '.join(failed.values())}")
    return f"""
        insert into public.tasks (task_id, user_id, status, task_type, roadmap_id, failed_concepts, created_at, updated_at, completed_at)
        select 'task-' || n, 'user-' || n % 5000, case when f.failed is null then 'completed' else 'partial_failure' end, 'creation',
            {_ROADMAP_ID}, f.failed, {_CREATED_AT}, {_CREATED_AT}, {_CREATED_AT}
        from generate_series(1, {platform.roadmaps}) n cross join lateral ({entries}) f(failed)"""
