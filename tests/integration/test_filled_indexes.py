"""The indexes that tell good content without opening it: used by the words of the queries, whatever type the columns have."""

import pytest
from sqlalchemy import text

from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.storage.platform_tables import IS_FILLED
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, concept

JSON_COLUMNS = {"resource_recommendation_metadata": "resources", "quiz_metadata": "questions"}


@pytest.fixture(params=["json", "jsonb"])
def column_type(request, redrive) -> str:
    with redrive.engine.begin() as connection:
        for table, column in JSON_COLUMNS.items():
            connection.execute(text(f"alter table public.{table} alter column {column} type {request.param}"))
    return request.param


@pytest.mark.parametrize("table", IS_FILLED)
def test_the_words_of_the_queries_are_those_of_the_index(redrive, column_type, table):
    with redrive.engine.connect() as connection:
        connection.execute(text("set local enable_seqscan = off"))
        plan = connection.scalars(text(
            f"explain select 1 from public.{table} f where f.roadmap_id = any(array['r1', 'r2']) and {IS_FILLED[table]}")).all()

    assert any(f"ix_{table}_filled" in line for line in plan), plan


def test_an_empty_list_is_found_and_a_filled_one_is_not(redrive, column_type):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a"), concept("b")])
    with redrive.engine.begin() as connection:
        connection.execute(text("update public.quiz_metadata set questions = '[]' where concept_id = 'b'"))

    problems = counts_and_problems(redrive).problems

    assert {problem.key: problem.kind for problem in problems} == {
        ContentKey(ContentKind.QUIZ, "r1", "b"): ProblemKind.INVALID}
