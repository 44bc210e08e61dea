"""Tables of what happened over time (schema ops): added up as it happens, so that a plot never reads all items."""

from sqlalchemy import BigInteger, Column, DateTime, Double, Integer, SmallInteger, Table, Text

from backend.storage.ops_tables import ops


def _time(name: str, **kw) -> Column:
    return Column(name, DateTime(timezone=True), **kw)


# Keys that left the list of problems, until it is known whether they are good again. Written by a trigger on ops.problems.
gone_problems = Table(
    "gone_problems", ops,
    Column("owner_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    _time("first_seen_at", nullable=False),                    # of the first time that it was listed since it was last good
    _time("gone_at", nullable=False),
)

# How many keys were good again in an hour, by how long they were broken.
recovery_hours = Table(
    "recovery_hours", ops,
    _time("hour", primary_key=True),
    Column("class_place", SmallInteger, primary_key=True),     # in content.recovery.CLASSES
    Column("key_count", Integer, nullable=False),
)

# What came of items that ended in an hour and what they took, by the cause that they were planned for.
retry_hours = Table(
    "retry_hours", ops,
    _time("hour", primary_key=True),
    Column("cause_id", Text, primary_key=True),                # "": planned for none; a merged one is told apart here
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),      # of them, those whose cost nobody knows
    Column("tokens", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
)
