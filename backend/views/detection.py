"""Problems for the command line: what the detector finds, after everything that is dirty was looked at."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import Problem, ProblemKind
from backend.redrive import Redrive
from backend.storage import problems as kept
from backend.storage.ops_tables import problems
from backend.views.listing import as_of


@dataclass(frozen=True, slots=True)
class Detection:
    as_of: datetime  # since when the list has been true: earlier than now while another process looks at changes
    counts: dict[ProblemKind, int]
    problems: tuple[Problem, ...]  # oldest first


def counts_and_problems(redrive: Redrive, *, rebuild: bool = False) -> Detection:
    """Drain what is dirty (with `rebuild` every owner), then give all problems."""
    if rebuild:
        kept.mark_all_dirty(redrive.engine)
    kept.drain(redrive.engine, utc_now, redrive.limits)
    with redrive.engine.connect() as connection:
        true_at = as_of(connection)  # before the rows: what another drain keeps in between is no reason to promise more
        rows = connection.execute(select(problems).order_by(problems.c.since_at, problems.c.kind, problems.c.owner_id, problems.c.part))
        found = tuple(Problem(
            ContentKey(ContentKind(row.kind), row.owner_id, row.part), ProblemKind(row.problem_kind), row.declared, row.since_at,
            row.detail, ErrorKind(row.error_kind), row.error_message, row.title) for row in rows)
    counts = {kind: sum(problem.kind is kind for problem in found) for kind in ProblemKind}
    return Detection(true_at, counts, found)
