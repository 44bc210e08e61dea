"""The table that closes a run of random faults."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.faults import FAULTS
from tests.chaos.scene import Injected


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
    repeated: int           # calls for texts that the model had sent whole before
    calls: int
    given_up: list[str] = field(default_factory=list)  # violations and defects, in words


def table_of(rounds: list[Round], heartbeat_seconds: float) -> str:
    injected = [fault for found in rounds for fault in found.injected]
    items, repeated = sum(found.items for found in rounds), sum(found.repeated for found in rounds)
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
        f"model calls  {sum(found.calls for found in rounds)}, needless {repeated} ({100 * repeated / max(1, items):.1f} % of the items)",
        f"recovery     next item settled: {_spread(settled)}; what was held is sent again: {_spread(back)}; "
        f"one heartbeat is {heartbeat_seconds:g} s here, 5 s by default"]
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    return f"median {median(seconds):.1f} s, at most {max(seconds):.1f} s" if seconds else ""
