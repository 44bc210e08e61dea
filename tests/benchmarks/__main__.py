"""python -m tests.benchmarks [a b c ...]: measure, and print every figure beside its target. Not tests: nothing is timed out.

Ends with 1 only when a benchmark itself broke.
"""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator

from tests.benchmarks import (
    cancelling,
    changes,
    chapter_watchers,
    chunk,
    confirm,
    covers,
    listing,
    long_chapter,
    rebuild,
    requeue,
    sessions,
    start,
)
from tests.benchmarks.table import Figure, lines_of

BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "a": changes.run,
    "b": rebuild.run,
    "c": listing.run,
    "d": confirm.run,
    "e": chunk.run,
    "f": sessions.run,
    "g": start.run,
    "h": cancelling.run,
    "m": chapter_watchers.run,
    "n": long_chapter.run,
    "o": covers.run,
    "r": requeue.run,
}


def main(letters: list[str]) -> int:
    unknown = [letter for letter in letters if letter not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleaned up then too
    figures: list[Figure] = []
    broken: list[str] = []
    started = time.perf_counter()
    try:
        for letter in letters or BENCHMARKS:
            _measure(letter, figures, broken)
    except KeyboardInterrupt:
        print("Interrupted; what was measured so far:", flush=True)
        broken.append("interrupted")
    print("\n" + "\n".join(lines_of(figures)))
    print(f"\n{time.perf_counter() - started:.0f} s. " + (f"Broken: {', '.join(broken)}." if broken else "Every benchmark ran."))
    return 1 if broken else 0


def _measure(letter: str, figures: list[Figure], broken: list[str]) -> None:
    print(f"== {letter}: {sys.modules[BENCHMARKS[letter].__module__].__doc__.splitlines()[0]}", flush=True)
    try:
        for figure in BENCHMARKS[letter]():
            figures.append(figure)
            print("   " + "  ".join(cell.strip() for cell in lines_of([figure])[-1].split("  ") if cell.strip()), flush=True)
    except Exception:  # boundary: one broken benchmark does not hide the others
        traceback.print_exc()
        broken.append(letter)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
