"""The detector over a real database: what pages list follows what any program writes."""

from sqlalchemy import text

from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, concept


def found(redrive) -> dict[ContentKey, ProblemKind]:
    return {problem.key: problem.kind for problem in counts_and_problems(redrive).problems}


def test_a_healthy_roadmap_has_no_problem(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a"), concept("b")])

    assert found(redrive) == {}


def test_the_list_follows_what_another_program_writes_with_plain_sql(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a"), concept("b")])
    tutorial = ContentKey(ContentKind.TUTORIAL, "r1", "a")
    seen = [found(redrive)]

    for statement in (
        "delete from tutorial_metadata where concept_id = 'a'",
        "insert into tutorial_metadata (tutorial_id, concept_id, roadmap_id, content_url, content_status) "
        "values ('new', 'a', 'r1', '', 'completed')",
        "update tutorial_metadata set content_url = 'file:///a.md' where concept_id = 'a'",
        "update roadmap_metadata set framework_data = "
        "jsonb_set(framework_data, '{stages,0,modules,0,concepts,0,content_status}', '\"processing\"')",
        "update roadmap_metadata set deleted_at = now()",
    ):
        with redrive.engine.begin() as connection:
            connection.execute(text(statement))
        seen.append(found(redrive))

    assert seen == [
        {}, {tutorial: ProblemKind.MISSING}, {tutorial: ProblemKind.INVALID}, {}, {tutorial: ProblemKind.DRIFTED}, {}]
