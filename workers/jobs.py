"""What RQ calls: the allow-listed function, and nothing else."""

from backend.bootstrap import connect_work_horse
from backend.settings import load
from workers.chunk import run_chunk


def run_items(item_ids: list[int]) -> dict[str, int]:
    """Do the items that were handed over, in a work-horse process. Returns counts by outcome, for the log.

    Nothing is decided here: which items exist was decided when the plan was confirmed.
    """
    settings = load()
    redrive = connect_work_horse(settings)
    try:
        return run_chunk(redrive, item_ids)
    finally:
        redrive.close()
