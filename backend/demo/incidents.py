"""What went wrong on the demo platform, as a table: which roadmap or novel shows which fault, and why it is here.

What is not named below is healthy. Positions of concepts count from 0 in reading order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.content.keys import ContentKind
from backend.content.problems import ProblemKind
from backend.content.status import TaskStatus

TUTORIAL, RESOURCES, QUIZ = ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ
COVER, CHAPTER, FRAMEWORK = ContentKind.COVER, ContentKind.CHAPTER, ContentKind.FRAMEWORK


class Saved(StrEnum):
    """What stands in the content table for one key."""

    GOOD = "good"
    NONE = "none"
    BROKEN = "broken"  # a row without its text, its resources or its questions
    FAILED = "failed"  # a tutorial row that itself says failed


class ChapterFaultKind(StrEnum):
    FAILED_HALFWAY = "failed_halfway"      # half of the text and an error
    SILENT = "silent"                      # generating, and nobody works on it
    WITHOUT_TEXT = "without_text"
    WITHOUT_OPTIONS = "without_options"
    NEVER_WRITTEN = "never_written"        # the reader chose, and no chapter followed


@dataclass(frozen=True, slots=True)
class Run:
    """The creation of one roadmap. The first run belongs to user-001, and so on."""

    roadmap_id: str
    days_ago: float
    status: TaskStatus = TaskStatus.COMPLETED
    error_message: str | None = None
    is_going_on: bool = False           # shows life up to now
    deleted_days_ago: float | None = None
    has_object_for_list: bool = False   # modules of its second stage are an object: cannot be read


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry that the platform ran by itself, and that found nothing to do."""

    roadmap_id: str
    hours_ago: float


@dataclass(frozen=True, slots=True)
class ConceptFault:
    roadmap_id: str
    kind: ContentKind
    positions: Sequence[int]
    declared: str | None
    saved: Saved
    error: str | None = None  # goes into the task's failed_concepts; "<n>" is another number each time


@dataclass(frozen=True, slots=True)
class CoverFault:
    roadmap_id: str
    generation_status: str | None  # None: no row
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class NovelRun:
    novel_id: str
    begun_days_ago: float
    last_hours_ago: float  # of the newest chapter


@dataclass(frozen=True, slots=True)
class ChapterFault:
    novel_id: str
    chapter_number: int
    kind: ChapterFaultKind
    error_message: str | None = None


POOL_DRY = ("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 "
            "(Background on this error at: https://sqlalche.me/e/20/3o7r)")
DUPLICATE_KEY = (
    'IntegrityError: duplicate key value violates unique constraint "tutorial_metadata_pkey"\n'
    "DETAIL:  Key (tutorial_id)=(tutorial-machine-learning-foundations-missing-values) already exists.")
TIMEOUT = "APITimeoutError: Request timed out after 120.0 seconds (request <n>)."
RATE_LIMIT = ("RateLimitError: Error code: 429 - Rate limit reached for gpt-5-mini on tokens per min (TPM): "
              "Limit 200000, Used <n>, Requested 4388. Please try again in 1.2s.")
REFUSAL = "The model refused: I'm sorry, but I can't help with that request."
OVERLOADED = "InternalServerError: Error code: 503 - The server is currently overloaded. Request <n>."
BAD_JSON = "JSONDecodeError: Expecting ',' delimiter: line 41 column 7 (char <n>)"
CONNECTION_LOST = "OperationalError: server closed the connection unexpectedly"
IMAGE_REJECTED = ("BadRequestError: Error code: 400 - Your request was rejected as a result of our safety system "
                  "(code: content_policy_violation)")
STREAM_CUT = "APIConnectionError: peer closed connection without sending complete message body"

AGENT, POSTGRES = "agent-performance-optimization", "postgresql-in-production"
LEARNING, RUST = "machine-learning-foundations", "rust-in-practice"
SYSTEMS, ARCHITECTURE = "distributed-systems", "ancient-chinese-architecture"
NIGHT_SKY, PHOTOGRAPHY, TEA = "night-sky", "street-photography", "tea-ceremony"

RUNS = (
    Run("music-theory", 44),
    Run("bread-baking", 37),
    Run("statistics-for-decisions", 29),
    Run("chinese-calligraphy", 21),
    # The retry that did nothing: a dry pool, 21 tutorials never saved, none of them marked failed.
    Run(AGENT, 6.2, TaskStatus.FAILED, POOL_DRY),
    # Its sibling: 10 saved, 5 missing by the same dry pool, 6 failed. 11 to retry.
    Run(POSTGRES, 3.4, TaskStatus.PARTIAL_FAILURE, POOL_DRY),
    # The save that took everything down: one duplicate key, and no status and no failure list were written.
    Run(LEARNING, 1.1, TaskStatus.FAILED, DUPLICATE_KEY),
    # Everyday failures of the model, each under its own cause.
    Run(RUST, 9.3, TaskStatus.PARTIAL_FAILURE),
    # Saved but broken, declared but not saved.
    Run(SYSTEMS, 12, TaskStatus.PARTIAL_FAILURE),
    # A worker died five hours ago; the task still says processing.
    Run(ARCHITECTURE, 0.22, TaskStatus.PROCESSING),
    # Only its cover hangs.
    Run("web-accessibility", 0.9),
    # Its author cancelled the creation after four concepts.
    Run(NIGHT_SKY, 2.3, TaskStatus.CANCELLED),
    # One that cannot be read must not hide the others.
    Run("balcony-gardening", 8, has_object_for_list=True),
    # Being created while you look: no problem until its worker falls silent.
    Run(TEA, 4 / 1440, TaskStatus.PROCESSING, is_going_on=True),
    # Deleted: broken, and never to be listed.
    Run(PHOTOGRAPHY, 5, TaskStatus.PARTIAL_FAILURE, deleted_days_ago=2),
)

RETRIES = (
    Retry(AGENT, 144),  # the platform's own retry: "completed", 0 of 0
)

CONCEPT_FAULTS = (
    ConceptFault(AGENT, TUTORIAL, range(0, 21, 2), None, Saved.NONE),
    ConceptFault(AGENT, TUTORIAL, range(1, 21, 2), "processing", Saved.NONE),

    ConceptFault(POSTGRES, TUTORIAL, range(10, 13), None, Saved.NONE),
    ConceptFault(POSTGRES, TUTORIAL, range(13, 15), "processing", Saved.NONE),
    ConceptFault(POSTGRES, TUTORIAL, range(15, 17), "failed", Saved.NONE, TIMEOUT),
    ConceptFault(POSTGRES, TUTORIAL, range(17, 20), "failed", Saved.NONE, RATE_LIMIT),
    ConceptFault(POSTGRES, TUTORIAL, (20,), "failed", Saved.NONE, REFUSAL),

    # The first batches of ten were saved, then everything stopped; every declared status is empty.
    ConceptFault(LEARNING, TUTORIAL, range(10), None, Saved.GOOD),
    ConceptFault(LEARNING, TUTORIAL, range(10, 34), None, Saved.NONE),
    ConceptFault(LEARNING, RESOURCES, range(10), None, Saved.GOOD),
    ConceptFault(LEARNING, RESOURCES, range(10, 34), None, Saved.NONE),
    ConceptFault(LEARNING, QUIZ, range(10), None, Saved.GOOD),
    ConceptFault(LEARNING, QUIZ, range(10, 34), None, Saved.NONE),

    ConceptFault(RUST, TUTORIAL, (2, 12), "failed", Saved.NONE, TIMEOUT),
    ConceptFault(RUST, TUTORIAL, (15,), "failed", Saved.NONE, REFUSAL),
    ConceptFault(RUST, TUTORIAL, (9,), "failed", Saved.GOOD, CONNECTION_LOST),  # saved, then the answer was lost
    ConceptFault(RUST, RESOURCES, (5, 6), "completed", Saved.BROKEN),
    ConceptFault(RUST, QUIZ, (3, 8, 13), "failed", Saved.NONE, RATE_LIMIT),

    ConceptFault(SYSTEMS, TUTORIAL, (1, 7), "completed", Saved.BROKEN),
    ConceptFault(SYSTEMS, TUTORIAL, (8,), "failed", Saved.FAILED, REFUSAL),
    ConceptFault(SYSTEMS, RESOURCES, (4, 5), "pending", Saved.NONE),
    ConceptFault(SYSTEMS, RESOURCES, (9, 10), "failed", Saved.NONE, OVERLOADED),
    ConceptFault(SYSTEMS, QUIZ, (2, 3), "completed", Saved.BROKEN),
    ConceptFault(SYSTEMS, QUIZ, (6,), "completed", Saved.NONE),  # marked completed, nothing saved
    ConceptFault(SYSTEMS, QUIZ, (11,), "failed", Saved.NONE, BAD_JSON),

    ConceptFault(ARCHITECTURE, TUTORIAL, (10, 11), "generating", Saved.NONE),
    ConceptFault(ARCHITECTURE, RESOURCES, (11,), "generating", Saved.NONE),
    ConceptFault(ARCHITECTURE, QUIZ, (10,), "processing", Saved.GOOD),  # saved a moment before the end
    ConceptFault(ARCHITECTURE, QUIZ, (11,), "processing", Saved.NONE),

    ConceptFault(NIGHT_SKY, TUTORIAL, (4,), "processing", Saved.NONE),
    ConceptFault(NIGHT_SKY, TUTORIAL, range(5, 12), None, Saved.NONE),
    ConceptFault(NIGHT_SKY, RESOURCES, range(4, 12), "pending", Saved.NONE),
    ConceptFault(NIGHT_SKY, QUIZ, range(4, 12), "pending", Saved.NONE),

    ConceptFault(TEA, TUTORIAL, (2,), "generating", Saved.NONE),
    ConceptFault(TEA, TUTORIAL, range(3, 10), "pending", Saved.NONE),
    ConceptFault(TEA, RESOURCES, range(2, 10), "pending", Saved.NONE),
    ConceptFault(TEA, QUIZ, range(2, 10), "pending", Saved.NONE),

    ConceptFault(PHOTOGRAPHY, TUTORIAL, range(5), "failed", Saved.NONE, TIMEOUT),
    ConceptFault(PHOTOGRAPHY, RESOURCES, range(5, 8), "completed", Saved.BROKEN),
    ConceptFault(PHOTOGRAPHY, QUIZ, range(10), None, Saved.NONE),
)

COVER_FAULTS = (
    CoverFault(RUST, "failed", IMAGE_REJECTED),
    CoverFault(SYSTEMS, "pending"),
    CoverFault(ARCHITECTURE, None),
    CoverFault("web-accessibility", "generating"),
    CoverFault(TEA, "generating"),  # in progress as long as its task lives
    CoverFault(PHOTOGRAPHY, "failed", TIMEOUT),
)

NOVEL_RUNS = (
    NovelRun("lighthouse-ledger", 18, 30),
    NovelRun("old-bookshop", 11, 7),
    NovelRun("cartographer-of-tides", 10, 3.5),
    NovelRun("dunhuang-night-walk", 7, 9),
    NovelRun("night-train-to-vellmar", 5, 26),
    NovelRun("mars-postman", 12, 60),
    NovelRun("glass-orchard", 4, 96),
)

CHAPTER_FAULTS = (
    ChapterFault("cartographer-of-tides", 5, ChapterFaultKind.FAILED_HALFWAY, STREAM_CUT),
    ChapterFault("dunhuang-night-walk", 5, ChapterFaultKind.SILENT),
    ChapterFault("night-train-to-vellmar", 5, ChapterFaultKind.NEVER_WRITTEN),  # chosen in chapter 4, no chapter 5
    ChapterFault("mars-postman", 3, ChapterFaultKind.WITHOUT_TEXT),
    ChapterFault("mars-postman", 4, ChapterFaultKind.WITHOUT_OPTIONS),
    ChapterFault("glass-orchard", 1, ChapterFaultKind.NEVER_WRITTEN),           # a novel with no chapter at all
)

# Counted by hand from the tables above, so that a test can hold the detector against it.
EXPECTED: dict[tuple[ContentKind, ProblemKind], int] = {
    (TUTORIAL, ProblemKind.FAILED): 10,     # 6 postgres, 3 rust, 1 systems
    (TUTORIAL, ProblemKind.MISSING): 38,    # 11 agent, 3 postgres, 24 learning
    (TUTORIAL, ProblemKind.STALE): 14,      # 10 agent, 2 postgres, 2 architecture
    (TUTORIAL, ProblemKind.INVALID): 2,     # systems
    (TUTORIAL, ProblemKind.DRIFTED): 11,    # 10 learning, 1 rust
    (TUTORIAL, ProblemKind.CANCELLED): 8,   # night sky
    (RESOURCES, ProblemKind.FAILED): 2,     # systems
    (RESOURCES, ProblemKind.MISSING): 26,   # 24 learning, 2 systems
    (RESOURCES, ProblemKind.STALE): 1,      # architecture
    (RESOURCES, ProblemKind.INVALID): 2,    # rust
    (RESOURCES, ProblemKind.DRIFTED): 10,   # learning
    (RESOURCES, ProblemKind.CANCELLED): 8,  # night sky
    (QUIZ, ProblemKind.FAILED): 4,          # 3 rust, 1 systems
    (QUIZ, ProblemKind.MISSING): 25,        # 24 learning, 1 systems
    (QUIZ, ProblemKind.STALE): 1,           # architecture
    (QUIZ, ProblemKind.INVALID): 2,         # systems
    (QUIZ, ProblemKind.DRIFTED): 11,        # 10 learning, 1 architecture
    (QUIZ, ProblemKind.CANCELLED): 8,       # night sky
    (COVER, ProblemKind.FAILED): 1,         # rust
    (COVER, ProblemKind.MISSING): 2,        # systems, architecture
    (COVER, ProblemKind.STALE): 1,          # web accessibility
    (CHAPTER, ProblemKind.FAILED): 1,       # cartographer
    (CHAPTER, ProblemKind.STALE): 1,        # dunhuang
    (CHAPTER, ProblemKind.MISSING): 2,      # night train, glass orchard
    (CHAPTER, ProblemKind.INVALID): 2,      # mars postman
    (FRAMEWORK, ProblemKind.UNREADABLE): 1,  # balcony gardening
}
