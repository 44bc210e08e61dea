"""One colour and one symbol for each state, for marks, matrix, tables and charts alike. Colour never stands alone.

The tones keep a contrast of at least 3:1 on the light and on the dark background of .streamlit/config.toml.
"""

from dataclasses import dataclass

from backend.content import wording
from backend.content.problems import KeyState, ProblemKind
from backend.content.status import BreakerState, GroupState, ItemState, OperationState, TaskStatus
from backend.content.triage import CauseState
from backend.i18n import _
from backend.views.ledger import OUTCOME_OF, Outcome
from backend.views.operations import ItemRow

GREEN, BLUE, GREY = "#2c9a5f", "#3f7fe0", "#7d8798"
RED, AMBER, PURPLE, PINK, TEAL, BROWN = "#d9484c", "#c97c12", "#8f63d2", "#c9468f", "#1592a3", "#a0613a"


@dataclass(frozen=True, slots=True)
class Look:
    colour: str
    symbol: str
    word: str

    @property
    def text(self) -> str:
        """Symbol and word: "✕ Failed"."""
        return f"{self.symbol} {self.word}"

    @property
    def mark(self) -> str:
        """The symbol in its colour, for labels that read Markdown."""
        return f':color[{self.symbol}]{{foreground="{self.colour}"}}'


PROBLEM_KINDS = {
    kind: Look(colour, symbol, wording.PROBLEM_KINDS[kind]) for kind, colour, symbol in (
        (ProblemKind.FAILED, RED, "✕"),
        (ProblemKind.MISSING, AMBER, "○"),
        (ProblemKind.STALE, PURPLE, "◔"),
        (ProblemKind.INVALID, PINK, "!"),
        (ProblemKind.DRIFTED, TEAL, "≠"),
        (ProblemKind.CANCELLED, GREY, "⊘"),
        (ProblemKind.UNREADABLE, BROWN, "?"),
    )}
KEY_STATES = {
    state: Look(colour, symbol, wording.KEY_STATES[state]) for state, colour, symbol in (
        (KeyState.HEALTHY, GREEN, "✓"),
        (KeyState.IN_PROGRESS, BLUE, "▸"),
        (KeyState.WAITING, GREY, "·"),
        (KeyState.PROBLEM, RED, "✕"),
    )}
ITEM_STATES = {
    state: Look(colour, symbol, wording.ITEM_STATES[state]) for state, colour, symbol in (
        (ItemState.PLANNED, GREY, "·"),
        (ItemState.QUEUED, GREY, "○"),
        (ItemState.RUNNING, BLUE, "▸"),
        (ItemState.SUCCEEDED, GREEN, "✓"),
        (ItemState.FAILED, RED, "✕"),
        (ItemState.CANCELLED, PURPLE, "⊘"),
        (ItemState.SKIPPED, TEAL, "–"),
    )}
OPERATION_STATES = {
    state: Look(colour, symbol, wording.OPERATION_STATES[state]) for state, colour, symbol in (
        (OperationState.ARMED, GREY, "·"),
        (OperationState.RUNNING, BLUE, "▸"),
        (OperationState.PAUSED, AMBER, "‖"),
        (OperationState.VERIFYING, BLUE, "◔"),
        (OperationState.COMPLETED, GREEN, "✓"),
        (OperationState.STOPPED, RED, "■"),
        (OperationState.CANCELLED, PURPLE, "⊘"),
        (OperationState.UNDONE, GREY, "↶"),
    )}
NOT_STARTED = Look(AMBER, "■", _("Not started"))  # its group was stopped
OUTCOMES = {
    Outcome.WAITING: Look(GREY, "·", _("Waiting")),
    **{outcome: ITEM_STATES[state] for state, outcome in OUTCOME_OF.items() if outcome is not Outcome.WAITING},
    Outcome.NOT_STARTED: NOT_STARTED,
    Outcome.LEFT_OUT: Look(BROWN, "∅", _("Left out")),
}
GROUP_STATES = {
    state: Look(colour, symbol, wording.GROUP_STATES[state]) for state, colour, symbol in (
        (GroupState.CANARY, AMBER, "◔"),
        (GroupState.OPEN, GREEN, "▸"),
        (GroupState.STOPPED, RED, "■"),
    )}
TASK_STATUSES = {
    status: Look(colour, symbol, wording.TASK_STATUSES[status]) for status, colour, symbol in (
        (TaskStatus.PENDING, GREY, "○"),
        (TaskStatus.PROCESSING, BLUE, "▸"),
        (TaskStatus.COMPLETED, GREEN, "✓"),
        (TaskStatus.PARTIAL_FAILURE, AMBER, "◑"),
        (TaskStatus.FAILED, RED, "✕"),
        (TaskStatus.CANCELLED, PURPLE, "⊘"),
    )}
BREAKER_STATES = {
    state: Look(colour, symbol, wording.BREAKER_STATES[state]) for state, colour, symbol in (
        (BreakerState.CLOSED, GREEN, "✓"),
        (BreakerState.OPEN, RED, "✕"),
        (BreakerState.HALF_OPEN, AMBER, "◔"),
    )}
CAUSE_STATES = {
    state: Look(colour, symbol, wording.CAUSE_STATES[state]) for state, colour, symbol in (
        (CauseState.OPEN, AMBER, "○"),
        (CauseState.ACKNOWLEDGED, BLUE, "▸"),
        (CauseState.IGNORED, GREY, "⊘"),
        (CauseState.RESOLVED, GREEN, "✓"),
        (CauseState.REGRESSED, RED, "↺"),
    )}
CANCELLING = Look(PINK, "⊖", _("Cancelling"))  # told to stop; its worker has not confirmed yet


def item_look(row: ItemRow) -> Look:
    if row.is_not_started:
        return NOT_STARTED
    return CANCELLING if row.is_cancelling else ITEM_STATES[row.state]


def task_look(status: str, *, is_cancelling: bool) -> Look:
    """A status that is not in the platform's contract is shown as it is."""
    if is_cancelling:
        return CANCELLING
    return TASK_STATUSES[TaskStatus(status)] if status in set(TaskStatus) else Look(BROWN, "?", status or _("none"))


def cell_look(state: KeyState, problem_kind: ProblemKind | None) -> Look:
    """The look of a matrix cell: of its problem when it has one and nobody works on it, else of its state."""
    if state is KeyState.PROBLEM and problem_kind:
        return PROBLEM_KINDS[problem_kind]
    return KEY_STATES[state]
