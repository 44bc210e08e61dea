"""ops.problem_samples: the number of problems by kind over time, for the trend."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from backend.storage.ops_tables import problem_samples, problems

KEPT_DAYS = 30


def take(connection: Connection, now: datetime) -> None:
    """Write down how many problems of each kind there are. No problem at all is a sample too."""
    counted = select(literal(now), problems.c.problem_kind, func.count()).group_by(problems.c.problem_kind)
    connection.execute(insert(problem_samples).from_select(["sampled_at", "problem_kind", "problem_count"], counted))
    connection.execute(insert(problem_samples).values(sampled_at=now, problem_kind="", problem_count=0).on_conflict_do_nothing())
    connection.execute(delete(problem_samples).where(problem_samples.c.sampled_at < now - timedelta(days=KEPT_DAYS)))
