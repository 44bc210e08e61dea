"""One round of random faults: the stack, the model, what people did, and what was seen of it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from redis.exceptions import RedisError
from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError

from backend.actions import retry
from backend.actions.cancel import NotFound, Refused
from backend.actions.retry import Confirmed, NothingToRetry
from backend.actions.spills import SPILLED
from backend.content.keys import ContentKey
from backend.content.plans import Plan
from backend.content.scopes import Scope
from backend.content.status import ItemState
from backend.storage.objects import StoreUnreachable
from backend.storage.ops_tables import items
from backend.storage.recorded import in_one_line
from backend.views.availability import is_outage
from tests.chaos.evidence import Call, key_of
from tests.chaos.platform import Platform
from tests.chaos.stack import Stack
from tests.chaos.story import ADMIN
from tests.model_server import Faults, ModelServer

UNSETTLED = (ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING)
SMALL_FAULTS = {  # shares of all requests, all the time
    "429": 0.02, "429-retry-after": 0.01, "500": 0.01, "slow": 0.005, "stalled": 0.005, "cut": 0.01, "cut-at-the-end": 0.01,
    "bad-json": 0.01, "fenced": 0.01, "refusal": 0.01, "no-text": 0.005, "empty": 0.005, "nul": 0.01, "lone-surrogate": 0.01, "huge": 0.005}


@dataclass
class Injected:
    """A fault as it happened. Times are of the monotonic clock."""

    kind: str
    at: float
    hit: str
    over_at: float                                     # what it took away is back, or never was away
    held: dict[int, int] = field(default_factory=dict)  # item_id -> attempt, of what a dead process was running
    settled_at: float | None = None                    # the next item after it was over
    back_at: float | None = None                       # the last of what was held is sent again or settled
    seen_back: set[int] = field(default_factory=set)    # item_id; limits of its operation may put it back once more


@dataclass
class Scene:
    stack: Stack
    server: ModelServer
    platform: Platform
    seed: int
    injected: list[Injected] = field(default_factory=list)
    confirmed: list[tuple[Plan, Confirmed]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    _people: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="person"))
    _acting: list[Future[None]] = field(default_factory=list)
    _settled_count: int = 0
    _next_retry_at: float = 0.0  # of the monotonic clock

    # What people do, beside the faults

    def person(self, act: Callable[..., object], *arguments: object) -> None:
        """Somebody does that, now, in a thread of their own. A refusal and an outage are answers; anything else is a defect."""
        self._acting.append(self._people.submit(self._act, act, *arguments))

    def _act(self, act: Callable[..., object], *arguments: object) -> None:
        try:
            act(*arguments)
        except (NothingToRetry, Refused, NotFound, StoreUnreachable, RedisError):
            pass
        except Exception as exc:
            if not is_outage(exc) or "deadlock" in str(exc):
                self.defects.append(f"{act.__name__}: {type(exc).__name__}: {in_one_line(exc)}")

    def plan(self, scope: Scope) -> Plan:
        return retry.plan(self.stack.redrive, scope, ADMIN, overrides_limits=True, reopens=True)

    def confirm(self, plan: Plan) -> None:
        self.confirmed.append((plan, retry.confirm(self.stack.redrive, plan, ADMIN, "chaos")))

    def retry_all(self) -> None:
        self.confirm(self.plan(Scope.everything()))

    def retry_all_soon(self) -> None:
        """Somebody retries everything, at most once in some seconds."""
        if time.monotonic() >= self._next_retry_at:
            self._next_retry_at = time.monotonic() + 2.0
            self.person(self.retry_all)

    def wait_for_people_to_pause(self) -> None:
        self.stack.wait_for(lambda: all(act.done() for act in self._acting), what="what people do")

    def planned_and_not_done(self) -> list[str]:
        """Keys that an operation got and its plan did not hold, or the other way round."""
        complaints = []
        for plan, confirmed in self.confirmed:
            with self.stack.redrive.engine.connect() as connection:
                own = self.keys(connection.execute(select(items).where(items.c.operation_id == confirmed.operation_id)).all())
            if not set(own) <= plan.keys or (len(own), len(plan.keys) - len(own)) != (confirmed.item_count, confirmed.overtaken_count):
                complaints.append(f"operation {confirmed.operation_id} has {len(own)} items, confirmed {confirmed}")
        return complaints

    def spilled(self) -> list[str]:
        return self.stack.redrive.objects.paths(f"{SPILLED}/")

    # What is seen

    def seconds_unsaved(self, call: Call, item_ids: set[int]) -> float | None:
        """How long its text had been with a process of ours when that was killed or frozen. Below 0: it came later. None: no such fault."""
        ended = [fault.at for fault in self.injected if item_ids & set(fault.held)]
        return min((at - call.ended_at for at in ended), key=abs, default=None)

    def rows(self, *states: ItemState, pids: Sequence[int] = ()) -> list[Row[Any]]:
        query = select(items).where(items.c.state.in_(states)).order_by(items.c.item_id)
        if pids:
            query = query.where(items.c.worker_pid.in_(pids))
        with self.stack.redrive.engine.connect() as connection:
            return list(connection.execute(query))

    def keys(self, rows: Sequence[Row[Any]]) -> list[ContentKey]:
        return [key_of(row) for row in rows]

    def held_by(self, *pids: int) -> dict[int, int]:
        """What these processes run now: item_id -> attempt. Empty too when nobody can tell."""
        with suppress(SQLAlchemyError):
            return {row.item_id: row.attempt for row in self.rows(ItemState.RUNNING, pids=pids)} if pids else {}
        return {}

    def observe(self) -> int | None:
        """Note what has recovered. Returns how many items are unsettled; None: PostgreSQL is away."""
        now = time.monotonic()
        try:
            with self.stack.redrive.engine.connect() as connection:
                seen = {row.item_id: row for row in connection.execute(
                    select(items.c.item_id, items.c.attempt, items.c.state, items.c.job_id))}
        except SQLAlchemyError:
            return None
        unsettled = sum(row.state in UNSETTLED for row in seen.values())
        has_moved = len(seen) - unsettled > self._settled_count
        self._settled_count = len(seen) - unsettled
        for fault in self.injected:
            if fault.settled_at is None and has_moved and now > fault.over_at:
                fault.settled_at = now
            fault.seen_back |= {item_id for item_id, attempt in fault.held.items() if is_back(seen[item_id], attempt)}
            if fault.back_at is None and len(fault.seen_back) == len(fault.held):
                fault.back_at = now
        return unsettled

    def trouble_model(self, shares: dict[str, float]) -> None:
        self.server.faults = Faults(shares, seed=self.seed + len(self.injected))

    def worker_of(self, horse: int) -> int | None:
        with suppress(psutil.Error):
            return psutil.Process(horse).ppid()
        return None


def is_back(item: Row[Any], attempt: int) -> bool:
    """Sent again, at work again, or settled."""
    return item.state not in UNSETTLED or (item.attempt > attempt and item.job_id is not None)
