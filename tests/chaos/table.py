"""The table that closes a run of random faults."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.faults import FAULTS, OUTAGES
from tests.chaos.scene import SMALL_FAULTS, Injected
from workers.safekeeping import SPILL_AFTER_SECONDS


@dataclass
class Round:
    """What one round came to."""

    seed: int
    heartbeat_seconds: float
    seconds: float
    injected: list[Injected]
    answers: Counter[str]         # requests of the model by how it behaved
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


@dataclass(frozen=True)
class Recovery:
    """Seconds that it took after a fault, once no outage stood in the way any more. None: it did not come, or there was nothing."""

    kind: str
    settled: float | None  # until the next item settled
    back: float | None     # until all that a dead process held was sent again

    @classmethod
    def all_of(cls, played: Round) -> "list[Recovery]":
        outages = [fault for fault in played.injected if fault.kind in OUTAGES]

        def since_calm(fault: Injected, end: float | None) -> float | None:
            if end is None:
                return None
            calm = max([fault.over_at, *(outage.over_at for outage in outages if outage.at < end and outage.over_at > fault.over_at)])
            return max(0.0, end - calm)
        return [cls(fault.kind, since_calm(fault, fault.settled_at), since_calm(fault, fault.back_at) if fault.held else None)
                for fault in played.injected]


def table_of(rounds: list[Round]) -> str:
    recoveries = [recovery for played in rounds for recovery in Recovery.all_of(played)]
    items, needless = sum(found.items for found in rounds), Needless.of(rounds)
    lines = [f"seeds {', '.join(str(found.seed) for found in rounds)}; {sum(found.seconds for found in rounds):.0f} s of faults", ""]
    lines += [f"{'fault':<22}{'injected':>8}  {'until the next item settles':<30}{'until what it held is sent again'}"]
    for kind in FAULTS:
        own = [recovery for recovery in recoveries if recovery.kind == kind]
        lines.append(f"{kind:<22}{len(own):>8}  {_settled(own):<30}{_back(own)}")
    states, answers = (sum(counted, Counter()) for counted in ((found.states for found in rounds), (found.answers for found in rounds)))
    lines += [
        f"model's own: {', '.join(f'{answers[kind]} x {kind}' for kind in SMALL_FAULTS)}",
        "", f"items        {items} ({', '.join(f'{count} {state}' for state, count in sorted(states.items()))})",
        f"lost         {sum(found.lost for found in rounds)}",
        f"doubled      {sum(found.doubled for found in rounds)}",
        f"model calls  {sum(found.calls for found in rounds)}, needless {needless.all} ({needless.all / max(1, items):.1%} of items)",
        f"             {needless.inherent} of them came at most {INHERENT_SECONDS:g} s before their process died, or while it was frozen; "
        f"{needless.avoidable} earlier",
        f"recovery     once no outage stood in the way: next item settled: {_settled(recoveries)}; what was held is sent again: "
        f"{_back(recoveries)}; one heartbeat is {rounds[0].heartbeat_seconds:g} s here, 5 s by default"]
    return "\n".join(lines)


def _settled(recoveries: list[Recovery]) -> str:
    return _spread([found.settled for found in recoveries if found.settled is not None])


def _back(recoveries: list[Recovery]) -> str:
    return _spread([found.back for found in recoveries if found.back is not None])


def _spread(seconds: list[float]) -> str:
    return f"median {median(seconds):.1f} s, at most {max(seconds):.1f} s" if seconds else ""
