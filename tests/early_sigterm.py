"""A worker that is told to stop at a moment that no test can hit from outside.

`python -m tests.early_sigterm before_fork --queue interactive`
before_fork: RQ has marked the worker as busy and has no work-horse yet. before_chunk: the work-horse has no event loop yet.
"""

import os
import signal
import sys

from workers import jobs
from workers.main import ItemWorker, main

MOMENTS = {"before_fork": (ItemWorker, "prepare_execution"), "before_chunk": (jobs, "load")}


def stop_there(moment: str) -> None:
    """Send this very process, or for before_chunk its worker, SIGTERM as soon as it gets there."""
    place, name = MOMENTS[moment]
    real = getattr(place, name)

    def told(*arguments):
        done = real(*arguments)
        os.kill(os.getppid() if moment == "before_chunk" else os.getpid(), signal.SIGTERM)
        return done

    setattr(place, name, told)


if __name__ == "__main__":
    stop_there(sys.argv.pop(1))
    main()
