"""The kept list over a real database, held against the slow oracle on random platforms.

REDRIVE_PROPERTY_SEED and REDRIVE_PROPERTY_EXAMPLES look further than CI does; a failing run prints its seed.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from backend.content.detector import detect, judge
from backend.content.facts import Limits, OwnerFacts
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind, Owner, OwnerKind
from backend.content.problems import Problem, ProblemKind
from backend.redrive import Redrive
from backend.storage import problems as kept
from backend.storage.engine import psycopg_url
from backend.storage.facts import load_cover_facts, load_facts, load_key_facts
from backend.storage.ops_tables import problems
from tests.oracle import expected_problems
from tests.random_platforms import CONCEPTS, NOVELS, NOW, ROADMAPS, changes, clear, platforms, write, write_changes

LIMITS = Limits(grace_seconds=900, silence_seconds=300)
OWNERS = [Owner(OwnerKind.ROADMAP, roadmap_id) for roadmap_id in ROADMAPS] + [Owner(OwnerKind.NOVEL, novel_id) for novel_id in NOVELS]
CONCEPT_KEYS = [
    ContentKey(kind, roadmap_id, concept_id)
    for kind in CONCEPT_KINDS for roadmap_id in ROADMAPS for concept_id in (*CONCEPTS, "5", "")]
SEED = int(os.environ.get("REDRIVE_PROPERTY_SEED", "20261122"))
EXAMPLES = int(os.environ.get("REDRIVE_PROPERTY_EXAMPLES", "25"))
pytestmark = pytest.mark.timeout(600)  # a failing example is made smaller before it is shown
WAITS = st.lists(st.sampled_from([1, 2, 299, 300, 301, 600, 900]), min_size=1, max_size=3)


def examples(test: Callable) -> Callable:
    """One database for all examples of a test, emptied between them; the seed is fixed and told."""
    profile = settings(
        max_examples=EXAMPLES, deadline=None, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
    return seed(SEED)(profile(test))


@pytest.fixture(params=["jsonb", "json"])
def column_type(request: pytest.FixtureRequest) -> str:
    """The type of framework_data on this platform."""
    return request.param


@pytest.fixture
def platform_program(redrive: Redrive, column_type: str) -> Iterator[psycopg.Connection]:
    """The connection of another program that writes the platform's tables, each statement committed."""
    url = psycopg_url(redrive.settings.database_url.get_secret_value()).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"alter table roadmap_metadata alter column framework_data type {column_type}")
        yield connection


def found(engine: Engine) -> dict[ContentKey, ProblemKind]:
    with engine.connect() as connection:
        rows = connection.execute(select(problems.c.kind, problems.c.owner_id, problems.c.part, problems.c.problem_kind))
        return {ContentKey(ContentKind(row.kind), row.owner_id, row.part): ProblemKind(row.problem_kind) for row in rows}


def expected(engine: Engine, now: datetime = NOW) -> dict[ContentKey, ProblemKind]:
    with engine.connect() as connection:
        return expected_problems(connection, now, LIMITS)


def drain(engine: Engine, now: datetime = NOW) -> None:
    kept.drain(engine, lambda: now, LIMITS, batch_owners=2)


@examples
@given(data=st.data())
def test_the_list_is_what_the_oracle_says(redrive, platform_program, column_type, data):
    note(f"REDRIVE_PROPERTY_SEED={SEED}")
    platform = data.draw(platforms(is_json=column_type == "json"))
    clear(platform_program)
    write(platform_program, platform)

    drain(redrive.engine)

    assert found(redrive.engine) == expected(redrive.engine)


@examples
@given(data=st.data())
def test_suspects_hold_every_problem_and_lead_to_the_same_answers_as_all_keys(redrive, platform_program, column_type, data):
    note(f"REDRIVE_PROPERTY_SEED={SEED}")
    platform = data.draw(platforms(is_json=column_type == "json"))
    clear(platform_program)
    write(platform_program, platform)

    with redrive.engine.connect() as connection:
        suspects = load_facts(connection, OWNERS)
        everything = load_facts(connection, OWNERS, every_key=True)

    keys = {key.key for facts in suspects.values() for key in facts.keys}
    keys |= {ContentKey(ContentKind.FRAMEWORK, owner.owner_id) for owner, facts in suspects.items() if facts.framework_faults}
    assert set(expected(redrive.engine)) <= keys
    assert judged(suspects) == judged(everything)


@examples
@given(data=st.data())
def test_the_facts_of_one_key_are_those_of_its_whole_roadmap(redrive, platform_program, column_type, data):
    note(f"REDRIVE_PROPERTY_SEED={SEED}")
    platform = data.draw(platforms(is_json=column_type == "json"))
    clear(platform_program)
    write(platform_program, platform)

    with redrive.engine.connect() as connection:
        everything = load_facts(connection, OWNERS, every_key=True)
        of_one_key = {key: load_key_facts(connection, key) for key in CONCEPT_KEYS}
        of_covers = {owner: load_cover_facts(connection, ContentKey(ContentKind.COVER, owner.owner_id)) for owner in OWNERS}

    for key, found in of_one_key.items():
        owner = everything.get(Owner(OwnerKind.ROADMAP, key.owner_id))
        expected = next((each for each in owner.keys if each.key == key), None) if owner else None
        assert (found[0] if found else None) == expected, key
        if found and owner:
            assert found[1] == only_of(owner, key)
            assert judge(*found, NOW, LIMITS) == judge(expected, owner, NOW, LIMITS)
    for owner, facts in everything.items():
        for expected in (each for each in facts.keys if each.key.kind is ContentKind.COVER):
            assert of_covers[owner] == (expected, replace(only_of(facts, expected.key), framework_faults=()))


@pytest.mark.parametrize("column_type", ["jsonb"])
@examples
@given(data=st.data())
def test_further_writes_of_any_program_are_followed_and_a_rebuild_finds_nothing_else(redrive, platform_program, column_type, data):
    note(f"REDRIVE_PROPERTY_SEED={SEED}")
    before = data.draw(platforms(is_json=column_type == "json"))
    after = data.draw(changes(before, is_json=column_type == "json"))
    clear(platform_program)
    write(platform_program, before)
    drain(redrive.engine)
    write_changes(platform_program, before, after)

    drain(redrive.engine)

    followed = rows(redrive.engine)
    assert owners_not_told_once(redrive.engine) == []
    assert found(redrive.engine) == expected(redrive.engine)
    kept.mark_all_dirty(redrive.engine)
    drain(redrive.engine)
    assert rows(redrive.engine) == followed


@pytest.mark.parametrize("column_type", ["jsonb"])
@examples
@given(data=st.data(), waits=WAITS)
def test_time_alone_changes_the_list_as_the_oracle_says(redrive, platform_program, column_type, data, waits):
    note(f"REDRIVE_PROPERTY_SEED={SEED}")
    platform = data.draw(platforms(is_json=column_type == "json"))
    clear(platform_program)
    write(platform_program, platform)
    drain(redrive.engine)

    now, seen, should_be = NOW, [], []
    for seconds in waits:
        now += timedelta(seconds=seconds)
        drain(redrive.engine, now)
        seen.append(found(redrive.engine))
        should_be.append(expected(redrive.engine, now))

    assert seen == should_be


def only_of(owner: OwnerFacts, key: ContentKey) -> OwnerFacts:
    """What of the owner's facts belongs to that key."""
    return replace(
        owner, keys=tuple(each for each in owner.keys if each.key == key), live_keys=owner.live_keys & {key},
        retried_at={each: at for each, at in owner.retried_at.items() if each == key},
        succeeded_at={each: at for each, at in owner.succeeded_at.items() if each == key})


def judged(facts: dict[Owner, OwnerFacts]) -> dict[ContentKey, Problem]:
    return {problem.key: problem for owner_facts in facts.values() for problem in detect(owner_facts, NOW, LIMITS)}


def owners_not_told_once(engine: Engine) -> list[tuple]:
    """Owners with a cause of which not exactly one problem is marked as the first."""
    with engine.connect() as connection:
        return list(map(tuple, connection.execute(text(
            "select cause_id, owner_id, kind = 'chapter', count(*) filter (where is_first_of_owner) from ops.problems "
            "group by 1, 2, 3 having count(*) filter (where is_first_of_owner) <> 1"))))


def rows(engine: Engine) -> list[tuple]:
    """The kept problems with everything they say."""
    with engine.connect() as connection:
        return sorted(map(tuple, connection.execute(text(
            "select kind, owner_id, part, problem_kind, cause_id, declared, detail, error_kind, error_message, title, owner_title, "
            "attempts, since_at, first_seen_at, search_text, is_first_of_owner from ops.problems"))), key=repr)
