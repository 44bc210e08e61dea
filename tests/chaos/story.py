"""What the named chaos tests have in common: a retry of everything, who holds what, the end, and the evidence."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from backend.actions import retry
from backend.actions.actors import Actor, Role
from backend.content.keys import ContentKey
from backend.content.problems import ProblemKind
from backend.content.scopes import Scope
from backend.content.status import ItemState, OperationState
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage.objects import SPILLED
from backend.storage.ops_tables import items
from backend.views import operations
from tests.chaos.evidence import Evidence, gather, problems_listed, problems_now, violations
from tests.chaos.platform import Platform, make_platform
from tests.chaos.stack import Stack
from tests.model_server import ModelServer

ADMIN = Actor("chaos", Role.ADMIN)


def with_model(settings: Settings, server: ModelServer, **more: Any) -> Settings:
    return settings.model_copy(update={"openai_base_url": server.base_url, "model": "loopback-model", **more})


def by_default(settings: Settings) -> dict[str, float]:
    """Heartbeats, leases and patience as they are without a setting."""
    names = ("heartbeat_seconds", "lease_seconds", "resend_seconds", "save_patience_seconds")
    return {name: type(settings).model_fields[name].default for name in names}


@dataclass(frozen=True)
class Story:
    """A platform, what was broken of it, and one retry of all that."""

    stack: Stack
    server: ModelServer
    platform: Platform
    before: dict[ContentKey, ProblemKind]
    operation_id: str

    @property
    def redrive(self) -> Redrive:
        return self.stack.redrive

    def item_rows(self, *states: ItemState) -> list[Row[Any]]:
        query = select(items).order_by(items.c.item_id)
        with self.redrive.engine.connect() as connection:
            return list(connection.execute(query.where(items.c.state.in_(states)) if states else query))

    def counts(self) -> Counter[str]:
        return Counter(item.state for item in self.item_rows())

    def wait_until_running(self, count: int = 1) -> list[Row[Any]]:
        def running():
            found = self.item_rows(ItemState.RUNNING)
            return found if len(found) >= count else None
        return self.stack.wait_for(running, what=f"{count} items to run")

    def done(self) -> operations.Progress | None:
        progress = operations.progress(self.redrive, self.operation_id)
        return progress if progress and progress.state in (OperationState.COMPLETED, OperationState.CANCELLED) else None

    def wait_until_done(self, *, seconds: float = 180.0) -> operations.Progress:
        return self.stack.wait_for(self.done, seconds=seconds, what="the operation to complete")

    def evidence(self) -> Evidence:
        """Once no text is on its way any more: its worker and maintenance both try to save it. Fails when anything must not be so."""
        self.stack.wait_for(lambda: not self.redrive.objects.paths(f"{SPILLED}/"), what="spilled texts to be saved or set aside")
        found = gather(self.redrive, self.platform, self.server)
        if complaints := violations(found, self.before):
            raise AssertionError("\n".join(complaints))
        return found


def retry_all(stack: Stack, server: ModelServer, *, roadmaps: int = 1, concepts: int = 4) -> Story:
    """A platform of 3 items for each concept; all of them are planned."""
    platform = make_platform(stack.redrive.engine, roadmaps=roadmaps, concepts=concepts)
    before = problems_now(stack.redrive, platform)
    problems_listed(stack.redrive)
    confirmed = retry.confirm(stack.redrive, retry.plan(stack.redrive, Scope.everything(), ADMIN), ADMIN)
    assert confirmed.item_count == len(platform.keys) == len(before)
    return Story(stack, server, platform, before, confirmed.operation_id)
