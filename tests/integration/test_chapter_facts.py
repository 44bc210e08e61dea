"""Facts about one chapter are those of its whole novel, for a price that does not grow with it."""

from dataclasses import replace

from sqlalchemy import text

from backend.clock import utc_now
from backend.content.detector import judge
from backend.content.keys import ContentKey, ContentKind, Owner, OwnerKind
from backend.storage.facts import load_chapter_facts, load_facts
from tests.factories import add_novel, add_task

FAILED = {"status": "failed", "content": "Half a", "error_message": "timed out"}
STALE = {"status": "generating", "content": ""}


def both(redrive, novel_id: str, number: int):
    """(by the key alone, by its whole novel); only what belongs to the key, as the rule asks for it."""
    key, owner = ContentKey(ContentKind.CHAPTER, novel_id, str(number)), Owner(OwnerKind.NOVEL, novel_id)
    with redrive.engine.connect() as connection:
        alone = load_chapter_facts(connection, key)
        whole = load_facts(connection, [owner], every_key=True).get(owner)
    found = next((found for found in whole.keys if found.key == key), None) if whole else None
    return alone, (found, whole) if found else None


def test_one_chapter_is_judged_as_with_its_whole_novel(redrive):
    add_novel(redrive.engine, "n1", chapters=[{}, FAILED, {"content": " "}, STALE, {"has_options": False}])
    add_novel(redrive.engine, "n2")
    add_novel(redrive.engine, "n3", chapters=[{}, {}])
    add_task(redrive.engine, "t1", roadmap_id=None, novel_id="n1", task_type="chapter", status="failed", error_message="of the task")
    with redrive.engine.begin() as connection:
        connection.execute(text("insert into user_choices values ('u', 'user-1', 'n3-2', 'n3-2-1', now() - interval '1 day')"))
    found = 0

    for novel_id in ("n1", "n2", "n3", "n4"):
        for number in range(1, 8):
            alone, whole = both(redrive, novel_id, number)
            assert (alone is None) == (whole is None), (novel_id, number)
            if alone and whole:
                found += 1
                assert alone[0] == whole[0]
                assert replace(alone[1], keys=()) == replace(whole[1], keys=())
                assert judge(*alone, utc_now(), redrive.limits) == judge(*whole, utc_now(), redrive.limits)

    assert found == 5 + 1 + 3


def test_a_chapter_of_a_long_novel_is_read_without_its_neighbours(redrive):
    add_novel(redrive.engine, chapters=[{}])
    with redrive.engine.begin() as connection:
        connection.execute(text("insert into chapters (id, novel_id, chapter_number, content, status) "
                                "select 'c' || n, 'n1', n, repeat('x', 5000), 'completed' from generate_series(2, 2000) n"))
        connection.execute(text("analyze chapters"))

    alone, _whole = both(redrive, "n1", 1500)

    assert alone is not None
    assert len(alone[1].keys) == 1
