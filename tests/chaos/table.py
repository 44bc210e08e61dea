"""The table that closes a run of random faults."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.faults import FAULTS
from tests.chaos.scene import Injected
from workers.safekeeping import SPILL_AFTER_SECONDS


@dataclass
class Round:
    """What one round came to."""

    seed: int
    seconds: float
    injected: list[Injected]
    items: int
    states: Counter[str]
    lost: int
    doubled: int
    calls: int
    needless: list[float | None]  # of texts that were asked for again: seconds that they had been unsaved when their process died or froze
    given_up: list[str] = field(default_factory=list)  # violations and defects, in words


INHERENT_SECONDS = SPILL_AFTER_SECONDS + 0.5  # a busy machine spills and saves late


@dataclass(frozen=True)
class Needless:
    """Needless calls by what could have been done about them."""

    inherent: int   # the process died, or was frozen, before it could save or spill the text
    avoidable: int

    @classmethod
    def of(cls, rounds: list[Round]) -> "Needless":
        seconds = [found for played in rounds for found in played.needless]
        inherent = sum(found is not None and found <= INHERENT_SECONDS for found in seconds)
        return cls(inherent, len(seconds) - inherent)

    @property
    def all(self) -> int:
        return self.inherent + self.avoidable


def table_of(rounds: list[Round], heartbeat_seconds: float) -> str:
    injected = [fault for found in rounds for fault in found.injected]
    items, needless = sum(found.items for found in rounds), Needless.of(rounds)
    lines = [f"seeds {', '.join(str(found.seed) for found in rounds)}; {sum(found.seconds for found in rounds):.0f} s of faults", ""]
    lines += [f"{'fault':<22}{'injected':>8}  {'until the next item settles':<30}{'until what it held is sent again'}"]
    for kind in FAULTS:
        own = [fault for fault in injected if fault.kind == kind]
        settled = [fault.settled_at - fault.over_at for fault in own if fault.settled_at]
        back = [fault.back_at - fault.over_at for fault in own if fault.held and fault.back_at]
        lines.append(f"{kind:<22}{len(own):>8}  {_spread(settled):<30}{_spread(back)}")
    states = sum((found.states for found in rounds), Counter())
    settled = [fault.settled_at - fault.over_at for fault in injected if fault.settled_at]
    back = [fault.back_at - fault.over_at for fault in injected if fault.held and fault.back_at]
    lines += [
        "", f"items        {items} ({', '.join(f'{count} {state}' for state, count in sorted(states.items()))})",
        f"lost         {sum(found.lost for found in rounds)}",
        f"doubled      {sum(found.doubled for found in rounds)}",
        f"model calls  {sum(found.calls for found in rounds)}, needless {needless.all} ({needless.all / max(1, items):.1%} of items)",
        f"             {needless.inherent} of them came at most {INHERENT_SECONDS:g} s before their process died, or while it was frozen; "
        f"{needless.avoidable} earlier",
        f"recovery     next item settled: {_spread(settled)}; what was held is sent again: {_spread(back)}; "
        f"one heartbeat is {heartbeat_seconds:g} s here, 5 s by default"]
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    return f"median {median(seconds):.1f} s, at most {max(seconds):.1f} s" if seconds else ""
