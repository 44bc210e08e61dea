"""Bulks of some hundred items over the real stack, while everything that can break breaks. The same seed gives the same faults.

    make chaos ARGS="--chaos-seed 7 --chaos-minutes 20"
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemState, OperationState
from backend.settings import Settings
from backend.storage.ops_tables import operations
from tests.chaos.conftest import IS_LONG
from tests.chaos.evidence import Evidence, doubled_count, gather, problems_listed, problems_now, thrown_away_calls, violations
from tests.chaos.faults import FAULTS, resume_all, shuffled
from tests.chaos.platform import make_platform
from tests.chaos.scene import SMALL_FAULTS, Injected, Scene
from tests.chaos.stack import LOOK_SECONDS, Stack
from tests.chaos.story import by_default, with_model
from tests.chaos.table import Needless, Round, table_of
from tests.model_server import ModelServer
from tests.ports import free_port

FAULTS_OF_A_ROUND = 75 if IS_LONG else 32
ROADMAPS = 12 if IS_LONG else 6       # of 20 concepts: 60 items each, and a cover
NOVELS = 2 * ROADMAPS                 # of which a chapter is broken
SHORT_SEED = 3                        # every kind of fault finds something to hit
SETTLE_SECONDS = 300.0
PATIENCE_SECONDS = 3.0                # for a fault that has nothing to hit at the moment
FEW_ITEMS = 40                        # somebody clicks "retry all" again when fewer are unsettled
LONGEST_MINUTES = 600
DEFECT_WORDS = ("item_defect", "duty_failed")  # what a boundary logs of a defect


@pytest.mark.timeout(LONGEST_MINUTES * 60 if IS_LONG else 1200)
def test_random_faults_lose_nothing_and_double_nothing(servers, settings, database_of_a_round, pytestconfig, tell):
    seed = pytestconfig.getoption("--chaos-seed", None) or (random.SystemRandom().randrange(10_000) if IS_LONG else SHORT_SEED)
    minutes = pytestconfig.getoption("--chaos-minutes", None) or (10 if IS_LONG else 0)
    end, rounds = time.monotonic() + 60 * minutes, []
    while not rounds or (time.monotonic() < end and not rounds[-1].given_up):
        rounds.append(play(servers, database_of_a_round(settings), seed + len(rounds)))
    tell.append(table_of(rounds))

    if complaints := [words for found in rounds for words in found.given_up]:
        raise AssertionError("\n".join(complaints))
    assert not {kind for found in rounds for kind in SMALL_FAULTS if not found.answers[kind]}, "the model did not fail in every way"
    items, needless = sum(found.items for found in rounds), Needless.of(rounds)
    assert needless.avoidable <= 0.01 * items
    assert needless.all <= 0.05 * items


def play(servers, settings: Settings, seed: int) -> Round:
    """One round: faults, then calm until all is settled, then a retry with a well model that leaves nothing broken."""
    waits = random.Random(seed)
    with ModelServer(latency_seconds=lambda concept: 0.3 + random.Random(concept).random(), slow_seconds=8) as server:
        patience = by_default(settings) if IS_LONG else {}  # recovery is told in heartbeats: those of production where there is time
        live = with_model(settings, server, port=free_port(), model_timeout_seconds=5, **{"lease_seconds": 3, **patience})
        with Stack(servers, live, bulk=2, interactive=1, maintenance=2, web=True) as stack:
            scene = Scene(stack, server, make_platform(stack.redrive.engine, roadmaps=ROADMAPS, with_covers=True, novels=NOVELS), seed)
            before = problems_now(stack.redrive, scene.platform)
            problems_listed(stack.redrive)
            scene.trouble_model(SMALL_FAULTS)
            server.script.extend(waits.sample(sorted(SMALL_FAULTS), len(SMALL_FAULTS)))  # each at least once
            start(scene)
            stack.wait_for(lambda: scene.rows(ItemState.SUCCEEDED), what="the first item")
            started = time.monotonic()
            for number, kind in enumerate(shuffled(seed, FAULTS_OF_A_ROUND)):
                inject(scene, kind, random.Random(f"{seed}-{number}"))
                look_on(scene, waits.uniform(0.3, 1.5))
            seconds = time.monotonic() - started
            complaints = settle(scene)
            found = gather(stack.redrive, scene.platform, server)
            complaints += violations(found, before)
            needless, calls = needless_calls(scene, found), len(found.calls)
            complaints += make_well(scene, before)
            complaints += scene.defects + [f"{stack.words_in_logs(words)} x {words} in {stack.logs}" for words in DEFECT_WORDS
                                           if stack.words_in_logs(words)]
    lost = sum(found.rows_of()[key] == 0 for key, own in found.items_of().items() if any(item.state == "succeeded" for item in own))
    lost += sum(not ItemState(item.state).is_settled for item in found.items)
    return Round(seed, live.heartbeat_seconds, seconds, scene.injected, Counter(str(request.behaviour) for request in server.requests),
                 len(found.items), Counter(item.state for item in found.items), lost, doubled_count(found), calls, needless, complaints)


def needless_calls(scene: Scene, found: Evidence) -> list[float | None]:
    own = {key: {item.item_id for item in rows} for key, rows in found.items_of().items()}
    return [scene.seconds_unsaved(call, own[call.key]) for call in thrown_away_calls(found)]


def start(scene: Scene) -> None:
    """One roadmap by itself, then everything else."""
    scene.confirm(scene.plan(Scope.matching(ProblemFilter(owner_id="roadmap-0"))))
    scene.retry_all()


def inject(scene: Scene, kind: str, chance: random.Random) -> None:
    """The fault, as soon as there is something to hit. After some seconds without it is left out."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with suppress(SQLAlchemyError, RedisError, psutil.Error, OSError, ValueError):  # it is away already
            at = time.monotonic()
            if hit := FAULTS[kind](scene, chance):
                scene.injected.append(Injected(kind, at, hit.what, at + hit.over_after, hit.held))
                print(f"{at - scene.injected[0].at:6.1f} s  {kind}  {hit.what}", flush=True)
                return
        look_on(scene, 0.2)


def look_on(scene: Scene, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        scene.stack.watch()
        unsettled = scene.observe()
        if unsettled is not None and unsettled < FEW_ITEMS:
            scene.retry_all_soon()
        time.sleep(LOOK_SECONDS)


def settle(scene: Scene) -> list[str]:
    """No more faults: what people began ends, what is paused goes on, everything settles. What does not, in words."""
    scene.stack.let_servers_back()
    scene.wait_for_people_to_pause()
    return wait_until_settled(scene, lambda: resume_all(scene))


def wait_until_settled(scene: Scene, beside: Callable[[], None] = lambda: None) -> list[str]:
    def is_settled() -> bool:
        scene.observe()
        beside()
        with scene.stack.redrive.engine.connect() as connection:
            states = connection.scalars(operations.select().with_only_columns(operations.c.state)).all()
        return all(state in (OperationState.COMPLETED, OperationState.CANCELLED) for state in states) and not scene.rows(
            ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING) and not scene.spilled()
    try:
        scene.stack.wait_for(is_settled, seconds=SETTLE_SECONDS, what="everything to settle")
    except AssertionError as exc:
        return [str(exc)]
    return []


def make_well(scene: Scene, before) -> list[str]:
    """After everything: a well model and one more "retry all" leave no problem."""
    scene.server.faults, scene.server.latency_seconds = None, 0.05
    stack = scene.stack
    if problems_listed(stack.redrive):
        scene.person(scene.retry_all)
        scene.wait_for_people_to_pause()
    complaints = wait_until_settled(scene)
    complaints += violations(gather(stack.redrive, scene.platform, scene.server), before)
    complaints += [f"{problem.key} is still {problem.kind}" for problem in problems_listed(stack.redrive)]
    return complaints + scene.planned_and_not_done()
