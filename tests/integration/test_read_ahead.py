"""A worker loads everything before RQ forks: what a work-horse imports for itself is imported again for each chunk."""

import subprocess
import sys

import pytest

from tests.model_server import ModelServer
from tests.processes import ROOT, environment

# As in workers.main up to the fork, then as in a work-horse up to the end of its first text or picture.
_WORKER = """
import asyncio, sys
import workers.main
from backend.content.keys import ContentKind
from backend.content.written import ChapterBrief, ConceptBrief, CoverBrief, Spent
from backend.settings import load
from workers.generators.choose import choose_generator
from workers.generators.painters.choose import choose_painter
from workers.generators.transport import read_ahead
from workers.making import Makers

async def run(kind):
    settings = load()
    concept = ConceptBrief("r1", "Tides", "en", "Moons", "Orbits", "c1", "Spring tide")
    brief = {ContentKind.COVER: CoverBrief("r1", "Tides", "en", ()),
             ContentKind.CHAPTER: ChapterBrief("n1", "The harbour", "A town by the sea", "en", 1)}.get(kind, concept)
    makers = Makers(choose_generator(settings), lambda: choose_painter(settings))
    await makers.make(kind, brief=brief, spent=Spent())
    await makers.close()

read_ahead()
before = set(sys.modules)
asyncio.run(run(ContentKind(sys.argv[1])))
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("kind", ["tutorial", "resources", "quiz", "chapter", "cover"])
@pytest.mark.parametrize("is_offline", [False, True])
def test_a_work_horse_imports_nothing_for_itself(settings, kind, is_offline):
    with ModelServer() as server:
        model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-loopback", "REDRIVE_IMAGE_MODEL": "gpt-image-loopback"}
        done = subprocess.run(
            [sys.executable, "-c", _WORKER, kind], cwd=ROOT, env=environment(settings, **({} if is_offline else model)),
            capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
