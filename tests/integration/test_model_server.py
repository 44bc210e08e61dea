"""The loopback model itself: others build their measurements on it."""

import asyncio
import itertools
import json
import subprocess
import sys
import urllib.request
from dataclasses import replace

from backend.content.keys import CONCEPT_KINDS
from backend.content.written import ConceptBrief
from backend.settings import Settings
from tests.model_answers import Behaviour
from tests.model_server import HELD, Faults, ModelServer
from workers.generators.model import ModelGenerator
from workers.generators.protocol import write

BRIEF = ConceptBrief(
    roadmap_id="r1", roadmap_title="Computer science", language="en", stage_name="Core", module_name="Data structures",
    concept_id="c1", concept_name="Hash tables")


def test_sixty_four_texts_at_once_are_answered_side_by_side():
    async def run(server):
        generator = ModelGenerator(Settings(openai_base_url=server.base_url, openai_api_key=None))
        places = asyncio.Semaphore(64)

        async def one(number):
            async with places:
                brief = replace(BRIEF, concept_id=f"c{number}", concept_name=f"Concept number {number}")
                kind = CONCEPT_KINDS[number % len(CONCEPT_KINDS)]
                return brief, await write(generator, kind, brief=brief)

        try:
            return await asyncio.gather(*(one(number) for number in range(256)))
        finally:
            await generator.close()

    with ModelServer(latency_seconds=lambda _subject: 0.0 if len(server.requests) >= 64 else HELD) as server:
        results = asyncio.run(run(server))

    for brief, written in results:
        assert f"{brief.concept_name} " in written.content.model_dump_json() + " "
    assert most_at_once(server.requests) >= 64
    assert len(server.requests) == 256


def test_what_is_held_up_is_let_go_and_comes_at_once():
    async def run(server):
        generator = ModelGenerator(Settings(openai_base_url=server.base_url, openai_api_key=None))
        try:
            writing = asyncio.create_task(write(generator, CONCEPT_KINDS[0], brief=BRIEF))
            await asyncio.to_thread(server.wait_for, lambda requests: requests)
            server.latency_seconds = 0.0
            await writing
        finally:
            await generator.close()

    with ModelServer(latency_seconds=600) as server:
        asyncio.run(asyncio.wait_for(run(server), 60))


def test_faults_repeat_with_their_seed_and_keep_their_shares():
    def draws(seed):
        faults = Faults({"429": 0.1, "500": 0.2}, seed=seed)
        return [faults.draw() for _ in range(2000)]

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    assert 140 <= draws(7).count(Behaviour.RATE_LIMITED) <= 260
    assert 330 <= draws(7).count(Behaviour.SERVER_ERROR) <= 470


def test_the_model_server_runs_as_a_program_of_its_own():
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.model_server", "--port", "0", "--latency", "0.01", "--faults", "429:0.1"],
        stdout=subprocess.PIPE, text=True)
    try:
        base_url = program.stdout.readline().strip()
        with urllib.request.urlopen(f"{base_url}/models", timeout=10) as reply:
            models = json.load(reply)
    finally:
        program.terminate()
        program.communicate(timeout=10)

    assert [model["id"] for model in models["data"]] == ["loopback-model"]
    assert program.returncode == 0


def most_at_once(requests):
    moments = sorted(itertools.chain.from_iterable(
        ((request.started_at, 1), (request.finished_at, -1)) for request in requests))
    return max(itertools.accumulate(change for _moment, change in moments))
