"""Real input: two novels, a third of their chapters broken in every way, written again with one action from their own text."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from backend.actions import dispatcher, retry
from backend.actions.imports import import_files
from backend.bootstrap import connect
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.storage.ops_tables import items
from backend.views.chapter_stream import EventKind, chapter_stream
from backend.views.detection import counts_and_problems
from tests.model_server import ModelServer
from workers.chunk import run_chunk

NOVELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "novels"
WAYS = ("failed", "stale", "empty", "no-options", "cut-off")
_NUMBER = re.compile(r"Write chapter (\d+)|请写第(\d+)章")
# A model that writes fast: at 50 the same takes minutes. `REDRIVE_TEST_TOKENS_PER_SECOND=50` runs it so.
TOKENS_PER_SECOND = float(os.environ.get("REDRIVE_TEST_TOKENS_PER_SECOND", "5000"))

pytestmark = pytest.mark.skipif(not NOVELS.is_dir(), reason="the novels of ../shared/data are not here")


def break_chapter(connection, chapter_id: str, way: str) -> None:
    changes = {
        "failed": "status = 'failed', error_message = 'The model sent nothing.', content = left(content, 40)",
        "stale": "status = 'generating', content = left(content, 40), created_at = now() - interval '1 day'",
        "empty": "content = ''", "cut-off": "status = 'failed', content = null, generation_completed_at = null"}
    if way in changes:
        connection.execute(text(f"update chapters set {changes[way]} where id = :id"), {"id": chapter_id})
    if way in ("no-options", "failed"):  # readers chose none of them yet: of a chapter in the middle that takes its choice along
        connection.execute(text("delete from options o where chapter_id = :id and not exists (select 1 from user_choices u "
                                "where u.option_id = o.id)"), {"id": chapter_id})


def test_a_third_of_real_chapters_is_written_again_to_the_byte(redrive, settings, operator):
    import_files(redrive, operator, sorted(NOVELS.glob("*.json")))
    with redrive.engine.begin() as connection:
        rows = connection.execute(text(
            "select c.id, c.chapter_number, c.title, c.content, n.title as novel, n.language from chapters c "
            "join novels n on n.id = c.novel_id order by n.id, c.chapter_number")).all()
        broken = rows[1::3]
        connection.execute(text("update novels set created_at = now() - interval '1 day'"))
        for at, row in enumerate(broken):
            break_chapter(connection, row.id, WAYS[at % len(WAYS)])
    original = {(row.novel, row.chapter_number): row for row in rows}

    def own_text(prompt: str) -> str:
        number = int(next(filter(None, _NUMBER.search(prompt).groups())))
        novel = re.search(r"(?:Novel: |小说：)(.+)", prompt).group(1)
        row = original[(novel, number)]
        return json.dumps({"title": row.title, "content": row.content, "options": [{"text": "→", "impact": ""}]},
                          ensure_ascii=number % 2 == 0)

    problems = counts_and_problems(redrive).problems
    assert {row.language[:2] for row in broken} == {"en", "zh"}
    assert len(problems) >= len(broken) * 0.7
    with ModelServer(texts=own_text, tokens_per_second=TOKENS_PER_SECOND) as server:
        writing = connect(settings.model_copy(update={"openai_base_url": server.base_url, "openai_api_key": SecretStr("key")}))
        confirmed = retry.confirm(redrive, retry.plan(redrive, Scope.everything(), operator), operator)
        while run(writing):
            pass
        writing.close()

    dispatcher.complete_operations(redrive)
    assert not counts_and_problems(redrive).problems
    assert confirmed.item_count == len(problems)
    check_texts(redrive, {problem.key for problem in problems}, original)


def run(writing) -> int:
    dispatcher.dispatch(writing)
    with writing.engine.connect() as connection:
        queued = list(connection.scalars(select(items.c.item_id).where(items.c.state == ItemState.QUEUED)))
    if queued:
        assert set(run_chunk(writing, queued)) <= {"succeeded", "braked"}
    return len(queued)


def check_texts(redrive, keys, original) -> None:
    """What is saved is what the model streamed, and what a watcher reads."""
    async def streamed(chapter_id: str) -> str:
        events = [event async for event in chapter_stream(redrive, chapter_id)]
        assert events[-1].kind is EventKind.COMPLETE
        return "".join(str(event.data["text"]) for event in events if event.kind is EventKind.CONTENT)

    with redrive.engine.connect() as connection:
        rows = connection.execute(text(
            "select c.id, c.novel_id, c.chapter_number, c.title, c.content, n.title as novel from chapters c "
            "join novels n on n.id = c.novel_id")).all()
    for row in rows:
        assert row.content.encode() == original[(row.novel, row.chapter_number)].content.encode()
        assert row.title == original[(row.novel, row.chapter_number)].title
        if any((key.owner_id, key.part) == (row.novel_id, str(row.chapter_number)) for key in keys):
            assert asyncio.run(streamed(row.id)) == row.content
