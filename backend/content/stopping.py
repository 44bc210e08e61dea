"""What may be cancelled, paused and stopped by force, and what each is aimed at. Pure: pages and actions ask the same rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from backend.content.keys import ContentKey
from backend.content.status import LIVE_TASK_STATUSES, ItemState, OperationState


class CancelReason(StrEnum):
    """Why a person cancels; beside it they may write words of their own."""

    NOT_NEEDED = "not_needed"
    WRONG_SCOPE = "wrong_scope"
    MODEL_TROUBLE = "model_trouble"
    TOO_EXPENSIVE = "too_expensive"
    STUCK = "stuck"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CancelScope:
    """The unsettled items of exactly one of these. Never empty by accident: everything is said by name."""

    keys: tuple[ContentKey, ...] = ()
    operation_id: str = ""
    owner_id: str = ""
    cause_id: str = ""        # that they were planned for
    is_everything: bool = False

    def __post_init__(self) -> None:
        if sum(map(bool, (self.keys, self.operation_id, self.owner_id, self.cause_id, self.is_everything))) != 1:
            raise ValueError(
                "a scope to cancel is content keys, an operation, an owner or a cause; for all of it say CancelScope.everything()")

    @classmethod
    def everything(cls) -> "CancelScope":
        return cls(is_everything=True)

    @classmethod
    def of(cls, *keys: ContentKey) -> "CancelScope":
        return cls(keys=tuple(dict.fromkeys(keys)))


def may_cancel_task(status: str) -> bool:
    return status in LIVE_TASK_STATUSES


def may_cancel_item(state: ItemState, cancel_requested_at: datetime | None) -> bool:
    return not state.is_settled and cancel_requested_at is None


def may_force_stop(state: ItemState, cancel_requested_at: datetime | None, now: datetime, grace_seconds: float) -> bool:
    """It was told to stop, had its time, and still runs."""
    return (state is ItemState.RUNNING and cancel_requested_at is not None
            and now - cancel_requested_at >= timedelta(seconds=grace_seconds))


def may_cancel_operation(state: OperationState) -> bool:
    return state in (OperationState.ARMED, OperationState.RUNNING, OperationState.PAUSED)


def may_change_limits(state: OperationState) -> bool:
    """While it is armed it is undone, not changed."""
    return state in (OperationState.RUNNING, OperationState.PAUSED)


def may_undo(state: OperationState) -> bool:
    return state is OperationState.ARMED


def may_pause(state: OperationState) -> bool:
    return state is OperationState.RUNNING


def may_resume(state: OperationState) -> bool:
    return state is OperationState.PAUSED
