"""What is done to the stack: one function for each kind. Each says what it hit, or None when there was nothing to hit."""

import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import select, text

from backend.actions import cancel
from backend.actions.force_stop import force_stop as stop_by_force
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemState, OperationState
from backend.content.stopping import CancelReason, CancelScope
from backend.storage.ops_tables import operations
from tests.benchmarks.stand import plain_url
from tests.chaos.scene import SMALL_FAULTS, UNSETTLED, Scene
from tests.chaos.stack import impatient
from tests.chaos.story import ADMIN


@dataclass
class Hit:
    what: str
    over_after: float = 0.0  # seconds until what it takes away is back
    held: dict[int, int] = field(default_factory=dict)


SMALL_ITEMS = 70  # of an operation that may be cancelled as a whole
Fault = Callable[[Scene, random.Random], Hit | None]


# Processes

def kill_work_horse(scene: Scene, chance: random.Random) -> Hit | None:
    horses = scene.stack.work_horses()
    if not horses:
        return None
    horse = chance.choice(horses)
    held = scene.held_by(horse)
    return Hit(f"pid {horse}, {len(held)} items", held=held) if scene.stack.kill(horse) else None


def kill_worker(scene: Scene, chance: random.Random) -> Hit | None:
    workers = scene.stack.pids("worker")
    if not workers:
        return None
    worker = chance.choice(workers)
    held = scene.held_by(*(horse for horse in scene.stack.work_horses() if scene.worker_of(horse) == worker))
    return Hit(f"pid {worker}, {len(held)} items", held=held) if scene.stack.kill(worker) else None


def stop_worker(scene: Scene, chance: random.Random) -> Hit | None:
    workers = scene.stack.pids("worker")
    return Hit("SIGTERM") if workers and scene.stack.kill(chance.choice(workers), signal.SIGTERM) else None


def kill_maintenance(scene: Scene, chance: random.Random) -> Hit | None:
    pids = scene.stack.pids("maintenance")
    return Hit("") if pids and scene.stack.kill(chance.choice(pids)) else None


def kill_web(scene: Scene, _chance: random.Random) -> Hit | None:
    pids = scene.stack.pids("web")
    return Hit("") if pids and scene.stack.kill(pids[0]) else None


def freeze_work_horse(scene: Scene, chance: random.Random) -> Hit | None:
    """Shorter than a lease: it is slow, and lives."""
    horses = scene.stack.work_horses()
    if not horses:
        return None
    horse, seconds = chance.choice(horses), chance.uniform(0.5, 0.5 * scene.stack.settings.lease_seconds)
    scene.stack.kill(horse, signal.SIGSTOP)

    def thaw() -> None:
        time.sleep(seconds)
        scene.stack.kill(horse, signal.SIGCONT)
    scene.person(thaw)
    return Hit(f"for {seconds:.1f} s", seconds)


# Servers

def kill_redis(scene: Scene, chance: random.Random) -> Hit:
    away_seconds = chance.choice((0.0, 1.0, 3.0))
    scene.stack.stop_servers(scene.stack.valkey_pid, away_seconds=away_seconds)
    return Hit(f"away for {away_seconds:g} s", away_seconds)


def empty_redis(scene: Scene, _chance: random.Random) -> Hit:
    impatient(scene.stack.settings.redis_url.get_secret_value()).flushall()
    return Hit("")


def restart_postgres(scene: Scene, chance: random.Random) -> Hit:
    away_seconds = chance.choice((0.0, 1.0, 3.0))
    scene.stack.stop_servers(scene.stack.postmaster_pid, away_seconds=away_seconds, number=signal.SIGINT)
    return Hit(f"away for {away_seconds:g} s", away_seconds)


def kill_postgres(scene: Scene, chance: random.Random) -> Hit:
    away_seconds = chance.choice((0.0, 1.0, 3.0))
    scene.stack.stop_servers(scene.stack.postmaster_pid, away_seconds=away_seconds)
    return Hit(f"away for {away_seconds:g} s", away_seconds)


def cut_power(scene: Scene, chance: random.Random) -> Hit:
    """Everything of the host dies at once."""
    held = scene.held_by(*scene.stack.work_horses())
    scene.stack.kill_all()
    scene.stack.stop_servers(scene.stack.postmaster_pid, scene.stack.valkey_pid, away_seconds=chance.uniform(0, 1))
    return Hit(f"{len(held)} items", 1.0, held)


def take_all_connections(scene: Scene, chance: random.Random) -> Hit:
    """PostgreSQL has none left: "sorry, too many clients already"."""
    seconds, url = chance.uniform(1.0, 2.5), plain_url(scene.stack.settings.database_url.get_secret_value())

    def hold() -> None:
        held: list[psycopg.Connection] = []
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                try:
                    held.append(psycopg.connect(url, autocommit=True, application_name="hog"))
                except psycopg.OperationalError:
                    if held:
                        held[0].execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'redrive'")
                    time.sleep(0.05)
        except psycopg.OperationalError:
            pass  # another fault took the server away
        finally:
            for connection in held:
                connection.close()
    scene.person(hold)
    return Hit(f"for {seconds:.1f} s", seconds)


def cut_connections(scene: Scene, _chance: random.Random) -> Hit:
    with scene.stack.redrive.engine.begin() as connection:
        count = connection.scalar(text(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'redrive' and pid <> pg_backend_pid()"))
    return Hit(f"{count} connections")


def lock_rows(scene: Scene, chance: random.Random) -> Hit:
    seconds = chance.uniform(0.5, 2.5)

    def hold() -> None:
        with scene.stack.redrive.engine.begin() as connection:
            connection.execute(text("select 1 from public.roadmap_metadata order by roadmap_id for update"))
            time.sleep(seconds)
    scene.person(hold)
    return Hit(f"for {seconds:.1f} s", seconds)


def model_down(scene: Scene, chance: random.Random) -> Hit:
    seconds, how = chance.uniform(1.5, 3.0), chance.choice(("500", "503", "429"))
    scene.trouble_model({how: 1.0})

    def back() -> None:
        time.sleep(seconds)
        scene.trouble_model(SMALL_FAULTS)
    scene.person(back)
    return Hit(f"{how} for {seconds:.1f} s", seconds)


# People

def double_click(scene: Scene, chance: random.Random) -> Hit:
    plan = scene.plan(_some_scope(scene, chance))
    for _click in range(2):
        scene.person(scene.confirm, plan)
    return Hit(f"{len(plan.included)} items")


def overlapping_plans(scene: Scene, chance: random.Random) -> Hit:
    plans = [scene.plan(Scope.everything()), scene.plan(_some_scope(scene, chance))]
    for plan in plans:
        scene.person(scene.confirm, plan)
    return Hit(", ".join(f"{len(plan.included)} items" for plan in plans))


def _some_scope(scene: Scene, chance: random.Random) -> Scope:
    if chance.random() < 0.5:
        return Scope.matching(ProblemFilter(owner_id=chance.choice(sorted(scene.platform.owners)).owner_id))
    return Scope.of(*chance.sample(sorted(scene.platform.keys), 12))


def cancel_items(scene: Scene, chance: random.Random) -> Hit | None:
    keys = scene.keys(scene.rows(*UNSETTLED))
    if len(keys) < 20:
        return None
    chosen = CancelScope.of(*chance.sample(keys, 5), *scene.keys(scene.rows(ItemState.RUNNING))[:2])
    scene.person(cancel.cancel_items, scene.stack.redrive, chosen, ADMIN, CancelReason.OTHER)
    return Hit(f"{len(chosen.keys)} items")


def cancel_operation(scene: Scene, _chance: random.Random) -> Hit | None:
    """A small one: most items are to come to an end of their own."""
    found = _operations(scene, OperationState.RUNNING, largest=SMALL_ITEMS)
    if not found:
        return None
    scene.person(cancel.cancel_operation, scene.stack.redrive, found[0], ADMIN, CancelReason.WRONG_SCOPE)
    return Hit("")


def pause_and_resume(scene: Scene, chance: random.Random) -> Hit | None:
    found = _operations(scene, OperationState.RUNNING)
    if not found:
        return None
    operation_id, seconds = chance.choice(found), chance.uniform(0.3, 1.5)

    def pause() -> None:
        cancel.pause(scene.stack.redrive, operation_id, ADMIN)
        time.sleep(seconds)
        cancel.resume(scene.stack.redrive, operation_id, ADMIN)
    scene.person(pause)
    return Hit(f"for {seconds:.1f} s", seconds)


def force_stop(scene: Scene, chance: random.Random) -> Hit | None:
    """A work-horse that does not react: one of its items is cancelled, then stopped by force."""
    horses = [horse for horse in scene.stack.work_horses() if scene.held_by(horse)]
    if not horses:
        return None
    horse = chance.choice(horses)
    held = scene.held_by(horse)
    scene.stack.kill(horse, signal.SIGSTOP)
    found = scene.rows(ItemState.RUNNING, pids=[horse])

    def stop() -> None:
        try:
            cancel.cancel_items(scene.stack.redrive, CancelScope.of(*scene.keys(found[:1])), ADMIN, CancelReason.STUCK)
            time.sleep(scene.stack.settings.force_stop_seconds + 0.1)
            stop_by_force(scene.stack.redrive, [found[0].item_id], ADMIN, "it does not react")
        finally:
            scene.stack.kill(horse, signal.SIGCONT)
    if found:
        scene.person(stop)
    else:
        scene.stack.kill(horse, signal.SIGCONT)
    return Hit(f"{len(found)} items of the job", scene.stack.settings.force_stop_seconds + 0.1, held) if found else None


def _operations(scene: Scene, state: OperationState, *, largest: int = 100_000) -> list[str]:
    """The smallest first."""
    with scene.stack.redrive.engine.connect() as connection:
        return list(connection.scalars(
            select(operations.c.operation_id).where(operations.c.state == state, operations.c.planned_count <= largest)
            .order_by(operations.c.planned_count, operations.c.operation_id)))


def resume_all(scene: Scene) -> None:
    """At the end: somebody goes on with what is paused."""
    for operation_id in _operations(scene, OperationState.PAUSED):
        scene.person(cancel.resume, scene.stack.redrive, operation_id, ADMIN)


FAULTS: Mapping[str, Fault] = {
    "SIGKILL work-horse": kill_work_horse, "SIGKILL worker": kill_worker, "SIGTERM worker": stop_worker,
    "SIGKILL maintenance": kill_maintenance, "SIGKILL web": kill_web, "SIGSTOP work-horse": freeze_work_horse,
    "Redis kill -9": kill_redis, "Redis FLUSHALL": empty_redis, "PostgreSQL restart": restart_postgres,
    "PostgreSQL kill -9": kill_postgres, "power cut": cut_power, "no connections left": take_all_connections,
    "connections cut": cut_connections, "rows locked": lock_rows, "model down": model_down,
    "double click": double_click, "overlapping plans": overlapping_plans, "cancel items": cancel_items,
    "cancel operation": cancel_operation, "pause, resume": pause_and_resume, "force stop": force_stop,
}
# Nothing can be sent, or settle, until these are over.
OUTAGES = ("Redis kill -9", "PostgreSQL restart", "PostgreSQL kill -9", "power cut", "no connections left", "rows locked", "model down",
           "pause, resume")
OFTEN = ("SIGKILL work-horse", "SIGKILL worker", "cancel items", "double click")  # twice in each pack


def shuffled(seed: int, count: int) -> list[str]:
    """Which faults, in which order: every kind before any comes a third time."""
    chance, drawn = random.Random(seed), []
    while len(drawn) < count:
        pack = [*FAULTS, *OFTEN]
        chance.shuffle(pack)
        drawn += pack
    return drawn[:count]
