"""Tables of automatic retries (schema ops)."""

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Double, Identity, Index, Integer, Table, Text, func, text

from backend.storage.ops_tables import ops


def _time(name: str, **kw) -> Column:
    return Column(name, DateTime(timezone=True), **kw)


# By which rules Redrive retries by itself; off until somebody turns one on. A deleted one stays, for its history.
retry_rules = Table(
    "retry_rules", ops,
    Column("rule_id", Text, primary_key=True),
    Column("cause_id", Text),                                  # None: whatever the cause
    Column("kind", Text),                                      # None: every kind of content
    Column("is_enabled", Boolean, nullable=False, server_default="false"),
    Column("run_items", Integer, nullable=False),
    Column("day_items", Integer, nullable=False),
    Column("day_calls", Integer),
    Column("day_tokens", BigInteger),
    Column("day_cost", Double),
    Column("backoff_seconds", ARRAY(Integer), nullable=False),
    Column("quiet_hours", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("created_by", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    _time("created_at", nullable=False, server_default=func.now()),
    _time("changed_at", nullable=False, server_default=func.now()),
    _time("enabled_at"),                                       # last turned on
    _time("deleted_at"),
    Index("uq_retry_rules_scope", text("coalesce(cause_id, '')"), text("coalesce(kind, '')"), unique=True,
          postgresql_where=text("deleted_at is null")),
)

# What a look at a rule came to: the operation that it made, or why it made none. One row while the same goes on holding it.
retry_rule_runs = Table(
    "retry_rule_runs", ops,
    Column("run_id", BigInteger, Identity(), primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("verdict", Text, nullable=False),                   # a RunVerdict
    Column("operation_id", Text),
    Column("item_count", Integer, nullable=False, server_default="0"),
    Column("words", Text, nullable=False, server_default=""),
    _time("began_at", nullable=False),
    _time("last_at", nullable=False),
    Index("ix_retry_rule_runs_rule_id", "rule_id", "run_id"),
    Index("ix_retry_rule_runs_began_at", "rule_id", "began_at"),
    Index("ix_retry_rule_runs_operation_id", "operation_id", postgresql_where=text("operation_id is not null")),
)

# Problems that rules are for, each with when it is looked at next. Written by triggers on ops.problems, moved by each look.
retry_due = Table(
    "retry_due", ops,
    Column("owner_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    _time("due_at"),                                           # None: not before its problem changes; it stays for people
    Column("left_out_rule", Text),                             # an ExclusionRule: why it was not taken at the last look
    Index("ix_retry_due_due_at", "rule_id", "due_at"),
)
