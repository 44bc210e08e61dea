"""Redrive's own tables (schema ops). Nobody else writes them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

ops = MetaData(schema="ops")


def _time(name: str, **kw) -> Column:
    return Column(name, DateTime(timezone=True), **kw)


# Items that tell how the model fares: a repair that was found on the way asked it nothing.
TOLD = "action = 'generate' and (state = 'failed' or state = 'succeeded' and calls is distinct from 0)"

operations = Table(
    "operations", ops,
    Column("operation_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),  # of the dry run: confirming it twice is one operation
    Column("name", Text, nullable=False),                     # the scope in words
    Column("state", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("scope", JSONB, nullable=False),
    Column("planned_count", Integer, nullable=False),
    Column("outcome", JSONB),                                 # what verifying found
    Column("state_by", Text),                                 # who paused, resumed or cancelled it
    Column("state_reason", Text),
    _time("created_at", nullable=False, server_default=func.now()),
    Column("limits", JSONB, nullable=False, server_default="{}"),  # OperationLimits
    Column("spent_calls", BigInteger, nullable=False, server_default="0"),  # added up from ops.spendings
    Column("spent_tokens", BigInteger, nullable=False, server_default="0"),
    Column("spent_cost", Double, nullable=False, server_default="0"),
    Column("spent_items", BigInteger, nullable=False, server_default="0"),
    Column("spent_unpriced_calls", BigInteger, nullable=False, server_default="0"),  # of the calls, those whose cost nobody knows
    _time("paced_at"),                                         # with a rate: from when on the next item may be handed out
    _time("window_since"),                                     # what settled before is not looked at for a returning cause
    _time("starts_at"),                                        # of an armed one: until then it can be undone
    _time("started_at"),
    _time("settled_at"),
    Index("ix_operations_active", "created_at",
          postgresql_where=text("state in ('armed', 'running', 'paused', 'verifying')")),
    Index("ix_operations_created_at", "created_at"),
)

items = Table(
    "items", ops,
    Column("item_id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("group_id", BigInteger),                            # None: a repair, or planned before there were groups
    Column("place", Integer),                                  # in its plan, from 1 on
    Column("canary_round", SmallInteger),                      # it goes ahead of its group, in that round
    Column("task_id", Text),
    Column("kind", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),         # a write with an old number changes nothing
    Column("returned_count", Integer, nullable=False, server_default="0"),  # attempts that were given back unused: no try of the key
    Column("problem_kind", Text, nullable=False),              # why it was planned
    Column("previous_status", Text),                           # declared before a worker took it
    Column("job_id", Text),
    Column("planned_cause_id", Text),                          # of the problem that it was planned for, as causes were grouped then
    Column("cause_id", Text),                                  # fingerprint of its failure; cause_aliases says where that belongs now
    Column("error_kind", Text),
    Column("error_message", Text),
    Column("skip_rule", Text),                                 # why it was skipped: an ExclusionRule
    Column("generator", Text),
    Column("is_sample", Boolean),
    Column("calls", Integer),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost", Double),                                    # by the prices of that time; None: no price, or no tokens told
    _time("created_at", nullable=False, server_default=func.now()),
    _time("queued_at"),
    _time("started_at"),
    _time("heartbeat_at"),
    Column("worker_host", Text),                               # who runs it: a ProcessName
    Column("worker_pid", Integer),
    _time("cancel_requested_at"),
    Column("cancelled_by", Text),
    Column("cancel_reason", Text),
    _time("settled_at"),
    # The guard of "never twice": at most one live item for a content key, whoever clicks.
    Index("uq_items_live", "kind", "owner_id", "part", unique=True,
          postgresql_where=text("state in ('queued', 'running')")),
    Index("ix_items_operation_state", "operation_id", "state", "item_id"),
    Index("ix_items_key", "owner_id", "kind", "part", "item_id"),
    Index("ix_items_unsettled", "state", "operation_id", "item_id",
          postgresql_where=text("state in ('planned', 'queued', 'running')")),
    Index("ix_items_job", "job_id", postgresql_where=text("state in ('queued', 'running')")),
    Index("ix_items_unsettled_task", "task_id", postgresql_where=text("state in ('planned', 'queued', 'running')")),
    Index("ix_items_cancelling", "cancel_requested_at",
          postgresql_where=text("state in ('planned', 'queued', 'running') and cancel_requested_at is not null")),
    Index("ix_items_settled_at", "settled_at", postgresql_where=text("settled_at is not null")),
    Index("ix_items_task_id", "task_id"),
    Index("ix_items_cause_id", "cause_id", "settled_at", postgresql_where=text("cause_id is not null")),
    Index("ix_items_planned_cause_id", "planned_cause_id", "state", "operation_id", postgresql_where=text("planned_cause_id is not null")),
    Index("ix_items_cancelled", "owner_id", "kind", "part", "item_id",
          postgresql_where=text("state = 'cancelled' and cancelled_by is not null")),
    # The dispatcher takes from one group at a time and never reads what waits behind a canary.
    Index("ix_items_planned", "operation_id", "group_id", "place", postgresql_where=text("state = 'planned'")),
    Index("ix_items_canary", "operation_id", "group_id", "canary_round", postgresql_where=text("canary_round is not null")),
    # What the model was asked for and told, newest first: does one cause return, in an operation or in a group of it.
    Index("ix_items_told", "operation_id", text("settled_at desc"), postgresql_where=text(TOLD)),
    Index("ix_items_told_group", "group_id", text("settled_at desc"), postgresql_where=text(TOLD)),
)

# How attempts ended that had no outcome; append only. See backend.storage.item_events.
item_events = Table(
    "item_events", ops,
    Column("event_id", BigInteger, Identity(), primary_key=True),
    Column("item_id", BigInteger, nullable=False),
    _time("at", nullable=False, server_default=func.now()),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),                      # an ItemEventKind
    Column("words", Text, nullable=False, server_default=""),
    _time("queued_at"),                                        # of that attempt: its row bears the next one's
    _time("started_at"),
    Index("ix_item_events_item_id", "item_id", "event_id"),
)

# Keys of a large confirmed plan that are not items yet, as JSON of items.ItemColumns.
frozen_pieces = Table(
    "frozen_pieces", ops,
    Column("piece_id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, nullable=False, index=True),
    Column("rows", Text, nullable=False),
)

# Items of an operation that were planned for the same cause: they go, or stop, together.
groups = Table(
    "groups", ops,
    Column("group_id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("cause_id", Text, nullable=False),                  # "": what is left when there are very many causes
    Column("title", Text, nullable=False),                     # the cause in words
    Column("item_count", Integer, nullable=False),
    Column("state", Text, nullable=False),                     # a GroupState
    Column("canary_round", SmallInteger, nullable=False, server_default="1"),
    Column("stop_rule", Text),                                 # one of STOP_RULES
    Column("stop_words", Text),                                # the cause that returned, or what was spent
    _time("stopped_at"),
    Index("ix_groups_operation_id", "operation_id", "group_id"),
)

# Keys of a plan that were left out of its operation: with its items they are exactly the keys of the plan.
left_out = Table(
    "left_out", ops,
    Column("item_id", BigInteger, primary_key=True, server_default=text("nextval('ops.items_item_id_seq')")),  # one order with the items
    Column("operation_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("rule", Text, nullable=False),                      # an ExclusionRule
    Index("ix_left_out_operation_id", "operation_id", "item_id"),
)

# What items have used, append only: workers must not wait for each other to add it up. Supervision adds it to the operations.
spendings = Table(
    "spendings", ops,
    Column("spending_id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("cost", Double, nullable=False),
    Column("unpriced_calls", Integer, nullable=False, server_default="0"),
    Index("ix_spendings_operation_id", "operation_id"),
)

problems = Table(
    "problems", ops,
    Column("kind", Text, primary_key=True),
    Column("owner_id", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("problem_kind", Text, nullable=False),
    Column("cause_id", Text, nullable=False),                  # the fingerprint, or what it was merged into
    Column("fingerprint", Text, nullable=False, server_default=""),
    Column("declared", Text),
    Column("detail", Text, nullable=False, server_default=""),
    Column("error_kind", Text, nullable=False),
    Column("error_message", Text, nullable=False, server_default=""),
    Column("title", Text, nullable=False, server_default=""),
    Column("owner_title", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # When the fault began as far as the data tells: of its error, else the last sign before it. Long ago, when a row is just deleted.
    _time("since_at", nullable=False),
    _time("first_seen_at", nullable=False, server_default=func.now()),  # since when it is listed; ops.gone_problems knows of before
    Column("search_text", Text, nullable=False, server_default=""),  # lower case: title, owner, detail, error
    # One of an owner's problems of a cause: who counts these counts owners, and need not tell all of them apart.
    Column("is_first_of_owner", Boolean, nullable=False, server_default="false"),
    Index("ix_problems_since_at", "since_at", "kind", "owner_id", "part"),
    Index("ix_problems_owner_id", "owner_id"),
    # These answer from the index alone: numbers by cause, by kind, by age and by owner, and the order by attempts.
    Index("ix_problems_cause_id", "cause_id", "since_at", postgresql_include=["is_first_of_owner"]),
    Index("ix_problems_kinds", "problem_kind", "kind", "cause_id", "owner_id", "since_at"),
    Index("ix_problems_causes", "cause_id", "owner_id", "since_at"),
    Index("ix_problems_attempts", text("attempts desc"), "since_at", "kind", "owner_id", "part"),
)

causes = Table(
    "causes", ops,
    Column("cause_id", Text, primary_key=True),                # fingerprint
    Column("error_kind", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("title", Text, nullable=False),                     # the normalised message
    Column("sample", Text, nullable=False),                    # one message in full
    _time("first_seen_at", nullable=False, server_default=func.now()),
    _time("last_seen_at", nullable=False, server_default=func.now()),
    # What people decided about it.
    Column("state", Text, nullable=False, server_default="open"),  # a CauseState
    Column("state_by", Text),
    Column("state_reason", Text, nullable=False, server_default=""),
    _time("state_at"),
    _time("ignored_until_at"),                                 # of an ignored one: until then,
    Column("ignored_until_count", Integer),                    # or until it has so many problems
    Column("assignee", Text),
    Index("ix_causes_state", "state", postgresql_where=text("state <> 'open'")),
)

# What people merged: the fingerprint belongs to that cause, now and whenever it comes again. Never a chain.
cause_aliases = Table(
    "cause_aliases", ops,
    Column("fingerprint", Text, primary_key=True),
    Column("cause_id", Text, nullable=False),
    Column("merged_by", Text, nullable=False),
    _time("merged_at", nullable=False, server_default=func.now()),
    Index("ix_cause_aliases_cause_id", "cause_id"),
)

# Notes, and every change of state, in the order in which they came; append only.
cause_events = Table(
    "cause_events", ops,
    Column("event_id", BigInteger, Identity(), primary_key=True),
    Column("cause_id", Text, nullable=False),
    _time("at", nullable=False, server_default=func.now()),
    Column("actor_id", Text, nullable=False),
    Column("kind", Text, nullable=False),                      # a CauseEventKind
    Column("words", Text, nullable=False, server_default=""),
    Index("ix_cause_events_cause_id", "cause_id", "event_id"),
)

# How many problems a cause had, written when the number has changed; what the trend line draws.
cause_samples = Table(
    "cause_samples", ops,
    Column("cause_id", Text, primary_key=True),
    _time("sampled_at", primary_key=True),
    Column("problem_count", Integer, nullable=False),
    Index("ix_cause_samples_sampled_at", "sampled_at"),
)

# Who has the page of a cause open; unlogged, gone within seconds.
cause_lookers = Table(
    "cause_lookers", ops,
    Column("cause_id", Text, primary_key=True),
    Column("window_id", Text, primary_key=True),               # of the browser: one person may have two
    Column("actor_id", Text, nullable=False),
    _time("began_at", nullable=False),
    _time("seen_at", nullable=False),
    prefixes=["UNLOGGED"],
)

# Which version of a rule the kept answers were made with; another one in the code makes maintenance do them anew.
kept_versions = Table(
    "kept_versions", ops,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

# Tasks of ours that have just ended, whoever said so: a trigger notes them, the reconciler looks at them once.
ended_tasks = Table(
    "ended_tasks", ops,
    Column("ended_id", BigInteger, Identity(), primary_key=True),
    Column("task_id", Text, nullable=False),
)

# Append only: a writer of the platform must never wait for us, nor deadlock with us.
dirty = Table(
    "dirty", ops,
    Column("dirty_id", BigInteger, Identity(), primary_key=True),
    Column("owner_kind", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    _time("marked_at", nullable=False, server_default=func.clock_timestamp()),
)

rechecks = Table(
    "rechecks", ops,
    Column("owner_kind", Text, primary_key=True),
    Column("owner_id", Text, primary_key=True),
    _time("due_at", nullable=False),
    Index("ix_rechecks_due_at", "due_at"),
)

# What the trend plot draws: how many problems there were, by kind, at a time.
problem_samples = Table(
    "problem_samples", ops,
    _time("sampled_at", primary_key=True),
    Column("problem_kind", Text, primary_key=True),
    Column("problem_count", Integer, nullable=False),
)

# Written by the maintenance process, read by the pages: is anyone looking after the platform, and since when.
heartbeats = Table(
    "heartbeats", ops,
    Column("process", Text, primary_key=True),                 # "maintenance@host:pid"
    Column("role", Text, nullable=False),
    _time("started_at", nullable=False, server_default=func.now()),
    _time("beat_at", nullable=False, server_default=func.now()),
)

# One for each provider of a model: asked before an item is begun, so that an outage burns no attempts.
breakers = Table(
    "breakers", ops,
    Column("provider", Text, primary_key=True),                # address of the endpoint, or "offline"
    Column("state", Text, nullable=False),                     # a BreakerState
    Column("failures", Integer, nullable=False, server_default="0"),     # in a row, while closed
    Column("failed_probes", Integer, nullable=False, server_default="0"),  # in a row, while open
    Column("failed_calls", Integer, nullable=False, server_default="0"),   # in a row, of both: what the outage has wasted
    Column("error_kind", Text),
    Column("error_message", Text),
    _time("opened_at"),
    _time("retry_at"),                                         # when one item is let through
    _time("probe_at"),                                         # when the last one was
    _time("changed_at", nullable=False, server_default=func.now()),
)

# What the reconciler found and mended; append only, kept for some days.
findings = Table(
    "findings", ops,
    Column("finding_id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),                      # a FindingKind
    Column("count", Integer, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),  # the first of them by name
    _time("found_at", nullable=False, server_default=func.now()),
    Index("ix_findings_found_at", "found_at"),
)

audit_log = Table(
    "audit_log", ops,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    _time("at", nullable=False, server_default=func.clock_timestamp()),  # of the line: a transaction may have waited long
    Column("actor_id", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("scope", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("result", Text, nullable=False, server_default=""),
    Column("operation_id", Text),
    Column("task_id", Text),                                   # when it is about one task alone
    Index("ix_audit_log_at", "at"),
)

# Texts of a chapter beside the published one; see content.chapters.DraftKind.
drafts = Table(
    "drafts", ops,
    Column("draft_id", Text, primary_key=True),
    Column("novel_id", Text, nullable=False),
    Column("chapter_id", Text, nullable=False),                # the row it was written for, or taken from
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("chapter_number", Integer, nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("content", Text, nullable=False, server_default=""),
    Column("error_message", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),   # to the writer
    Column("model", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),  # of a rejection
    Column("base_version", Text, nullable=False, server_default=""),  # content.chapters.version_of what was published then
    Column("options", JSONB, nullable=False, server_default="[]"),    # [{"text", "impact"}]
    Column("temperature", Double),
    Column("item_id", BigInteger),                             # that writes it
    _time("created_at", nullable=False, server_default=func.now()),
    _time("settled_at"),
    Index("ix_drafts_chapter", "novel_id", "chapter_number", "created_at"),
    Index("ix_drafts_item_id", "item_id", postgresql_where=text("item_id is not null")),
)

# Pictures of a roadmap, one of them published; see backend.storage.cover_versions.
cover_versions = Table(
    "cover_versions", ops,
    Column("version_id", Text, primary_key=True),
    Column("roadmap_id", Text, nullable=False),
    Column("state", Text, nullable=False),                     # a CoverVersionState
    Column("made_by", Text, nullable=False),                   # who asked for it, or uploaded it
    Column("large_url", Text, nullable=False, server_default=""),
    Column("thumbnail_url", Text, nullable=False, server_default=""),  # "": the platform's own, which has none
    Column("alt_text", Text, nullable=False, server_default=""),
    Column("attribution", Text, nullable=False, server_default=""),
    Column("attribution_url", Text, nullable=False, server_default=""),
    Column("generator", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),   # to the painter
    Column("error_message", Text, nullable=False, server_default=""),
    Column("is_sample", Boolean, nullable=False, server_default="false"),
    Column("is_published", Boolean, nullable=False, server_default="false"),
    Column("item_id", BigInteger),                             # that makes it
    _time("created_at", nullable=False, server_default=func.now()),
    _time("made_at"),
    _time("published_at"),
    Index("ix_cover_versions_roadmap", "roadmap_id", "created_at"),
    Index("uq_cover_versions_published", "roadmap_id", unique=True, postgresql_where=text("is_published")),
    Index("ix_cover_versions_item_id", "item_id", postgresql_where=text("item_id is not null")),
)
