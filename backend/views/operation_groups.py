"""The groups of an operation: items that were planned for the same cause, how they fare, and why one was stopped."""

from dataclasses import dataclass

from sqlalchemy import text

from backend.content.plans import STOP_RULES, ExclusionRule
from backend.content.scopes import Scope
from backend.content.secrets import without_secrets
from backend.content.status import GroupState
from backend.redrive import Redrive
from backend.storage.operation_scopes import scope_of


@dataclass(frozen=True, slots=True)
class OperationGroup:
    group_id: int
    title: str                    # the cause in words, without secrets; "" for the rest of very many causes
    state: GroupState
    stop_rule: ExclusionRule | None
    stop_words: str               # why it was stopped, without secrets
    total: int
    waiting: int                  # those of a large plan that are no items yet too
    running: int
    succeeded: int
    failed: int
    not_started: int              # left untouched when it was stopped
    skipped: int                  # nothing to do any more
    cancelled: int
    canary_count: int             # of its present round
    canary_settled: int

    @property
    def is_settled(self) -> bool:
        return not self.waiting and not self.running


_STOPPED = ", ".join(f"'{rule}'" for rule in STOP_RULES)
_GROUPS = text(f"""
    select g.*, c.*, greatest(0, g.item_count - c.total) as unwritten from ops.groups g left join lateral (
      select count(*) as total, count(*) filter (where i.state in ('planned', 'queued')) as waiting,
        count(*) filter (where i.state = 'running') as running, count(*) filter (where i.state = 'succeeded') as succeeded,
        count(*) filter (where i.state = 'failed') as failed,
        count(*) filter (where i.state = 'skipped' and i.skip_rule in ({_STOPPED})) as not_started,
        count(*) filter (where i.state = 'skipped') as skipped, count(*) filter (where i.state = 'cancelled') as cancelled,
        count(*) filter (where i.canary_round = g.canary_round) as canaries,
        count(*) filter (where i.canary_round = g.canary_round and i.settled_at is not null) as canaries_settled
      from ops.items i where i.operation_id = g.operation_id and i.group_id = g.group_id) c on true
    where g.operation_id = :operation_id order by (g.state = 'stopped') desc, g.item_count desc, g.group_id""")


def groups_of(redrive: Redrive, operation_id: str) -> tuple[OperationGroup, ...]:
    """Those that were stopped first, then the largest."""
    with redrive.engine.connect() as connection:
        return tuple(OperationGroup(
            row.group_id, without_secrets(row.title), GroupState(row.state), ExclusionRule(row.stop_rule) if row.stop_rule else None,
            without_secrets(row.stop_words or ""), row.total + row.unwritten, row.waiting + row.unwritten, row.running, row.succeeded,
            row.failed, row.not_started, row.skipped - row.not_started, row.cancelled, row.canaries, row.canaries_settled)
            for row in connection.execute(_GROUPS, {"operation_id": operation_id}))


def scope_again(redrive: Redrive, operation_id: str) -> Scope | None:
    """What the operation was aimed at, for a new plan. None: there is no such operation."""
    with redrive.engine.connect() as connection:
        return scope_of(connection, operation_id)
